"""A task that waits for a batch, and until when."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from streams.adapters.kafka_record import KafkaRecord
from streams.core import batch_time
from streams.core.messages import Escalation, Verdict
from streams.models.providers.protocol import ModelRequest

ENVELOPE_BYTES = 500
"""The bytes that a batch's format adds to a request, at most."""
IMAGE_BYTES = 200
"""Those that it adds to an image."""


def size_of(request: ModelRequest) -> int:
    """Return the bytes of a request in a batch, at most."""
    texts = len(json.dumps(asdict(replace(request, images=()))))
    images = sum(4 * (len(one.data) // 3 + 1) + IMAGE_BYTES for one in request.images)  # in Base64
    return texts + images + ENVELOPE_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchQuestion:
    """The question of a task to its model."""

    model: str
    """The model's key in the pipeline file."""
    request: ModelRequest
    handler_version: str
    key: str
    """Tasks with the same key are answered by one call."""
    batch: float
    """The handler's `batch`, in seconds."""
    timeout: float
    size: int
    """The request's bytes in a batch, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A task, from its place in a partition."""

    offset: int
    task: Verdict | Escalation
    queued_at: datetime
    question: BatchQuestion | None
    """None for a task that cannot wait for a batch (any more)."""
    record: KafkaRecord | None = None
    """Its Kafka record."""

    @property
    def cancelled_at(self) -> datetime | None:
        """The time at which a batch that holds it is cancelled; None for never."""
        return batch_time.cancelled_at(self.task.event.deadline, self._timeout)

    @property
    def last_call(self) -> datetime | None:
        """The time from which only the ordinary API is asked; None for never."""
        return batch_time.last_call(self.task.event.deadline, self._timeout)

    @property
    def _timeout(self) -> float:
        return self.question.timeout if self.question else 0.0

    def may_wait(self, now: datetime) -> bool:
        """True while it may go into a batch that is not created yet."""
        if self.question is None:
            return False
        needed = self.question.batch * batch_time.USEFUL
        return batch_time.has_room(self.task.event.deadline, self.question.timeout, needed, now)

    def group(self, question: BatchQuestion) -> tuple[str, int | None]:
        """Return what the tasks of one batch have in common: their model, and about how long they may wait.

        So one task's deadline cancels no batch that another's would have left time for.
        """
        until = self.cancelled_at
        if until is None:
            return question.model, None
        windows = (until - self.queued_at).total_seconds() / question.batch
        return question.model, math.floor(2 * math.log2(max(1.0, windows)))
