"""The comparisons of verify, against the same said plainly."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streams.audit.verify.arrays import (
    CHUNK,
    EVENT,
    EVENT_KEY,
    MESSAGE,
    OTHER_RUN,
    ROW,
    THIS_TOPIC,
    Array,
    GrowingArray,
    content_hash,
    digest,
    rows_from_binary,
)
from streams.audit.verify.discrepancies import (
    conflicting_outcomes,
    count_repeated,
    distinct_events,
    in_events,
    missing_from,
    split_by_age,
    stray_rows,
)

NAMES = st.sampled_from(["a", "b", "c", "d"])


def linked(entries: Iterable[tuple[str, str, int]], scope: int = THIS_TOPIC) -> Array:
    """Outcomes of an event with a content and an offset."""
    array = GrowingArray(MESSAGE)
    for event, content, offset in entries:
        name = digest(event)
        array.add(name, 0, offset, 0, b"", name, scope, 0, offset, b"", content.encode(), 0)
    return array.entries()


def places(entries: Iterable[tuple[str, int, int]]) -> Array:
    """Events with a partition and an offset; the offset is the time too."""
    array = GrowingArray(EVENT)
    for name, partition, offset in entries:
        array.add(digest(name), partition, offset, offset, b"")
    return array.entries()


@given(st.lists(st.tuples(NAMES, st.sampled_from(["x", "y", "z"]))))
def test_an_outcome_is_doubled_when_it_differs_from_the_first_of_its_event(said: list[tuple[str, str]]) -> None:
    first: dict[str, str] = {}
    differing, copies = [], 0
    for place, (event, content) in enumerate(said):
        if first.setdefault(event, content) != content:
            differing.append(place)
        elif any(earlier[0] == event for earlier in said[:place]):
            copies += 1
    found, counted = conflicting_outcomes(
        linked((event, content, place) for place, (event, content) in enumerate(said))
    )
    assert (found.tolist(), counted) == (differing, copies)


def test_outcomes_of_another_run_are_not_compared() -> None:
    assert conflicting_outcomes(linked([("a", "x", 0), ("a", "y", 1)], OTHER_RUN))[0].tolist() == []


@given(st.lists(st.tuples(NAMES, st.integers(0, 2)), max_size=12))
def test_each_event_is_kept_once_at_its_first_position(said: list[tuple[str, int]]) -> None:
    published = [(name, partition, offset) for offset, (name, partition) in enumerate(said)]
    want: dict[bytes, tuple[int, int]] = {}
    for name, partition, offset in published:
        where = (partition, offset)
        want[digest(name)] = min(want.get(digest(name), where), where)
    kept = {
        bytes(row["id"]).ljust(16, b"\0"): (row["partition"], row["offset"])
        for row in distinct_events(places(published))
    }
    assert kept == want


@given(st.sets(NAMES), st.sets(NAMES))
def test_what_is_missing_is_what_the_others_have_not(mine: set[str], others: set[str]) -> None:
    order = sorted(mine)
    one, other = places((name, 0, 0) for name in order), places((name, 0, 0) for name in others)
    assert [order[place] for place in missing_from(one["id"], other["id"])] == sorted(mine - others)


def test_only_what_is_older_than_the_grace_is_a_fault() -> None:
    split = split_by_age(places([("a", 0, 10), ("b", 0, 20), ("c", 0, 21)]), np.array([0, 1, 2]), now=25, grace=5)
    assert (split.faults.tolist(), split.young) == ([0, 1], 1)


def test_a_time_further_ahead_than_the_grace_is_not_young() -> None:
    ahead = places([("skewed", 0, 30), ("wrong", 0, 31), ("absurd", 0, 2**63 - 1)])
    split = split_by_age(ahead, np.array([0, 1, 2]), now=25, grace=5)
    assert (split.faults.tolist(), split.young) == ([1, 2], 1)


def rows(said: Iterable[tuple[str, int]]) -> Array:
    """Rows with an id and a time."""
    return np.array([(digest(name), at) for name, at in said], ROW)


def test_a_row_from_before_the_horizon_cannot_be_proven() -> None:
    held, entries = rows([("a", 5), ("b", 10), ("c", 11)]), places([("c", 0, 0)])
    assert stray_rows(held, entries, 10).faults.tolist() == [1]
    assert stray_rows(held, entries, 10).unproven == 1
    assert stray_rows(held, entries, None).unproven == 2


@given(st.lists(st.tuples(NAMES, st.integers(-(2**62), 2**62))), st.data())
def test_rows_are_read_whole_however_their_bytes_are_cut(said: list[tuple[str, int]], data: st.DataObject) -> None:
    whole = rows(said).tobytes()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert rows_from_binary(iter(pieces)).tolist() == rows(said).tolist()


def test_a_ledger_keeps_the_order_across_its_chunks() -> None:
    count = 2 * CHUNK + 7
    array = GrowingArray(EVENT)
    for offset in range(count):
        array.add(b"x", 0, offset, 0, b"")
    offsets: Any = array.entries()["offset"]
    assert (offsets == np.arange(count)).all()
    assert count_repeated(array.entries()["id"]) == count - 1


@given(st.lists(st.tuples(NAMES, st.sampled_from(["", "x", "y"])), max_size=8))
def test_two_events_under_one_id_are_two_and_one_that_cannot_be_read_is_the_other(
    published: list[tuple[str, str]],
) -> None:
    array = GrowingArray(EVENT)
    for offset, (name, content) in enumerate(published):
        array.add(digest(name), 0, offset, offset, content_hash(content))
    want = {
        name: max(1, len({content for other, content in published if other == name} - {""})) for name, _ in published
    }
    assert len(distinct_events(array.entries())) == sum(want.values())


@given(*[st.lists(st.tuples(NAMES, st.sampled_from(["", "x", "y"])), max_size=8)] * 2)
def test_an_event_ends_by_what_is_about_it_or_may_be(
    events: list[tuple[str, str]], ended: list[tuple[str, str]]
) -> None:
    def of(entries: list[tuple[str, str]]) -> Array:
        return np.array([(digest(name), content_hash(content)) for name, content in entries], EVENT_KEY)

    want = [
        any(name == other and (content == about or "" in (content, about)) for other, about in ended)
        for name, content in events
    ]
    assert in_events(of(events), of(ended)).tolist() == want
