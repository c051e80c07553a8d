"""The choice of the tasks of the next batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from datetime import datetime

from streams.batching.waiting import BatchQuestion, Waiting
from streams.core.batch_time import gathered_by
from streams.models.providers.batches import MOST_BYTES, MOST_REQUESTS

Group = list[tuple[Waiting, BatchQuestion]]


def next_group(free: Iterable[Waiting], busy: Set[str], now: datetime, held: Set[str]) -> Group:
    """Return the tasks of a batch that is due, because it is full or one of them has waited long enough.

    Of identical tasks it has the first; `busy` are the keys of those in a batch already. Models in `held` are left out.
    """
    seen, groups = set(busy), dict[tuple[str, int | None], Group]()
    sizes: dict[tuple[str, int | None], int] = {}
    for waiting in free:
        question = waiting.question
        if question is None or question.model in held or question.key in seen:
            continue
        seen.add(question.key)
        key = waiting.group(question)
        group, size = groups.setdefault(key, []), sizes.get(key, 0) + question.size
        if group and (size > MOST_BYTES or len(group) >= MOST_REQUESTS):
            return group
        group.append((waiting, question))
        sizes[key] = size
    due = (one for one in groups.values() if any(gathered_by(w.queued_at, q.batch) <= now for w, q in one))
    return next(due, [])


def following(members: Iterable[Waiting], free: Iterable[Waiting]) -> Mapping[int, list[Waiting]]:
    """Return the tasks that are identical to one in a batch, by the offset of that one."""
    leaders = {one.question.key: one.offset for one in members if one.question is not None}
    found: dict[int, list[Waiting]] = {}
    for one in free:
        if one.question is not None and one.question.key in leaders:
            found.setdefault(leaders[one.question.key], []).append(one)
    return found
