"""When a reasoner is asked: one table, decided from an attempt alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from streams.core.messages import Attempt, AttemptStatus, EscalationReason, Score

# An attempt of a worker that ended so ...    is escalated for this reason; None lets confidence decide.
ESCALATES: dict[AttemptStatus, EscalationReason | None] = {
    "refused": "refused",
    "invalid": "invalid",
    "failed": "failed",
    "answered": None,
}


@dataclass(frozen=True, slots=True)
class Threshold:
    """What a confidence must reach, and by whose word."""

    threshold: float | None
    calibration: str | None = None
    """The id of the calibration whose threshold it is."""
    raw_threshold: float | None = None
    """The calibration's threshold on the raw confidence."""
    note: str = ""
    """Why it is another threshold than the calibration's."""


@dataclass(frozen=True, slots=True)
class Accept:
    """The attempt is the answer."""

    reason: str


@dataclass(frozen=True, slots=True)
class Escalate:
    """A reasoner must take over."""

    reason: EscalationReason
    detail: str


def decide(attempt: Attempt, threshold: float | None, raw_threshold: float | None = None) -> Accept | Escalate:
    """Accept a worker's attempt or escalate it.

    A confidence equal to the threshold is enough. With a threshold, an unknown confidence is not. With a raw threshold
    the raw confidence decides: several of them may be calibrated to one probability, and only some be good enough.
    """
    reason = ESCALATES[attempt.status]
    if reason is not None:
        return Escalate(reason, explain(attempt))
    if threshold is None:
        return Accept("no threshold")
    if attempt.confidence is None:
        return Escalate("unsure", f"confidence unknown, {threshold:.3f} is asked for")
    if not _reaches(attempt, threshold, raw_threshold):
        return Escalate("unsure", f"confidence {attempt.confidence:.3f} under {threshold:.3f}")
    return Accept(f"confidence {attempt.confidence:.3f} reaches {threshold:.3f}")


def _reaches(attempt: Attempt, threshold: float, raw_threshold: float | None) -> bool:
    """Whether the confidence is enough; what is not a number is not."""
    if raw_threshold is None:
        return attempt.confidence is not None and attempt.confidence >= threshold
    return attempt.raw_confidence is not None and attempt.raw_confidence >= raw_threshold


def combined(sources: Sequence[Score], rule: Literal["mean", "min", "product"]) -> float | None:
    """One raw confidence of several sources; None without any."""
    values = [source.probability for source in sources]
    return COMBINE[rule](values) if values else None


COMBINE: dict[str, Callable[[list[float]], float]] = {
    "mean": lambda values: sum(values) / len(values),
    "min": min,
    "product": math.prod,
}


def explain(attempt: Attempt) -> str:
    """Why an attempt is no answer, in one line; empty for an answered one."""
    if attempt.status == "refused":
        return f"{attempt.refusal_class}: {attempt.refusal_reason or 'no reason given'}"
    if attempt.status in ("invalid", "failed"):
        return f"{attempt.error_type}: {attempt.error}"
    return ""
