"""Ids: equal for what is the same, different for what is not."""

from __future__ import annotations

import json
import string
import unicodedata
from collections import Counter
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from streams.core.fingerprint import (
    call_id,
    canonical,
    digest,
    draw,
    task_fingerprint,
    trace_id,
)

texts = st.text(max_size=12)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
inputs: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
parts = st.lists(st.text(max_size=4) | st.binary(max_size=4) | st.integers(0, 99) | st.none(), max_size=5)


def backwards(value: Any) -> Any:
    """The same value with every object's keys in reverse order."""
    if isinstance(value, dict):
        return {key: backwards(item) for key, item in reversed(value.items())}
    return [backwards(item) for item in value] if isinstance(value, list) else value


def respelt(value: Any) -> Any:
    """The same value with every string decomposed and in white space."""
    if isinstance(value, str):
        return f" {unicodedata.normalize('NFD', value)}\n\t"
    if isinstance(value, dict):
        return {unicodedata.normalize("NFD", key): respelt(item) for key, item in value.items()}
    return [respelt(item) for item in value] if isinstance(value, list) else value


def normal(value: Any) -> Any:
    """Normalise a value independently of the code under test."""
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value).strip()
    if isinstance(value, dict):
        return {normal(key): normal(item) for key, item in value.items()}
    return [normal(item) for item in value] if isinstance(value, list) else value


def has_alike_keys(value: Any) -> bool:
    if isinstance(value, dict):
        return len({normal(key) for key in value}) < len(value) or any(map(has_alike_keys, value.values()))
    return isinstance(value, list) and any(map(has_alike_keys, value))


@given(inputs)
def test_the_order_of_keys_makes_no_difference(value: Any) -> None:
    assert task_fingerprint("v", value) == task_fingerprint("v", backwards(value))


@given(inputs)
def test_unicode_form_and_outer_white_space_make_no_difference(value: Any) -> None:
    assume(not has_alike_keys(value))
    assert task_fingerprint("v", value) == task_fingerprint("v", respelt(value))


@given(inputs, inputs)
def test_different_inputs_have_different_fingerprints(one: Any, other: Any) -> None:
    assume(not has_alike_keys(one) and not has_alike_keys(other))
    alike = json.dumps(normal(one), sort_keys=True) == json.dumps(normal(other), sort_keys=True)
    assert (task_fingerprint("v", one) == task_fingerprint("v", other)) == alike


@given(st.text(max_size=4), st.text(max_size=4))
def test_keys_that_are_alike_but_for_their_spelling_hide_nothing(one: str, other: str) -> None:
    first, second = {"a": one, " a": other}, {" a": other, "a": one}
    assert canonical(first) == canonical(second)
    assert canonical(first) not in (canonical({"a": one}), canonical({"a": other}))


@given(st.text(max_size=8), st.text(max_size=8), inputs)
def test_another_version_of_the_handler_asks_again(one: str, other: str, value: Any) -> None:
    assert (task_fingerprint(one, value) == task_fingerprint(other, value)) == (one == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [(1, 1.0), (1, True), (0, False), (None, "null"), (1, "1"), ([], {}), ([[1], 2], [1, [2]]), ("", None)],
)
def test_values_that_only_look_alike_get_different_hashes(one: Any, other: Any) -> None:
    assert task_fingerprint("v", one) != task_fingerprint("v", other)


def test_a_tuple_is_a_list() -> None:
    assert canonical((1, ("a",))) == canonical([1, ["a"]]) == '[1,["a"]]'


@given(parts, parts)
def test_no_two_lists_of_parts_run_together(one: list[Any], other: list[Any]) -> None:
    assert (digest(*one) == digest(*other)) == (one == other and list(map(type, one)) == list(map(type, other)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("ab", "c"), ("a", "bc")),
        (("a", ""), ("a",)),
        (("1",), (1,)),
        ((b"a",), ("a",)),
        ((None,), ("None",)),
        (("",), ()),
    ],
)
def test_the_boundaries_and_the_types_of_parts_count(one: tuple[Any, ...], other: tuple[Any, ...]) -> None:
    assert digest(*one) != digest(*other)


@given(parts)
def test_a_digest_is_128_bits_in_hexadecimal(some: list[Any]) -> None:
    made = digest(*some)
    assert len(made) == 32
    assert set(made) <= set(string.hexdigits.lower())


def test_half_a_surrogate_pair_can_be_fingerprinted() -> None:
    assert digest("\ud800") != digest("\ud801")


def test_ids_are_the_same_in_every_process_and_every_release() -> None:
    assert call_id("live", "e1", "worker", "answer", 1) == "049f4152f7e075473d21da2f93bd4a87"
    assert trace_id("live", "e1") == "329c6f84b058ba56635902fb8026711c"
    assert task_fingerprint("v", {"text": "é"}) == "9c73129fbfe21dc16d0b48761dc9caff"


def test_every_part_of_a_call_makes_its_id() -> None:
    calls = [
        call_id("live", "e", "worker", "h", 1),
        call_id("replay", "e", "worker", "h", 1),
        call_id("live", "f", "worker", "h", 1),
        call_id("live", "e", "reasoner", "h", 1),
        call_id("live", "e", "worker", "i", 1),
        call_id("live", "e", "worker", "h", 2),
        call_id("live", "e", "worker", "h", 1, 1),
        call_id("live", "e", "worker", "h", 1, fingerprint="f"),
        call_id("live", "e", "worker", "h", 1, fingerprint="g"),
    ]
    assert len(set(calls)) == len(calls)


# ---- Draws ----


@given(st.lists(st.text(max_size=4) | st.integers(0, 99), max_size=4))
def test_a_draw_is_a_share_below_1_and_the_same_each_time(some: list[str | int]) -> None:
    assert 0 <= draw(*some) < 1
    assert draw(*some) == draw(*some)


def test_a_draw_is_the_same_in_every_process_and_every_release() -> None:
    assert draw("explore", "049f4152f7e075473d21da2f93bd4a87") == 0.3204684296120637


def test_draws_are_spread_evenly() -> None:
    tenths = Counter(int(draw("explore", f"call {number}") * 10) for number in range(10_000))
    assert set(tenths) == set(range(10))
    assert max(abs(count - 1000) for count in tenths.values()) < 120  # four standard deviations


def test_draws_for_two_purposes_have_nothing_to_do_with_each_other() -> None:
    pairs = [(draw("explore", f"call {number}"), draw("watch", f"call {number}")) for number in range(10_000)]
    both = sum(one < 0.5 and other < 0.5 for one, other in pairs)
    assert abs(both - 2500) < 175  # four standard deviations
    assert not any(one == other for one, other in pairs)
