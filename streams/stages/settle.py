"""SETTLE: results in, exactly one outcome an event out. The only writer of outcomes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from streams.core.messages import Outcome, Result


@dataclass(frozen=True, slots=True)
class Settled:
    """What settled an event: where the winning result stood, and the outcome's bytes as first written."""

    partition: int
    offset: int
    outcome: bytes


def settles(prior: Settled | None, partition: int, offset: int) -> bool:
    """Whether the result at this position may write the outcome.

    The first result of an event wins. Delivered again after a crash, that same result writes the same bytes
    again, for nobody can know whether they arrived; any other result of the event is dropped.
    """
    return prior is None or (prior.partition, prior.offset) == (partition, offset)


def settle(result: Result, now: datetime) -> Outcome:
    """The outcome that a winning result makes."""
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
