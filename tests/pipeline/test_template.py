"""Templates are sandboxed, and an event is only ever data in them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.errors import ConfigError, HandlerError
from streams.pipeline.template import PromptTemplate, fenced

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
    with pytest.raises(HandlerError, match=r"p\.j2 could not be rendered"):
        rendered(attack, text="x", data={"b": 1})


@pytest.mark.parametrize(
    "broken", ["{{ txet }}", "{{ 1 / 0 }}", "{{ data['gone'] }}", "{{ text.gone }}", "{{ text + 1 }}"]
)
def test_a_template_that_breaks_is_the_handlers_fault(broken: str) -> None:
    with pytest.raises(HandlerError):
        rendered(broken, text="x", data={})


def test_the_two_parts_are_rendered_apart_and_trimmed() -> None:
    template = PromptTemplate(BLOCKS.format("\n  Be {{ how }}.\n", "{{ text }}\n"), "p.j2", "k")
    assert template.render({"how": "brief", "text": "hello"}) == ("Be brief.", "hello")


@pytest.mark.parametrize(
    ("source", "said"), [("", "no block system and no block user"), ("{% block %}", "line 1"), ("{{ x", "line 1")]
)
def test_what_is_no_prompt_template_is_told_with_its_key(source: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        PromptTemplate(source, "p.j2", "workers.w.prompt")
    assert caught.value.key == "workers.w.prompt"
    assert said in str(caught.value)
