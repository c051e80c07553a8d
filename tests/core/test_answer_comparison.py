"""Agreement of an answer with a label."""

from __future__ import annotations

import json
import math
import sys
import unicodedata
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.answer_comparison import By, Comparison, number_in, numbers_in, value_of

EXACT = Comparison()
texts = st.text(max_size=12)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
values: st.SearchStrategy[Any] = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8
)
numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**290), 10**290)
rules = st.one_of(
    st.just(EXACT),
    st.builds(Comparison, st.just("numeric"), tolerance=st.floats(0, 10)),
    st.builds(Comparison, st.just("fields"), st.lists(texts, min_size=1, max_size=2).map(tuple), st.floats(0, 10)),
)


def numeric(tolerance: float = 0.0) -> Comparison:
    return Comparison("numeric", tolerance=tolerance)


def fields(*names: str, tolerance: float = 0.0) -> Comparison:
    return Comparison("fields", names, tolerance)


@given(rules, values, values)
def test_any_two_values_are_compared_without_an_error(rule: Comparison, answer: Any, label: Any) -> None:
    assert rule(answer, label) in (True, False)


@given(rules, st.text(), st.text())
def test_any_two_texts_are_compared_without_an_error(rule: Comparison, answer: str, label: str) -> None:
    assert rule(value_of(answer), value_of(label)) in (True, False)


@pytest.mark.parametrize("by", get_args(By))
@pytest.mark.parametrize("key", [None, "a"], ids=["lists", "objects"])
def test_a_value_that_is_too_deep_to_look_into_agrees_with_nothing(by: By, key: str | None) -> None:
    rule = Comparison(by, ("a",) if by == "fields" else ())
    deep: Any = 1
    for _ in range(sys.getrecursionlimit()):
        deep = {key: deep} if key else [deep]
    assert not rule(deep, deep)


@pytest.mark.parametrize("rule", [EXACT, numeric(9.0), fields("a", tolerance=9.0)])
@pytest.mark.parametrize("unknown", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_a_finite_number_never_agrees(rule: Comparison, unknown: float) -> None:
    for answer, label in [(unknown, unknown), (unknown, 1), (1, unknown), ([unknown], [unknown])]:
        assert not rule(answer, label)
        assert not rule({"a": answer}, {"a": label})


# ---- exact ----


@given(values.filter(lambda value: "NaN" not in json.dumps(value) and "Infinity" not in json.dumps(value)))
def test_a_value_is_exactly_itself(value: Any) -> None:
    assert EXACT(value, value)


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ({"a": 1, "b": [2]}, {"b": [2], "a": 1}),
        (" yes\n", "yes"),
        (unicodedata.normalize("NFD", "Café"), unicodedata.normalize("NFC", "Café")),
        ({" a ": "x "}, {"a": "x"}),
        (None, None),
        (12, 12.0),
        ({"a": [1e3, -0.0]}, {"a": [1000, 0]}),
        (2**53, float(2**53)),
    ],
    ids=[
        "the order of keys",
        "outer space",
        "Unicode form",
        "keys and values within",
        "null",
        "whole",
        "within",
        "large",
    ],
)
def test_exactly_alike_is_as_canonical_json(answer: Any, label: Any) -> None:
    assert EXACT(answer, label)
    assert EXACT(label, answer)


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("Yes", "yes"),
        (1, True),
        ("1", 1),
        (1, 1.0000001),
        ([1, 2], [2, 1]),
        ({"a": None}, {}),
        ("a b", "a  b"),
        ("", None),
    ],
)
def test_what_only_looks_alike_is_not_exactly_so(answer: Any, label: Any) -> None:
    assert not EXACT(answer, label)


# ---- numeric ----


@given(numbers, st.floats(0, 1))
def test_a_number_agrees_with_itself_at_any_tolerance(number: float, tolerance: float) -> None:
    assert numeric(tolerance)(number, number)
    assert numeric(tolerance)(str(number), number)


def test_the_tolerance_is_a_share_of_the_label() -> None:
    assert numeric(0.25)(75, 100)
    assert numeric(0.25)(-125, -100)
    assert not numeric(0.25)(74, 100)
    assert numeric(0.25)(100, 125)
    assert not numeric(0.25)(125.1, 100)
    assert not numeric(0.25)(100, 79)


