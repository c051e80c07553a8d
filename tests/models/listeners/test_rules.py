from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.errors import ConfigError
from streams.models.listeners.rules import MAX_PATTERNS, RuleMatch, RuleSet


def test_a_label_is_found_with_the_text_that_matched_and_its_span() -> None:
    rules = RuleSet({"order": [r"order\s+#?\d+"]})
    assert rules.match("Where is Order #123?") == [RuleMatch("order", "Order #123", 9, 19)]


def test_spans_count_characters_not_bytes() -> None:
    text = "größe 😀 order 7"
    (found,) = RuleSet({"order": [r"order \d"]}).match(text)
    assert text[found.start : found.end] == found.text == "order 7"


def test_several_labels_come_in_the_order_of_the_table_each_once() -> None:
    rules = RuleSet({"refund": ["money back", "refund"], "order": ["order"], "greeting": ["hello"]})
    found = rules.match("refund my order, I want my money back")
    assert [match.label for match in found] == ["refund", "order"]
    assert found[0].text == "money back"


def test_nothing_matches_an_unrelated_or_empty_text() -> None:
    rules = RuleSet({"order": ["order"]})
    assert rules.match("good morning") == []
    assert rules.match("") == []


def test_case_counts_when_it_is_asked_to() -> None:
    rules = RuleSet({"alarm": ["STOP"]}, ignore_case=False)
    assert rules.match("please stop") == []
    assert [match.label for match in rules.match("STOP")] == ["alarm"]


def test_padding_hides_nothing() -> None:
    (found,) = RuleSet({"order": ["order"]}).match(" " * 900_000 + "order" + " " * 900_000)
    assert found.start == 900_000


def test_a_pattern_that_ruins_backtracking_engines_ends() -> None:
    rules = RuleSet({"evil": ["(a+)+$"]})
    assert rules.match("a" * 50_000 + "b") == []


def test_a_lone_surrogate_in_the_text_keeps_the_spans_right() -> None:
    text = "\ud800 order"
    (found,) = RuleSet({"order": ["order"]}).match(text)
    assert (found.start, found.end) == (2, 7)


@pytest.mark.parametrize(
    "pattern", ["(unclosed", r"(a)\1", "(?=ahead)x", "a{5000}", "\ud800", "", "x*"], ids=lambda value: ascii(value)
)
def test_a_pattern_that_cannot_be_used_is_named_with_its_place(pattern: str) -> None:
    with pytest.raises(ConfigError) as error:
        RuleSet({"fine": ["a"], "bad": ["b", pattern]})
    assert error.value.key == "rules.bad[1]"
    assert repr(pattern) in error.value.what
    assert error.value.remedy


def test_a_pattern_that_is_not_text_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="7"):
        RuleSet({"bad": [7]})  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("table", "key"),
    [({}, "rules"), ({"a": []}, "rules.a"), ({"a": "abc"}, "rules.a"), ({"a": ["x"] * (MAX_PATTERNS + 1)}, "rules")],
)
def test_a_table_of_the_wrong_shape_is_refused(table: dict[str, list[str]], key: str) -> None:
    with pytest.raises(ConfigError) as error:
        RuleSet(table)
    assert error.value.key == key


@pytest.mark.parametrize("number", [1, 2])
def test_rules_that_are_too_large_together_are_searched_one_by_one(number: int) -> None:
    """Two of these do not fit into one automaton."""
    rules = RuleSet({str(one): [rf"(\pL+ ){{100}}{one}"] for one in range(number)})
    assert (rules._together is None) == (number == 2)
    text = "word " * 100
    assert [found.label for found in rules.match(f"{text}{number - 1}")] == [str(number - 1)]
    assert rules.match(text) == []


WORDS = st.text("ab ", max_size=12)


@given(st.lists(st.sampled_from(["a", "ab", "b$", "^a", r"\bab\b", "a+b", "B", "c"]), min_size=1, max_size=6), WORDS)
def test_rules_together_find_what_each_finds_alone(patterns: list[str], text: str) -> None:
    together = RuleSet({str(number): [pattern] for number, pattern in enumerate(patterns)})
    alone = [RuleSet({str(number): [pattern]}) for number, pattern in enumerate(patterns)]
    assert together.match(text) == [match for one in alone for match in one.match(text)]


def test_labels_keep_the_order_of_the_table() -> None:
    assert RuleSet({"b": ["x", "y"], "a": ["z"]}).labels == ("b", "a")
