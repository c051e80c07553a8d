"""The limits of proof: an entry that is missing proves a fault only where it would have to be present.

Topics lose their records at different paces, are compacted, and are deleted and created again; ClickHouse's rows
expire. Pure; times are in milliseconds.

The times of the tiers' own messages are those of the tiers' clocks and can be compared. The times of events are set by
their producers and may be anything: only the order within a partition is certain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from streams.audit.verify.arrays import OTHER_RUN, OTHER_TOPIC, SOURCE_TOPIC, THIS_TOPIC, Array
from streams.audit.verify.discrepancies import Split, missing_from
from streams.audit.verify.topic_evidence import TopicEvidence

DAY_MS: Final = 86_400_000
NEVER: Final = 2**62


def complete_since(found: TopicEvidence) -> int | None:
    """Return the time since when a topic holds everything that was written to it; None if nothing shows it.

    A partition that still has its beginning is as old as the topic, which is not younger than its first record. A
    trimmed one is complete from its first record on. A topic that was created again looks like a young one.
    """
    if found.compacted or not found.begun or found.trimmed - found.begun.keys():
        return None
    made = min(found.begun.values())
    return max([made, *(found.begun[number] for number in found.trimmed)])


def earliest_arrivals(events: Array, some: Array, latest: int) -> Array:
    """Return the earliest time at which each of some events can have come; 0 where nothing shows it.

    An event came after those before it in its partition, so this is the greatest of their times, ignoring those ahead
    of `latest`.
    """
    found = np.zeros(len(some), dtype=np.int64)
    for number in np.unique(some["partition"]):
        held = np.sort(events[events["partition"] == number], order="offset")
        came = np.maximum.accumulate(np.where((held["at"] > 0) & (held["at"] <= latest), held["at"], 0))
        mine = some["partition"] == number
        found[mine] = came[np.searchsorted(held["offset"], some["offset"][mine])]
    return found


def may_have_expired(times: Array, days: float | None, now: int) -> Array:
    """Return a mask of the rows that their table's TTL may have removed; `days` None keeps all rows."""
    if days is None:
        return np.zeros(len(times), dtype=bool)
    old: Array = times <= now - days * DAY_MS
    return old


@dataclass(frozen=True, slots=True)
class EventLinks:
    """The messages of one topic, compared with the events that are held."""

    unknown: Array
    """Indexes of this run's messages about events that are not held."""
    first_confirmed: int | None
    """The time of the first message whose event is still at the position that the message names."""


def link_to_events(entries: Array, events: Array) -> EventLinks:
    ours = np.flatnonzero(entries["scope"] != OTHER_RUN)
    unknown = ours[missing_from(entries["event"][ours], events["id"])]
    here = entries[entries["scope"] == THIS_TOPIC]
    places = _places(events["partition"], events["offset"])
    wanted = _places(here["source_partition"], here["source_offset"])
    order = np.argsort(places)
    at = np.searchsorted(places[order], wanted)
    inside = np.flatnonzero(at < len(places))
    event, about = events[order[at[inside]]], here[inside]
    # A message from before the event came was about another event at the same position.
    same = (places[order[at[inside]]] == wanted[inside]) & (event["id"] == about["event"])
    times = about["at"][same & (about["at"] > 0) & (about["at"] >= event["at"])]
    times = np.concatenate([times, _mentions(entries[entries["scope"] == SOURCE_TOPIC], events)])
    return EventLinks(unknown, int(times.min()) if len(times) else None)


def _mentions(about: Array, events: Array) -> Array:
    """Return the times of messages whose event is held, found by its id: its place is one in a topic of the user's."""
    order = np.argsort(events["id"], kind="stable")
    at = np.searchsorted(events["id"][order], about["event"])
    inside = np.flatnonzero(at < len(events))
    event, about = events[order[at[inside]]], about[inside]
    times: Array = about["at"][(event["id"] == about["event"]) & (about["at"] > 0) & (about["at"] >= event["at"])]
    return times


def orphans(entries: Array, events: TopicEvidence, first_confirmed: int | None, mentioned: Array) -> Split:
    """Return the messages about events that never existed, out of those about events that are not held.

    An event is proven never to have existed where its topic, as it was at the time, should hold it: the topic existed
    since `first_confirmed`, and `mentioned` is the time at which each message's event was first mentioned. Older
    messages may be about a topic that was deleted since.
    """
    starts = np.array([events.starts.get(int(one), NEVER) for one in entries["source_partition"]], dtype=np.int64)
    existed = NEVER if first_confirmed is None else first_confirmed
    proven = (entries["source_offset"] >= starts) & (mentioned >= existed)
    if events.compacted:  # compaction may have removed an event that is missing
        held = _places(events.entries["partition"], events.entries["offset"])
        proven &= np.isin(_places(entries["source_partition"], entries["source_offset"]), held)
    of_source = entries["scope"] == SOURCE_TOPIC  # its place says nothing: only a topic that has all events does
    proven &= ~of_source
    if not events.trimmed and not events.compacted:
        proven |= of_source & (mentioned >= existed)
    proven |= entries["scope"] == OTHER_TOPIC
    return Split(np.flatnonzero(proven), unproven=int((~proven).sum()))


def first_mentioned(topics: Sequence[Array]) -> list[Array]:
    """Return, for each message of several topics, the time at which any of them first mentioned its event."""
    events = np.concatenate([np.empty(0, "S16"), *(one["event"] for one in topics)])
    at = np.concatenate([np.empty(0, np.int64), *(one["at"] for one in topics)])
    _, which = np.unique(events, return_inverse=True)
    first = np.full(len(events), NEVER, dtype=np.int64)
    np.minimum.at(first, which, at)
    return np.split(first[which], np.cumsum([len(one) for one in topics])[:-1])


def padded(ids: Array) -> list[bytes]:
    """Return ids as bytes of full length. An array of bytes drops trailing zeros."""
    return [bytes(one).ljust(16, b"\0") for one in ids]


def _places(partitions: Array, offsets: Array) -> Array:
    both: Array = (partitions.astype(np.int64) << 44) | (offsets & ((1 << 44) - 1))
    return both
