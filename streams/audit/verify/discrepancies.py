"""The comparisons of `escalon verify`: which entries of the topics and rows of ClickHouse do not fit together.

Pure. Every function takes arrays of `streams.audit.verify.arrays` and gives indexes into its first one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from streams.audit.verify.arrays import OTHER_RUN, Array, as_events


@dataclass(frozen=True, slots=True)
class Split:
    """Indexes of what is at fault, and how many more are too young to say, or cannot be proven."""

    faults: Array
    young: int = 0
    unproven: int = 0


def without(ids: Array, others: Array) -> Array:
    """Indexes of the ids that are not among the others."""
    return np.flatnonzero(~np.isin(ids, others))


def by_age(entries: Array, found: Array, now: int, grace: int) -> Split:
    """Those of `found` that are no older than `grace` are young, the others are faults; in milliseconds.

    A time ahead of `now` by more than the grace is no clock that differs a little. It would be young for ever, so it
    counts as old.
    """
    at = entries["at"][found]
    old = (at <= now - grace) | (at > now + grace)
    return Split(found[old], young=int(len(found) - old.sum()))


def firsts(events: Array) -> Array:
    """Each event once, where it was first: one published twice is one event, two under one id are two.

    Of which nobody can read what it says counts as the other one with its id.
    """
    order = np.lexsort((events["offset"], events["partition"], events["said"], events["id"]))
    ids, said = events["id"][order], events["said"][order]
    first = np.ones(len(ids), dtype=bool)
    first[1:] = (ids[1:] != ids[:-1]) | ((said[1:] != said[:-1]) & (said[:-1] != b""))
    return events[np.sort(order[first])]


def among(events: Array, others: Array) -> Array:
    """Whether each event is among the others: by its id, and by what it says where that is known of both."""
    known = others["said"] != b""
    exact = np.isin(_whole(events["id"], events["said"]), _whole(others["id"][known], others["said"][known]))
    loose = np.isin(events["id"], others["id"][~known]) | (
        (events["said"] == b"") & np.isin(events["id"], others["id"])
    )
    among_them: Array = exact | loose
    return among_them


def _whole(ids: Array, said: Array) -> Array:
    return as_events(ids, said).view("S24")


def strays(rows: Array, entries: Array, horizon: int | None) -> Split:
    """Rows that no record of the topic made. Rows from before `horizon` cannot be proven; None proves none."""
    found = without(rows["id"], entries["id"])
    if horizon is None:
        return Split(found[:0], unproven=len(found))
    late = rows["at"][found] >= horizon
    return Split(found[late], unproven=int(len(found) - late.sum()))


def doubled(outcomes: Array) -> tuple[Array, int]:
    """Outcomes that differ from the first of their event, and the number of copies that equal it."""
    mine = np.flatnonzero(outcomes["standing"] != OTHER_RUN)
    if not len(mine):
        return mine, 0
    order = mine[np.lexsort((outcomes["offset"][mine], outcomes["partition"][mine], outcomes["event"][mine]))]
    events, contents = outcomes["event"][order], outcomes["content"][order]
    first = np.ones(len(order), dtype=bool)
    first[1:] = events[1:] != events[:-1]
    its_first = np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))
    differs = contents != contents[its_first]
    return np.sort(order[differs]), int((~first & ~differs).sum())


def repeated(ids: Array) -> int:
    """How many entries have the id of an earlier one."""
    return len(ids) - len(np.unique(ids))
