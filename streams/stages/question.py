"""What is asked of a handler, and how asking it ended."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import datetime

from streams.core.escalation import Bar
from streams.core.fingerprint import digest, task_fingerprint
from streams.core.messages import Attempt, Call, Decision, Origin
from streams.stages.ports import Asker, Desk
from streams.stages.task import Task

TRIES_A_ROUND = 16
"""More than a handler's retries and its fallback can come to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One task for one handler, about one event."""

    asker: Asker
    task: Task
    origin: Origin
    task_fingerprint: str
    received_at: datetime
    """The timestamp of the message that brought it."""
    parent_call_id: str | None = None
    sample: int = 0
    """Which of several samples of the task."""
    deadline: datetime | None = None
    """When the event must be done; no call outlasts it."""
    round: int = 0
    """How often the task has been put off: each round's calls have ids of their own."""
    tried: int = 0
    """Calls of this round that were made before."""

    @property
    def fingerprint(self) -> str:
        """The task's; a further sample is a task of its own."""
        return digest(self.task_fingerprint, self.sample) if self.sample else self.task_fingerprint

    def number(self, nth: int) -> int:
        """The number of its `nth` try, from 1; no two tries of an event and handler share one."""
        return self.round * TRIES_A_ROUND + self.tried + nth

    def second(self, tried: int = 0) -> Question | None:
        """The same question to the handler's fallback, after some tries; None without one."""
        other = self.asker.fallback
        if other is None:
            return None
        fingerprint = task_fingerprint(other.handler.version, self.task.input())
        return dataclasses.replace(self, asker=other, task_fingerprint=fingerprint, tried=self.tried + tried)

    @property
    def key(self) -> str:
        """What its answer is stored under: one key for identical tasks, or one for this event alone."""
        if self.asker.handler.spec.cache == "shared":
            return self.fingerprint
        return digest(self.fingerprint, self.origin.run, self.origin.event_id)


@dataclass(frozen=True, slots=True)
class Consultation:
    """How it ended. The last call is the one the attempt came of."""

    attempt: Attempt
    calls: tuple[Call, ...]

    def decided(self, desk: Desk, decision: Decision, reason: str, bar: Bar | None = None) -> tuple[Call, ...]:
        """The calls as they are recorded, the last one stamped with what was decided on its account."""
        last = dataclasses.replace(
            self.calls[-1],
            sources=self.attempt.sources,
            raw_confidence=self.attempt.raw_confidence,
            confidence=self.attempt.confidence,
            error=self.attempt.error,
            decision=decision,
            decision_reason=reason,
            threshold=bar.threshold if bar else None,
            calibration=bar.calibration if bar else None,
        )
        return tuple(map(desk.recorded, (*self.calls[:-1], last)))


@dataclass(frozen=True, slots=True)
class OutOfBudget:
    """The day's money is spent. The calls are those made before."""

    calls: tuple[Call, ...] = ()
