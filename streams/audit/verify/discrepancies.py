"""The comparisons of `escalon verify`: entries of topics and rows of ClickHouse that do not match.

Pure. Every function takes arrays of `streams.audit.verify.arrays` and returns indexes into its first one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from streams.audit.verify.arrays import OTHER_RUN, Array, event_keys


@dataclass(frozen=True, slots=True)
class Split:
    """Indexes of faults, and how many more are too young to judge or cannot be proven."""

    faults: Array
    young: int = 0
    unproven: int = 0


def missing_from(ids: Array, others: Array) -> Array:
    return np.flatnonzero(~np.isin(ids, others))


def split_by_age(entries: Array, found: Array, now: int, grace: int) -> Split:
    """Take those of `found` that are older than `grace` milliseconds for faults, the others for young.

    A time ahead of `now` by more than the grace is not explained by clocks that differ a little. It would stay young
    indefinitely, so it counts as old.
    """
    at = entries["at"][found]
    old = (at <= now - grace) | (at > now + grace)
    return Split(found[old], young=int(len(found) - old.sum()))


def distinct_events(events: Array) -> Array:
    """Return each event once, at its first position. Two contents under one id are two events.

    An event whose content is unknown counts as the other one with its id.
    """
    order = np.lexsort((events["offset"], events["partition"], events["content"], events["id"]))
    ids, contents = events["id"][order], events["content"][order]
    first = np.ones(len(ids), dtype=bool)
    first[1:] = (ids[1:] != ids[:-1]) | ((contents[1:] != contents[:-1]) & (contents[:-1] != b""))
    return events[np.sort(order[first])]


def in_events(events: Array, others: Array) -> Array:
    """Return a mask of the events that are among the others: by id, and by content where both contents are known."""
    known = others["content"] != b""
    exact = np.isin(_joined(events["id"], events["content"]), _joined(others["id"][known], others["content"][known]))
    loose = np.isin(events["id"], others["id"][~known]) | (
        (events["content"] == b"") & np.isin(events["id"], others["id"])
    )
    mask: Array = exact | loose
    return mask


def _joined(ids: Array, contents: Array) -> Array:
    return event_keys(ids, contents).view("S24")


def stray_rows(rows: Array, entries: Array, complete_since: int | None) -> Split:
    """Return the rows without a record. Rows older than `complete_since` cannot be proven; None proves none."""
    found = missing_from(rows["id"], entries["id"])
    if complete_since is None:
        return Split(found[:0], unproven=len(found))
    late = rows["at"][found] >= complete_since
    return Split(found[late], unproven=int(len(found) - late.sum()))


def conflicting_outcomes(outcomes: Array) -> tuple[Array, int]:
    """Return the outcomes that differ from the first of their event, and the number of copies that equal it."""
    mine = np.flatnonzero(outcomes["scope"] != OTHER_RUN)
    if not len(mine):
        return mine, 0
    order = mine[np.lexsort((outcomes["offset"][mine], outcomes["partition"][mine], outcomes["event"][mine]))]
    events, bodies = outcomes["event"][order], outcomes["body"][order]
    first = np.ones(len(order), dtype=bool)
    first[1:] = events[1:] != events[:-1]
    its_first = np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))
    differs = bodies != bodies[its_first]
    return np.sort(order[differs]), int((~first & ~differs).sum())


def count_repeated(ids: Array) -> int:
    return len(ids) - len(np.unique(ids))