def test_only_zero_is_near_enough_to_zero() -> None:
    assert numeric(9.0)(0, 0.0)
    assert not numeric(9.0)(1e-300, 0)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("42", 42),
        ("It takes 2 days and costs $18.", 18),
        ("First 3, then 1,234,567.50 dollars", 1234567.5),
        ("1,000,000", 1_000_000),
        ("-5", -5),
        ("−5 °C", -5),
        ("(+7)", 7),
        ("from 10-12", 12),
        ("on 2026-11-01", 1),
        ("50%", 50),
        ("about .5", 0.5),
        ("3.", 3),
        ("6.02e23", 6.02e23),
        ("1E-3", 1e-3),
        ("items 1,2", 1.2),
        ("1,2345", 1.2345),
        ("1,234,5678", 5678),
        ("1234,567", 1234.567),
        ("take route e5", 5),
        ("e12 or Ee7", 7),
        ("#### 72\n", 72),
        ("٤٢", 42),
        (True, None),
        (None, None),
        ([1], None),
        ({"a": 1}, None),
        ("none at all", None),
        ("", None),
        ("- . , e", None),
        ("9" * 400, None),
        ("1e999", None),
        (10**400, None),
        (10**299, 1e299),
        (7.5, 7.5),
    ],
)
def test_of_a_text_the_last_number_counts(text: Any, number: float | None) -> None:
    assert number_in(text) == number


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("1.234,56 €", 1234.56),
        ("€ 1.234,56", 1234.56),
        ("1 234,56", 1234.56),
        ("1\u00a0234,56", 1234.56),
        ("1\u202f234\u2009567.5", 1234567.5),
        ("1'234.56", 1234.56),
        ("CHF 1’234’567.-", 1234567),
        ("12,34,567.89", 1234567.89),
        ("1_000", 1000),
        ("12,5", 12.5),
        ("0,125", 0.125),
        ("１２，５", 12.5),
        ("٣٫٥", 3.5),
        ("(1,234.56)", -1234.56),
        ("$(12.50)", -12.5),
        ("-€5", -5),
        ("−€ 5,50", -5.5),
        ("EUR -5", -5),
        ("1.234,56-", -1234.56),
        ("from 5–10", 10),
        ("12 %", 12),
        ("12 %", 0.12),
        ("5 ‰", 0.005),
        ("1.5×10³", 1500),
        ("1.5 x 10^-3", 0.0015),
        ("½", 0.5),
        ("1½ cups", 1.5),
        ("3/4", 0.75),
        ("1 1/2", 1.5),
        ("on 29.11.2026", 2026),
        ("29/11/2026", 2026),
        ("1,234", 1234),
        ("1,234", 1.234),
        ("1.234", 1234),
        ("$1.2M", 1_200_000),
        ("(1.2M)", -1_200_000),
        ("1.1k", 1100),
        ("1,1 Mio. €", 1_100_000),
        ("0,5 Mrd. EUR", 500_000_000),
        ("2.5 million dollars", 2_500_000),
        ("10 lakh", 1_000_000),
        ("5 km", 5),
        ("3 MB", 3),
        ("12 m2", 12),
        ("1,50 €/m2", 1.5),
        ("5 kg CO2", 5),
    ],
)
def test_numbers_are_read_as_people_of_any_country_write_them(written: str, number: float) -> None:
    assert numeric()(written, number)
    assert numeric()(number, written)
    assert not numeric(1e-9)(written, number + 1)


@pytest.mark.parametrize(
    ("written", "never"),
    [
        ("1.234,56 €", 56),
        ("1 234,56", 234.56),
        ("1.2M", 1.2),
        ("1.2M", 1200),
        ("1.234.567", 0.567),
        ("31.12.2026", 0.2026),
        ("12,5", 5),
        ("0,125", 125),
    ],
)
def test_a_part_of_a_number_is_not_the_number(written: str, never: float) -> None:
    assert not numeric()(written, never)


