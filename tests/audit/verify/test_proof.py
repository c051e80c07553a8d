"""A missing entry is a fault only if it would have to be present."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pytest

from streams.audit.verify.arrays import EVENT, MESSAGE, OTHER_RUN, OTHER_TOPIC, THIS_TOPIC, Array, GrowingArray, digest
from streams.audit.verify.clickhouse_evidence import days_kept
from streams.audit.verify.proof import (
    DAY_MS,
    complete_since,
    earliest_arrivals,
    first_mentioned,
    link_to_events,
    may_have_expired,
    orphans,
)
from streams.audit.verify.topic_evidence import TopicEvidence

Entry = tuple[str, int, int, int]


def places(*entries: Entry) -> Array:
    """Events: name, partition, offset, time."""
    array = GrowingArray(EVENT)
    for name, partition, offset, at in entries:
        array.add(digest(name), partition, offset, at, b"")
    return array.entries()


def messages(*entries: Entry, scope: int = THIS_TOPIC) -> Array:
    """Messages about events: name, source partition and offset, time."""
    array = GrowingArray(MESSAGE)
    for name, partition, offset, at in entries:
        array.add(digest(name), 0, 0, at, b"", digest(name), scope, partition, offset, b"", b"", 0)
    return array.entries()


def found(
    entries: Array,
    marks: Mapping[int, tuple[int, int]],
    begun: Mapping[int, int] | None = None,
    trimmed: Iterable[int] = (),
    **more: Any,
) -> TopicEvidence:
    """A topic."""
    starts = more.pop("starts", {number: low for number, (low, _) in marks.items()})
    lost = frozenset({*trimmed, *(number for number, (low, _) in marks.items() if low)})
    return TopicEvidence("events", entries, places(), marks, starts, begun or {}, lost, **more)


WHOLE = [
    # marks, first times, since when it is whole
    ({0: (0, 5)}, {0: 100}, 100),
    ({0: (0, 5), 1: (0, 5)}, {0: 100, 1: 70}, 70),  # the topic is older than its first record
    ({0: (0, 5), 1: (0, 0)}, {0: 100}, 100),
    ({0: (3, 5), 1: (0, 5)}, {0: 100, 1: 70}, 100),
    ({0: (3, 5), 1: (9, 12)}, {0: 100, 1: 300}, 300),
    ({0: (0, 5), 1: (9, 9)}, {0: 100}, None),  # of one partition nothing is left
    ({0: (0, 0), 1: (0, 0)}, {}, None),
    ({0: (5, 5)}, {}, None),
]


@pytest.mark.parametrize(("marks", "begun", "since"), WHOLE)
def test_a_topic_is_whole_from_then_on(
    marks: Mapping[int, tuple[int, int]], begun: Mapping[int, int], since: int | None
) -> None:
    assert complete_since(found(messages(), marks, begun)) == since


def test_a_compacted_topic_is_never_whole() -> None:
    assert complete_since(found(messages(), {0: (0, 5)}, {0: 100}, compacted=True)) is None


def test_an_event_came_no_earlier_than_those_before_it_with_any_timestamp() -> None:
    events = places(
        ("a", 0, 1, 50), ("b", 0, 2, 10), ("c", 0, 5, 9999), ("d", 0, 6, 0), ("e", 1, 0, 9999), ("f", 1, 1, 7)
    )
    assert earliest_arrivals(events, events[[5, 4, 3, 2, 1, 0]], 1000).tolist() == [7, 0, 50, 50, 50, 50]


def test_rows_expire_by_their_age_alone() -> None:
    times = np.array([0, 10 * DAY_MS, 20 * DAY_MS, 2**62], dtype=np.int64)
    assert may_have_expired(times, 5, 20 * DAY_MS).tolist() == [True, True, False, False]
    assert may_have_expired(times, None, 2**62).tolist() == [False] * 4


TABLE = "CREATE TABLE a.b (`a` String TTL toDateTime(t) + toIntervalDay(3)) ENGINE = MergeTree ORDER BY a"
CREATED = [
    (TABLE, None),
    (f"{TABLE} TTL toDateTime(t) + toIntervalDay(30) SETTINGS x = 1", 30),
    (f"{TABLE} TTL t + toIntervalDay(30), t + toIntervalDay(7) WHERE b", 7),
    (f"{TABLE} TTL t + toIntervalMonth(3)", 0),
    ("CREATE TABLE a.b (`a` String) ENGINE = Distributed('c', 'a', 'b')", None),
]


@pytest.mark.parametrize(("created", "days"), CREATED)
def test_a_table_says_after_how_many_days_its_rows_may_go(created: str, days: float | None) -> None:
    assert days_kept(created) == days


EVENTS = places(("a", 0, 5, 100), ("b", 0, 7, 200))


def test_the_topic_was_there_when_a_message_was_about_what_is_on_it() -> None:
    said = messages(("a", 0, 5, 150), ("b", 0, 7, 250), ("never", 0, 9, 160))
    linked = link_to_events(said, EVENTS)
    assert (linked.unknown.tolist(), linked.first_confirmed) == ([2], 150)


@pytest.mark.parametrize(
    "said",
    [
        messages(("a", 0, 6, 150)),  # the same id at another place
        messages(("a", 1, 5, 150)),
        messages(("a", 0, 5, 99)),  # before this event had come
        messages(("a", 0, 5, 150), scope=OTHER_TOPIC),
        messages(("a", 0, 5, 150), scope=OTHER_RUN),
        messages(),
    ],
    ids=str,
)
def test_a_message_about_another_event_says_nothing_of_the_topic(said: Array) -> None:
    assert link_to_events(said, EVENTS).first_confirmed is None


def judged(said: Array, first_confirmed: int | None, *more_said: Array, **more: Any) -> tuple[list[int], int]:
    """Return the orphans, and the number of messages that may be orphans."""
    events = found(EVENTS, more.pop("marks", {0: (5, 10)}), **more)
    split = orphans(said, events, first_confirmed, first_mentioned([said, *more_said])[0])
    return split.faults.tolist(), split.unproven


NEVER = messages(("never", 0, 6, 300))
ORPHANS = [
    (judged(NEVER, 250), [0]),
    (judged(messages(("gone", 0, 4, 300)), 250), []),  # deleted from the topic's beginning
    (judged(messages(("other", 3, 0, 300)), 250), []),  # the topic has no such partition any more
    (judged(messages(("behind", 0, 99, 300)), 250), [0]),
    (judged(NEVER, None), []),  # nothing says that this topic was there then
    (judged(NEVER, 301), []),
    (judged(NEVER, 250, messages(("never", 0, 6, 200))), []),  # it was in flight before
    (judged(NEVER, 250, compacted=True), []),  # a later record may have replaced it
    (judged(messages(("never", 0, 5, 300)), 250, compacted=True), [0]),  # another event is in its place
    (judged(messages(("never", 0, 2, 1), scope=OTHER_TOPIC), None), [0]),
]


@pytest.mark.parametrize(("found_", "faults"), ORPHANS)
def test_an_orphan_is_proven_where_its_event_would_have_to_be_held(
    found_: tuple[list[int], int], faults: list[int]
) -> None:
    assert found_ == (faults, 1 - len(faults))
