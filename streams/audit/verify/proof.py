"""Which comparisons of `escalon verify` prove anything: what a log that lacks something cannot have shown.

Topics lose their records at their own pace, are compacted, and are deleted and made again; ClickHouse's rows expire.
So that something is not there proves a fault only where it would have to be there. Pure; times are in milliseconds.

The times of our own messages are those of the tiers' clocks and can be compared. Events have the times that their
producers set, which may be anything: of them only the order of a partition is certain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from streams.audit.verify.arrays import ELSEWHERE, OTHER_RUN, OURS, Array
from streams.audit.verify.discrepancies import Split, without
from streams.audit.verify.topic_evidence import TopicEvidence

DAY_MS = 86_400_000


def whole_since(found: TopicEvidence) -> int | None:
    """From when on a topic holds everything that was written to it; None when nothing says so.

    A log whose beginning is there is as old as the topic, which is no younger than the topic's first record. One whose
    beginning is gone is whole from its first record on. A topic made again looks like a young one.
    """
    if found.compacted or not found.begun or found.trimmed - found.begun.keys():
        return None
    made = min(found.begun.values())
    return max([made, *(found.begun[number] for number in found.trimmed)])


def arrivals(events: Array, some: Array, latest: int) -> Array:
    """When some of the events had come at the earliest; 0 where nothing says so.

    An event came after those before it in its partition, so the greatest of their times counts, of those that are not
    ahead of `latest`.
    """
    found = np.zeros(len(some), dtype=np.int64)
    for number in np.unique(some["partition"]):
        there = np.sort(events[events["partition"] == number], order="offset")
        came = np.maximum.accumulate(np.where((there["at"] > 0) & (there["at"] <= latest), there["at"], 0))
        mine = some["partition"] == number
        found[mine] = came[np.searchsorted(there["offset"], some["offset"][mine])]
    return found


def expired(times: Array, days: float | None, now: int) -> Array:
    """Whether rows with these times may have been removed because of their age; `days` None keeps all of them."""
    if days is None:
        return np.zeros(len(times), dtype=bool)
    old: Array = times <= now - days * DAY_MS
    return old


@dataclass(frozen=True, slots=True)
class EventLinks:
    """What the messages of one topic say of the events: which ones are about none that is held, and the others."""

    strangers: Array
    """Indexes of this run's messages about events that are not there."""
    alive: int | None
    """The time of the first message about an event that is still where the message says."""


def links(entries: Array, events: Array) -> EventLinks:
    """Compare a topic's messages with the events."""
    ours = np.flatnonzero(entries["standing"] != OTHER_RUN)
    strangers = ours[without(entries["event"][ours], events["id"])]
    here = entries[entries["standing"] == OURS]
    places, wanted = (
        _places(events["partition"], events["offset"]),
        _places(here["source_partition"], here["source_offset"]),
    )
    order = np.argsort(places)
    at = np.searchsorted(places[order], wanted)
    inside = np.flatnonzero(at < len(places))
    event, about = events[order[at[inside]]], here[inside]
    # What was said before the event had come was said of another one.
    same = (places[order[at[inside]]] == wanted[inside]) & (event["id"] == about["event"])
    times = about["at"][same & (about["at"] > 0) & (about["at"] >= event["at"])]
    return EventLinks(strangers, int(times.min()) if len(times) else None)


def orphans(entries: Array, events: TopicEvidence, alive: int | None, spoken: Array) -> Split:
    """Messages about events that never were, of those about events that are not held.

    An event is proven to never have been where its topic, as it was already at the time, should hold it: the topic
    existed since `alive`, and `spoken` has the time at which each message's event was first spoken of. What is older
    may be about a topic that was deleted since.
    """
    starts = np.array([events.starts.get(int(one), 2**62) for one in entries["source_partition"]], dtype=np.int64)
    proven = (entries["source_offset"] >= starts) & (spoken >= (2**62 if alive is None else alive))
    if events.compacted:  # what is not there now may have been
        there = _places(events.entries["partition"], events.entries["offset"])
        proven &= np.isin(_places(entries["source_partition"], entries["source_offset"]), there)
    proven |= entries["standing"] == ELSEWHERE
    return Split(np.flatnonzero(proven), unproven=int((~proven).sum()))


def first_spoken(said: Sequence[Array]) -> list[Array]:
    """For each message of several topics, when any of them first spoke of its event."""
    events = np.concatenate([np.empty(0, "S16"), *(one["event"] for one in said)])
    at = np.concatenate([np.empty(0, np.int64), *(one["at"] for one in said)])
    _, which = np.unique(events, return_inverse=True)
    first = np.full(len(events), 2**62, dtype=np.int64)
    np.minimum.at(first, which, at)
    return np.split(first[which], np.cumsum([len(one) for one in said])[:-1])


def padded(ids: Array) -> list[bytes]:
    """Ids as bytes. An array of bytes drops the zeros at their ends."""
    return [bytes(one).ljust(16, b"\0") for one in ids]


def _places(partitions: Array, offsets: Array) -> Array:
    """Partition and offset as one number."""
    both: Array = (partitions.astype(np.int64) << 44) | (offsets & ((1 << 44) - 1))
    return both
