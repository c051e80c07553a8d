"""Confidence from token log-probabilities: only the values of an answer count."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.confidence import logprob_confidence, probability, value_spans

SURE, DOUBTFUL = 0.0, math.log(0.25)
answers: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def scalars(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [scalar for item in value.values() for scalar in scalars(item)]
    return [scalar for item in value for scalar in scalars(item)] if isinstance(value, list) else [value]


@given(answers, st.sampled_from([None, 2]), st.booleans())
def test_the_spans_are_the_values_in_order_and_never_a_key(value: Any, indent: int | None, escaped: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=escaped)
    assert [json.loads(text[start:end]) for start, end in value_spans(text)] == scalars(value)


def test_only_tokens_of_the_value_count_and_keys_do_not() -> None:
    tokens = [
        ('{"', SURE),
        ("answer", SURE),
        ('":', SURE),
        (' "', SURE),
        ("refund", DOUBTFUL),
        ('"', SURE),
        ("}", SURE),
    ]
    every = logprob_confidence(tokens, json_values_only=False)
    assert every == pytest.approx(0.25 ** (1 / 7))
    assert logprob_confidence(tokens, json_values_only=True) == pytest.approx(0.25 ** (1 / 3))
    doubtful_key = [(text, DOUBTFUL if text == "answer" else SURE) for text, _ in tokens]
    assert logprob_confidence(doubtful_key, json_values_only=True) == 1.0


def test_a_token_that_reaches_into_a_value_counts() -> None:
    assert logprob_confidence([('{"a":1', DOUBTFUL), ("}", SURE)], json_values_only=True) == pytest.approx(0.25)
    assert logprob_confidence([('{"a":', DOUBTFUL), ("", DOUBTFUL), ("true}", SURE)], json_values_only=True) == 1.0


def test_without_a_token_that_counts_the_confidence_is_unknown() -> None:
    assert logprob_confidence([], json_values_only=False) is None
    assert logprob_confidence([("{", SURE), ("}", SURE)], json_values_only=True) is None


def test_a_logprob_that_is_not_a_number_makes_the_confidence_unknown_not_certain() -> None:
    assert logprob_confidence([("a", math.nan), ("b", SURE)], json_values_only=False) is None


def test_an_impossible_token_leaves_no_confidence_at_all() -> None:
    assert logprob_confidence([("a", -math.inf), ("b", SURE)], json_values_only=False) == 0.0


@pytest.mark.parametrize("logprob", [0.1, 5.0, math.inf, None, "-0.5", True])
def test_a_logprob_that_no_probability_has_makes_the_confidence_unknown(logprob: Any) -> None:
    assert logprob_confidence([("a", SURE), ("b", logprob)], json_values_only=False) is None
    assert logprob_confidence([("{", logprob), ("1", DOUBTFUL)], json_values_only=True) == pytest.approx(0.25)


def test_a_logprob_that_rounding_put_over_0_is_certainty() -> None:
    assert logprob_confidence([("a", 1e-7)], json_values_only=False) == 1.0


anything = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.complex_numbers()


@pytest.mark.parametrize(("value", "known"), [(1 + 2**-52, 1.0), (-(2**-60), 0.0), (1.0001, None), (-0.0001, None)])
def test_only_what_arithmetic_rounds_is_moved_into_the_range(value: float, known: float | None) -> None:
    assert probability(value) == known


@given(anything)
def test_a_probability_is_the_number_itself_or_unknown(value: Any) -> None:
    found = probability(value)
    if type(value) in (int, float) and -1e-12 <= value <= 1 + 1e-12:
        assert found is not None
        assert 0 <= found <= 1
        assert abs(found - value) <= 1e-12
    else:
        assert found is None


@given(st.lists(st.tuples(st.text(max_size=5), st.floats(max_value=1000, allow_nan=False))), st.booleans())
def test_a_confidence_is_unknown_or_from_0_to_1(tokens: list[tuple[str, float]], values_only: bool) -> None:
    confidence = logprob_confidence(tokens, json_values_only=values_only)
    assert confidence is None or 0 <= confidence <= 1
