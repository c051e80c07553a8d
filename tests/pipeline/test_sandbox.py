"""Whatever an event holds, a template makes no more of it than it may."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, ValuesView
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.core.errors import ConfigError, HandlerError
from streams.core.messages import Attempt
from streams.pipeline import sandbox
from streams.pipeline.sandbox import (
    FILTERS_ALLOWED,
    MAX_WORK,
    METHODS_ALLOWED,
    STATEMENTS_ALLOWED,
    Sandbox,
    limited,
)
from streams.pipeline.template import PromptTemplate, fenced

BLOCKS = "{{% block system %}}{{% endblock %}}{{% block user %}}{}{{% endblock %}}"
TEXT = "ab \n" * 50_000
DATA: dict[str, Any] = {
    "n": 5_000_000,
    "m": 1_200_000,
    "minus": -(10**9),
    "list": [0] * 100_000,
    "map": {str(number): number for number in range(50_000)},
    "x": "x" * 5_000,
    "tabs": "\t" * 5_000,
    "wide": "\U000e0001" * 100_000,
    "many": "%(a)s" * 50_000,
}
DOUBLED = "{{% set ns = namespace(x='ab') %}}{{% for i in range(9999) %}}{{% set ns.x = {} %}}{{% endfor %}}"


def rendered(user: str, **variables: Any) -> str:
    return PromptTemplate(BLOCKS.format(user), "p.j2", "workers.w.prompt").render(variables)[1]


@pytest.mark.parametrize(
    "greedy",
    [
        "{{ data | tojson(indent=data.n) }}",
        "{{ data | tojson(indent=text) }}",
        "{{ text | slice(data.m) | list }}",
        "{{ text | batch(data.m, 'x') | list }}",
        "{{ text | indent(100000) }}",
        "{{ text | indent(text) }}",
        "{{ text | join(text) }}",
        "{{ text.join(text) }}",
        "{{ data.list | join(data.x) }}",
        "{{ data.x | replace('x', text) }}",
        "{{ data.x | replace('', text) }}",
        "{{ data.x.replace('x', text) }}",
        "{{ data.tabs.expandtabs(data.m) }}",
        "{{ data.x.zfill(data.n) * 9 }}",
        "{{ data.many % {'a': text} }}",
        "{{ data.many | format(a=text) }}",
        "{{ data.list | map('replace', '0', text) | join }}",
        "{{ data.list | map('center', 9999) | list }}",
        "{{ data.list | sort(attribute=data.wide) }}",
        "{{ [text] * data.m }}",
        "{{ [text, text, text] * 99 }}",
        "{{ ([text] * 9999) | join | length }}",
        "{{ ([[text]] * 9999) | tojson | length }}",
        "{{ [data.list] | sum(start=[]) }}",
        "{{ 12 | round(data.minus) }}",
        "{{ 12 | round(data.n, 'floor') }}",
        "{{ text.strip(data.wide ~ text) }}",
        "{{ text.rsplit(text[:100000]) }}",
        "{{ (text * 40)[:3] }}",
        DOUBLED.format("ns.x ~ ns.x"),
        DOUBLED.format("ns.x + ns.x"),
        DOUBLED.format("ns.x * 2"),
        DOUBLED.format("'%s%s' % (ns.x, ns.x)"),
        DOUBLED.format("ns.x | replace('a', 'aa')"),
        DOUBLED.format("[ns.x, ns.x]") + "{{ ns.x }}",
        DOUBLED.format("[ns.x, ns.x]") + "{{ ns.x == 1 }}",
        DOUBLED.format("namespace(a=ns.x, b=ns.x)") + "{{ [ns.x] }}",
        "{% for a in data.list %}{% for b in data.list %}{% endfor %}{% endfor %}",
        "{% for a in data.list %}{% for b in data.list if b %}{% endfor %}{% endfor %}",
        "{% for a in data.list %}{% if text == data.x %}{% endif %}{% endfor %}",
        "{% for a in data.list %}{% if text is in data.x %}{% endif %}{% endfor %}",
        "{% for a in data.list %}{% if 'zz' in text %}{% endif %}{% endfor %}",
        "{% for a in data.list %}{% set b = text[1:] %}{% endfor %}",
        "{% for a in data.list %}{% set b = data.map.items() | list %}{% endfor %}",
        "{% for a in data.list %}{% set b = dict(data.map) %}{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(30) }}",
        "{% macro m() %}{% for a in data.list %}{{ text }}{% endfor %}{% endmacro %}{{ m() | length }}",
        "{% macro m() %}{{ caller() }}{{ caller() }}{% endmacro %}"
        "{% call m() %}{% call m() %}{{ text * 20 }}{% endcall %}{% endcall %}",
        "{% set a %}{% for a in data.list %}{{ text }}{% endfor %}{% endset %}",
        "{% filter upper %}{% for a in data.list %}{{ text }}{% endfor %}{% endfilter %}",
        "{% for a in data.list %}{{ text }}{% endfor %}",
        "{{ data.list | map('string') }}",
        "{{ text.upper }}",
        "{{ text['format'](1) }}",
        "{% set f = text.format %}{{ f(1) }}",
        "{% for a in data.list %}{{ loop(data.list) }}{% endfor %}",
    ],
)
def test_what_makes_too_much_is_refused_before_it_takes_memory(greedy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "MAX_WORK", work := MAX_WORK // 10)
    template = PromptTemplate(BLOCKS.format(greedy), "p.j2", "workers.w.prompt")
    tracemalloc.start()
    try:
        with pytest.raises(HandlerError):
            template.render({"text": TEXT, "data": DATA})
        assert tracemalloc.get_traced_memory()[1] < 10 * work
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("source", "said", "allowed"),
    [
        ("{{ text | pprint }}", "the filter 'pprint'", FILTERS_ALLOWED),
        ("{{ text | attr('a') }}", "the filter 'attr'", FILTERS_ALLOWED),
        ("{{ text | uper }}", "the filter 'uper'", FILTERS_ALLOWED),
        ("{% filter wordwrap %}{% endfilter %}", "the filter 'wordwrap'", FILTERS_ALLOWED),
        ("{% set a | urlize %}{% endset %}", "the filter 'urlize'", FILTERS_ALLOWED),
        ("{{ text.encode() }}", "the method 'encode'", METHODS_ALLOWED),
        ("{{ text.format(1) }}", "the method 'format'", METHODS_ALLOWED),
        ("{% include 'a' %}", "the statement 'include'", STATEMENTS_ALLOWED),
        ("{% import 'a' as b %}", "the statement 'import'", STATEMENTS_ALLOWED),
        ("{% from 'a' import b %}", "the statement 'from'", STATEMENTS_ALLOWED),
        ("{% for a in b recursive %}{% endfor %}", "a recursive loop", STATEMENTS_ALLOWED),
        ("{% autoescape true %}{% endautoescape %}", "the statement 'autoescape'", STATEMENTS_ALLOWED),
    ],
)
def test_what_is_on_no_list_is_refused_when_the_file_is_read(source: str, said: str, allowed: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as caught:
        rendered("\n" + source)
    assert f"p.j2, line 2: {said} may not be used" in caught.value.what
    assert caught.value.key == "workers.w.prompt"
    assert all(name in (caught.value.remedy or "") for name in allowed)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ text | upper | trim | truncate(9) }}", "A B C"),
        ("{% for word in text.split() %}{{ loop.index }}{{ word }}{{ ',' if not loop.last }}{% endfor %}", "1a,2b,3c"),
        ("{% for word in text.split() if word != 'b' %}{{ loop.length }}{{ word }}{% endfor %}", "2a2c"),
        (
            "{% for key, value in data | dictsort %}{{ key }}={{ value }};{% else %}none{% endfor %}",
            "k=[2, 1];m={'a': None};",
        ),
        ("{{ data | tojson }}", '{"k": [2, 1], "m": {"a": null}}'),
        ("{{ data.k | sort | join(', ') }} {{ data.k | sum }} {{ data.k | max }}", "1, 2 3 2"),
        ("{{ [data.m, data.m] | map(attribute='a') | list }}", "[None, None]"),
        ("{{ [1, 2, 3] | select('gt', 1) | map('string') | join('-') }}", "2-3"),
        ("{{ data.m.get('b', 'no') }} {{ data.k[1:] }} {{ 'a' in text }} {{ data.x is defined }}", "no [1] True False"),
        ("{% set ns = namespace(n=0) %}{% for a in data.k %}{% set ns.n = ns.n + a %}{% endfor %}{{ ns.n }}", "3"),
        ("{% macro m(a, b=1) %}<{{ a }}{{ b }}>{% endmacro %}{{ m('x') }}{{ m('y', b=2) }}", "<x1><y2>"),
        ("{% macro m() %}<{{ caller('z') }}>{% endmacro %}{% call(a) m() %}{{ a }}!{% endcall %}", "<z!>"),
        ("{% set a %}x{{ text }}{% endset %}{{ a ~ 1 ~ none }}{% filter upper %}y{% endfilter %}", "xa b c1NoneY"),
        ("{{ '%s: %.2f' | format('a', 1.5) }} {{ '%d%%' % 5 }} {{ 7 // 2 }} {{ -3 | abs }}", "a: 1.50 5% 3 3"),
        ("{{ text | replace('b', 'x') | indent(2, first=true) }} {{ 'a<' | e ~ '<' }}", "a x c a&lt;<"),
        ("{{ attempt.status }} {{ attempt.answer or attempt.refusal_reason }}", "refused why"),
        ("{{ missing | default('none') }} {{ data.k | reverse | first }} {{ [3, 3] | unique | list }}", "none 1 [3]"),
    ],
)
def test_what_templates_usually_do_they_may(source: str, expected: str) -> None:
    attempt = Attempt(tier="worker", handler="w", status="refused", refusal_reason="why", call_id="c")
    data = {"k": [2, 1], "m": {"a": None}}
    assert rendered(source, text="a b c", data=data, attempt=attempt) == expected


def test_a_prompt_of_the_largest_event_is_made() -> None:
    words = "word " * 100_000
    assert rendered("{{ text | trim | fenced }}", text=words) == fenced(words.strip())
    assert rendered("{% for word in text.split() %}{{ word }}{% endfor %}", text=words) == words.replace(" ", "")
    assert len(rendered("{{ data | tojson }}", data={"a": words})) == len(words) + 9


HOSTILE = st.sampled_from(
    [
        "", "x", "x" * 9_000, "\t\n" * 10_000, TEXT[:9_000], "\U000e0001" * 9_000, "%s%9999d" * 2_000,
        "<a>&'" * 5_000,
        0, 1, -1, 2, 16, 10_000, 10**6, 10**9, -(10**9), 10**4_000, 0.5, float("inf"), float("nan"), None, True,
        [], [0] * 9_000, ["x" * 9_000] * 2_000, [["x" * 100] * 100] * 100, {},
        {str(one): "x" for one in range(9_999)},
    ]
)  # fmt: skip


def size(value: Any, seen: set[int]) -> int:
    """Characters and items of a value, what stands in it twice counted once."""
    if id(value) in seen:
        return 1
    seen.add(id(value))
    if isinstance(value, Mapping):
        return 1 + sum(size(key, seen) + size(inner, seen) for key, inner in value.items())
    if isinstance(value, (list, tuple)):
        return 1 + sum(size(inner, seen) for inner in value)
    return len(value) if isinstance(value, str) else 1


def check_refused_or_small(make: Callable[[], Any], given: list[Any]) -> None:
    with limited():
        try:
            made = make()
            made = list(made) if isinstance(made, (Iterator, ItemsView, KeysView, ValuesView)) else made
        except Exception:  # whatever is said of what cannot be taken
            return
    assert size(made, {id(one) for one in given}) <= MAX_WORK


@pytest.mark.parametrize("name", FILTERS_ALLOWED)
@settings(max_examples=15)
@given(st.data())
def test_what_a_filter_makes_of_anything_is_refused_or_small(name: str, data: st.DataObject) -> None:
    value, *arguments = data.draw(st.lists(HOSTILE, min_size=1, max_size=3))
    environment = Sandbox(fenced=fenced)
    context = environment.from_string("").new_context()
    check_refused_or_small(lambda: environment.filters[name](context, value, *arguments), [value, *arguments])


@pytest.mark.parametrize("name", METHODS_ALLOWED)
@settings(max_examples=15)
@given(st.data())
def test_what_a_method_makes_of_anything_is_refused_or_small(name: str, data: st.DataObject) -> None:
    value, *arguments = data.draw(st.lists(HOSTILE, min_size=1, max_size=3))
    environment = Sandbox(fenced=fenced)
    context = environment.from_string("").new_context()
    check_refused_or_small(lambda: environment.call(context, getattr(value, name), *arguments), [value, *arguments])


@pytest.mark.parametrize("operator", ["+", "-", "*", "/", "//", "%", "**"])
@settings(max_examples=30)
@given(left=HOSTILE, right=HOSTILE)
def test_what_an_operator_makes_of_anything_is_refused_or_small(operator: str, left: Any, right: Any) -> None:
    environment = Sandbox(fenced=fenced)
    check_refused_or_small(lambda: environment.call_binop(None, operator, left, right), [left, right])
