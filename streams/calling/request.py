"""A request to one handler about one task, and its outcome."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

from streams.calling.task import Task
from streams.core.errors import IMAGE_FAULTS, NOT_CALLED, HandlerError, ModelError
from streams.core.fingerprint import call_id, digest, task_fingerprint
from streams.core.messages import Attempt, BatchReply, Call, Origin, Score
from streams.core.process_fault import raise_process_fault
from streams.core.reply_contract import Reading, encodable
from streams.models.providers.protocol import ModelReply
from streams.pipeline.handlers import Handler

MAX_ERROR_TEXT = 2000
ATTEMPTS_A_ROUND = 16
"""More than a handler's retries and its fallback can take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRequest:
    """One task for one handler, about one event."""

    task: Task
    origin: Origin
    task_fingerprint: str
    """Of the handler's version and the task's input."""
    received_at: datetime
    """The timestamp of the message that brought it."""
    parent_call_id: str | None = None
    sample: int = 0
    """Number of this sample, where a task is asked several times."""
    deadline: datetime | None = None
    """No call outlasts it."""
    round: int = 0
    """Times the task was put off before: each round's calls have ids of their own."""
    tried: int = 0
    """Calls of this round that were made before."""
    batched: BatchReply | None = None
    """The end of the task in a batch; None if it was in none."""

    @property
    def fingerprint(self) -> str:
        """The task's; a further sample is a task of its own."""
        return digest(self.task_fingerprint, self.sample) if self.sample else self.task_fingerprint

    @property
    def attempt_number(self) -> int:
        """Number of the next attempt, from 1; no two attempts of an event and handler share one."""
        return self.round * ATTEMPTS_A_ROUND + self.tried + 1

    def call_id(self, handler: Handler) -> str:
        """Return the id of the next attempt's call."""
        origin = self.origin
        named = (origin.run, origin.event_id, handler.tier, handler.name, self.attempt_number, self.sample)
        return call_id(*named, fingerprint=self.fingerprint)

    def after(self, calls: int) -> CallRequest:
        """Return the same request after some more calls."""
        return dataclasses.replace(self, tried=self.tried + calls) if calls else self

    def to(self, handler: Handler) -> CallRequest:
        """Return the same request to another handler."""
        return dataclasses.replace(self, task_fingerprint=task_fingerprint(handler.version, self.task.input()))

    def seconds_left(self, now: datetime) -> float:
        """Return the seconds until the deadline; infinity without one."""
        return math.inf if self.deadline is None else (self.deadline - now).total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The result of one attempt, and the words on both sides."""

    reading: Reading
    sources: tuple[Score, ...] = ()
    """The reply's own confidence, by source."""
    system: str = ""
    prompt: str = ""
    response: str | None = None
    model_reply: ModelReply | None = None
    error: ModelError | None = None
    """Why the model gave no reply."""
    batch_id: str | None = None
    """The batch that it came from; None from the ordinary API."""

    @classmethod
    def failed(cls, error: ModelError | HandlerError, system: str = "", prompt: str = "") -> Self:
        """Return an attempt that gave no answer. Raises ProcessError where this process was the reason."""
        raise_process_fault(error)
        model_error = error if isinstance(error, ModelError) else None
        error_type = model_error.error_type if model_error else "handler_error"
        reading = Reading(status="failed", error_type=error_type, error=encodable(str(error)[:MAX_ERROR_TEXT]))
        return cls(reading=reading, system=system, prompt=prompt, error=model_error)

    @property
    def sent(self) -> bool:
        """True if the model was asked; False where, for one, the prompt could not be made of the task."""
        if self.error is None:
            return self.reading.status != "failed"
        return self.error.error_type not in NOT_CALLED | IMAGE_FAULTS


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOutcome:
    """An attempt and the audit records of the calls behind it; the last call is the attempt's own."""

    attempt: Attempt
    calls: tuple[Call, ...]
    reply: Reply | None = field(default=None, compare=False)
    """The last call's, where it was made now; None for a stored answer."""
    shared: bool = field(default=False, compare=False)
    """True if it came of an identical task's call in flight; that task stores it."""


@dataclass(frozen=True, slots=True)
class OutOfBudget:
    """The day's money is spent. The calls are those made before."""

    calls: tuple[Call, ...] = ()


class Postponed(OutOfBudget):
    """The call waits for a batch. To the wrappers it is like a call without money: none is made now."""


def past_deadline() -> ModelError:
    """Return the error of a call that was not made because the event's deadline has passed."""
    remedy = "Raise the pipeline's deadline, or let more calls run at once."
    return ModelError("deadline", "The event's deadline has passed.", remedy, retryable=False)
