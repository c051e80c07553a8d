"""SETTLE: results in, exactly one outcome an event out. The only writer of outcomes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from streams.core.errors import UnreadableError
from streams.core.messages import Origin, Outcome, Result


@dataclass(frozen=True, slots=True)
class Settled:
    """The position of the result that settled an event, and the outcome's bytes as first written."""

    partition: int
    offset: int
    outcome: bytes


def settles(prior: Settled | None, partition: int, offset: int) -> bool:
    """True if the result at this position may write the outcome.

    The first result of an event wins. Delivered again after a crash, that same result writes the same bytes
    again, because it is unknown whether they arrived; any other result of the event is dropped.
    """
    return prior is None or (prior.partition, prior.offset) == (partition, offset)


def check_same_event(result: Result, settled: Outcome | None) -> None:
    """Raise UnreadableError where a result is about another event than the one that has ended under its id.

    A result or an outcome without a digest counts as the same event's.
    """
    if settled is None:
        return
    mine, ended = result.origin, settled.origin
    if mine.content_digest and ended.content_digest not in ("", mine.content_digest):
        raise id_conflict(mine, f"{ended.topic} {ended.partition}/{ended.offset}")


def id_conflict(origin: Origin, other: str) -> UnreadableError:
    """Return the error about an event whose id another event has, which was read from `other`."""
    what = f"Another event ({other}) has the id {origin.event_id!r}, and says something else."
    return UnreadableError("id_conflict", what, "Give each event an id of its own; of a row's key, add the version.")


def settle(result: Result, now: datetime) -> Outcome:
    return Outcome(
        origin=result.origin,
        state=result.state,
        tier=result.tier,
        handler=result.handler,
        intent=result.intent,
        answer=result.answer,
        reasons=result.reasons,
        duplicate_of=result.duplicate_of,
        call_id=result.call_id,
        pipeline=result.pipeline,
        settled_at=now,
    )
