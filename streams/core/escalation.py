"""The decision to escalate: one table, applied to an attempt alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from streams.core.messages import Attempt, AttemptStatus, EscalationReason, Score

# By the status of a worker's attempt, the reason to escalate it; None lets confidence decide.
ESCALATES: dict[AttemptStatus, EscalationReason | None] = {
    "refused": "refused",
    "invalid": "invalid",
    "failed": "failed",
    "answered": None,
}


@dataclass(frozen=True, slots=True)
class Threshold:
    """The confidence that an answer must reach.

    `calibration` is the id of the calibration that set it, `raw_threshold` that calibration's threshold on the raw
    confidence. `note` explains a threshold other than the calibration's.
    """

    threshold: float | None
    calibration: str | None = None
    raw_threshold: float | None = None
    note: str = ""

    @property
    def raw(self) -> float | None:
        """The threshold on the raw confidence, at most 1."""
        return self.threshold if self.raw_threshold is None else min(1.0, self.raw_threshold)


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

    A confidence equal to the threshold is enough; an unknown confidence never reaches one. With a raw threshold the
    raw confidence decides, because several raw values may be calibrated to one probability and only some suffice.
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
    """True if the confidence is enough; nan never is."""
    if raw_threshold is None:
        return attempt.confidence is not None and attempt.confidence >= threshold
    return attempt.raw_confidence is not None and attempt.raw_confidence >= raw_threshold


def combined(sources: Sequence[Score], rule: Literal["mean", "min", "product"]) -> float | None:
    """Combine the sources into one raw confidence; None without any."""
    values = [source.probability for source in sources]
    return COMBINE[rule](values) if values else None


COMBINE: dict[str, Callable[[list[float]], float]] = {
    "mean": lambda values: sum(values) / len(values),
    "min": min,
    "product": math.prod,
}


def explain(attempt: Attempt) -> str:
    """Explain in one line why an attempt has no answer; empty if it has one."""
    if attempt.status == "refused":
        return f"{attempt.refusal_class}: {attempt.refusal_reason or 'no reason given'}"
    if attempt.status in ("invalid", "failed"):
        return f"{attempt.error_type}: {attempt.error}"
    return ""
