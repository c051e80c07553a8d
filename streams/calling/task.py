"""The task of a handler, and the answers of a Python handler. This is the public API of handlers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from streams.core.messages import Attempt, Event, RefusalClass


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """The part of an event a handler asked for by `inputs`; for a reasoner also what came before."""

    text: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    image: str | None = None
    """SHA-256 of the image in the blob store."""
    reason: str | None = None
    """The reason why a reasoner is asked: `routed`, `refused`, `unsure`, `invalid` or `failed`, with details."""
    attempt: Attempt | None = None

    def input(self) -> dict[str, Any]:
        """Return all that a handler can see, for the fingerprint: two tasks alike in this are one task."""
        seen: dict[str, Any] = {
            "text": self.text,
            "data": dict(self.data),
            "image": self.image,
            "reason": self.reason,
        }
        if self.attempt is not None:
            one = self.attempt
            seen["attempt"] = [one.status, one.answer, one.refusal_class, one.refusal_reason, one.error_type]
        return seen


@dataclass(frozen=True, slots=True)
class Answer:
    """A Python handler's answer: any JSON value, and how sure it is (0 to 1)."""

    value: Any
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A Python handler's refusal: the signal to escalate."""

    kind: RefusalClass = "other"
    reason: str = ""


def task_of(event: Event, inputs: Sequence[str], reason: str | None = None, attempt: Attempt | None = None) -> Task:
    """Return the task that an event is for a handler with these `inputs`."""
    return Task(
        text=event.text if "text" in inputs else "",
        data=json.loads(event.data) if event.data and "data" in inputs else {},
        image=event.image if "image" in inputs else None,
        reason=reason,
        attempt=attempt,
    )