GROUPS, DECIMALS = (",", ".", " ", "\u00a0", "\u202f", "'", "’", ""), (".", ",")


@given(
    st.integers(-(10**9), 10**9), st.integers(0, 99), st.sampled_from(GROUPS), st.sampled_from(DECIMALS),
    st.sampled_from(["{}", "{} €", "$ {}", "Total: {}", "{} %", "about {}."]),
)  # fmt: skip
def test_any_way_of_grouping_digits_is_read(whole: int, cents: int, group: str, decimal: str, around: str) -> None:
    if group == decimal:
        return
    written = around.format(f"{whole:,}".replace(",", group) + f"{decimal}{cents:02}")
    true = float(f"{whole}.{cents:02}")
    assert numeric(1e-12)(written, true)
    assert not numeric(1e-12)(written, true + 0.01)


@given(st.text(st.sampled_from("0123456789.,'’ -−()/%€$eE×10^½³\u00a0\u202f٣５"), max_size=60))
def test_any_row_of_digits_and_signs_is_read_without_an_error(text: str) -> None:
    assert all(map(math.isfinite, numbers_in(text)))


@given(st.integers(-(10**15), 10**15), st.text(st.characters(categories=("L", "P", "Zs")), max_size=12))
def test_a_number_is_read_with_separators_and_without(number: int, before: str) -> None:
    for written in (str(number), f"{number:,}"):
        assert number_in(f"{before}: {written}") == number


def test_where_there_is_no_number_nothing_agrees() -> None:
    for answer, label in [("none", 1), (1, "none"), ("none", "none"), (True, True)]:
        assert not numeric(1.0)(answer, label)


def test_a_very_long_text_is_read_from_its_end() -> None:
    assert number_in("1," * 1_000_000 + "7") == 7
    assert number_in("1" + ",111" * 100_000 + "1") == 1111


# ---- fields ----


def test_the_named_fields_alone_count() -> None:
    assert fields("a", "b")({"a": 1, "b": "x ", "c": 1}, {"b": "x", "a": 1, "c": 2})
    assert not fields("a", "b")({"a": 1, "b": "x"}, {"a": 1, "b": "y"})


def test_a_field_that_is_missing_agrees_with_nothing() -> None:
    assert not fields("a")({}, {"a": None})
    assert not fields("a")({"a": None}, {})
    assert not fields("a")({}, {})
    assert fields("a")({"a": None}, {"a": None})


def test_a_label_that_is_not_an_object_is_compared_with_the_only_field() -> None:
    assert fields("a")({"a": "x", "b": 1}, "x")
    assert fields("a")({"a": [1]}, [1])
    assert not fields("a")({"a": "y"}, "x")
    assert not fields("a", "b")({"a": "x", "b": "x"}, "x")
    assert not fields("a")("x", "x")


def test_fields_that_are_numbers_may_differ_by_the_tolerance_and_texts_may_not() -> None:
    assert fields("a", tolerance=0.1)({"a": 91}, {"a": 100})
    assert not fields("a", tolerance=0.1)({"a": 89}, {"a": 100})
    assert not fields("a", tolerance=0.1)({"a": "91"}, {"a": "100"})
    assert not fields("a", tolerance=0.1)({"a": True}, {"a": 1})
    assert fields("a")({"a": 1}, {"a": 1.0})


def test_a_field_with_more_inside_is_compared_exactly() -> None:
    assert fields("a", tolerance=0.5)({"a": {"x": 1, "y": " z"}}, {"a": {"y": "z", "x": 1}})
    assert not fields("a", tolerance=0.5)({"a": {"x": 1.1}}, {"a": {"x": 1}})


# ---- reading a value ----


@pytest.mark.parametrize(
    ("text", "value"),
    [('{"a": 1}', {"a": 1}), ('"x"', "x"), ("7", 7), ("plain words", "plain words"), ("", ""), ("{", "{")],
)
def test_a_json_text_is_its_value_and_any_other_is_itself(text: str, value: Any) -> None:
    assert value_of(text) == value


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 10_000], ids=["too deep", "too many digits"])
def test_json_beyond_what_can_be_read_is_a_text(text: str) -> None:
    assert value_of(text) == text
