"""What is asked of a handler, and how asking it ended."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import datetime

from streams.core.escalation import Bar
from streams.core.fingerprint import digest
from streams.core.messages import Attempt, Call, Decision, Origin
from streams.stages.ports import Asker
from streams.stages.task import Task


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

    @property
    def fingerprint(self) -> str:
        """The task's; a further sample is a task of its own."""
        return digest(self.task_fingerprint, self.sample) if self.sample else self.task_fingerprint

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

    def decided(self, decision: Decision, reason: str, bar: Bar | None = None) -> tuple[Call, ...]:
        """The calls, the last one stamped with what was decided on its account."""
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
        return (*self.calls[:-1], last)


@dataclass(frozen=True, slots=True)
class OutOfBudget:
    """The day's money is spent. The calls are those made before."""

    calls: tuple[Call, ...] = ()
