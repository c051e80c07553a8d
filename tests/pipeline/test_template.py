"""Templates are sandboxed, and an event is only ever data in them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.errors import ConfigError, HandlerError
from streams.pipeline.template import MAX_PROMPT_BYTES, PromptTemplate, fenced

BLOCKS = "{{% block system %}}{}{{% endblock %}}{{% block user %}}{}{{% endblock %}}"


def rendered(user: str, **variables: Any) -> str:
    return PromptTemplate(BLOCKS.format("", user), "p.j2", "workers.w.prompt").render(variables)[1]


@given(st.text() | st.from_regex(r"\{\{.*\}\}|\{%.*%\}|\{#.*#\}"))
def test_the_text_of_an_event_comes_out_as_it_went_in_and_never_runs(text: str) -> None:
    assert rendered("<{{ text }}>", text=text) == f"<{text}>".strip()


@given(
    st.text() | st.lists(st.sampled_from(["<", "</", "< / ", "event", "EVENT", "Event", ">", "\n", "x"])).map("".join)
)
def test_an_event_cannot_end_its_own_fence(text: str) -> None:
    whole = fenced(text)
    marks = re.findall(r"<\s*/?\s*event", whole, re.IGNORECASE)
    assert marks == ["<event", "</event"]
    assert whole.startswith("<event>\n")
    assert whole.endswith("\n</event>")
    assert whole.replace("\u200b", "") == f"<event>\n{text}\n</event>".replace("\u200b", "")


def test_a_fence_takes_a_time_linear_in_what_is_not_seen_after_a_bracket() -> None:
    text = "<" + " " * 900_000
    assert fenced(text) == f"<event>\n{text}\n</event>"


@pytest.mark.parametrize(
    "mark", ["</event>", "<\u200b/event>", "< /\u2060 EVENT>", "<\ufeffevent>", "<\u00ad/ event >"]
)
def test_no_spelling_of_the_mark_survives_inside(mark: str) -> None:
    inside = fenced(f"a {mark} b").removeprefix("<event>\n").removesuffix("\n</event>")
    assert mark not in inside
    assert "<\u200b" in inside


def test_the_fence_of_a_text_without_marks_leaves_it_as_it_is() -> None:
    assert fenced("1 < 2 and <b>events</b>") == "<event>\n1 < 2 and <b>events</b>\n</event>"


@pytest.mark.parametrize(
    "attack",
    [
        "{{ text.__class__.__mro__ }}",
        "{{ ''.__class__.__base__.__subclasses__() }}",
        "{{ text.format.__globals__ }}",
        "{{ '{0.__class__.__mro__}'.format(text) }}",
        "{{ data.update({'a': 1}) }}",
        "{{ data.clear() }}",
        "{% include '/etc/passwd' %}",
        "{% import 'os' as os %}",
        "{{ range(10 ** 9) | list }}",
        "{{ self.__init__.__globals__ }}",
    ],
)
def test_a_template_reaches_nothing_outside_its_variables(attack: str) -> None:
    with pytest.raises((ConfigError, HandlerError), match=r"p\.j2(, line 1: | could not be rendered)"):
        rendered(attack, text="x", data={"b": 1})


@pytest.mark.parametrize(
    "broken", ["{{ data['gone'] }}", "{{ text.gone }}", "{{ text | join }}", "{{ text | round }}", "{{ 1 < text }}"]
)
def test_a_template_that_breaks_is_the_handlers_fault(broken: str) -> None:
    with pytest.raises(HandlerError):
        rendered(broken, text="x", data={})


def test_the_two_parts_are_rendered_apart_and_trimmed() -> None:
    template = PromptTemplate(BLOCKS.format("\n  Be {{ knowledge }}.\n", "{{ text }}\n"), "p.j2", "k")
    assert template.render({"knowledge": "brief", "text": "hello"}) == ("Be brief.", "hello")


@pytest.mark.parametrize(
    ("source", "said"), [("", "no block system and no block user"), ("{% block %}", "line 1"), ("{{ x", "line 1")]
)
def test_a_file_that_is_not_a_prompt_template_is_an_error_with_its_key(source: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        PromptTemplate(source, "p.j2", "workers.w.prompt")
    assert caught.value.key == "workers.w.prompt"
    assert said in str(caught.value)


ESCAPES = [
    "{{ text.__class__.__mro__[1].__subclasses__() }}",
    "{{ text | attr('__class__') }}",
    "{{ (text | attr('format')).__globals__ }}",
    "{{ '{0.__class__.__init__.__globals__}'.format(text) }}",
    "{{ '{a.__class__}'.format_map({'a': text}) }}",
    "{{ fenced.__globals__ }}",
    "{{ self._TemplateReference__context.environment }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ lipsum.__globals__['os'] }}",
    "{{ joiner.__init__.__globals__ }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ ().__class__.__bases__[0] }}",
    "{{ [].append.__self__.__class__ }}",
    "{{ config }}",
    "{{ request }}",
    "{{ get_flashed_messages.__globals__ }}",
    "{% set x = data.update({'b': 2}) %}",
    "{{ text.__init_subclass__ }}",
    "{{ data.__reduce__() }}",
    "{{ (data.values()).gi_frame }}",
]


@pytest.mark.parametrize("attack", ESCAPES)
def test_the_known_ways_out_of_a_sandbox_lead_nowhere(attack: str) -> None:
    data = {"a": 1}
    try:
        found = rendered(attack, text="x", data=data)
    except (ConfigError, HandlerError):
        found = ""
    assert not re.search(r"<class|<function|<module|os\.|uid=|environment|<bound", found), found
    assert data == {"a": 1}


@pytest.mark.parametrize("attack", ESCAPES)
def test_an_event_that_says_so_is_only_quoted(attack: str) -> None:
    assert rendered("{{ text }}|{{ data.note }}", text=attack, data={"note": attack}) == f"{attack}|{attack}".strip()


def test_a_prompt_may_have_its_size_and_no_more() -> None:
    assert len(rendered("{{ text }}", text="x" * MAX_PROMPT_BYTES)) == MAX_PROMPT_BYTES
    for text in ("x" * (MAX_PROMPT_BYTES + 1), "é" * (MAX_PROMPT_BYTES // 2 + 1)):
        with pytest.raises(HandlerError, match="600000"):
            rendered("{{ text }}", text=text)
