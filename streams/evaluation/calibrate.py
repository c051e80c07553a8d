"""Calibrate a worker from labelled cases: a calibrator, a threshold with a guarantee, and the artifact of both."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from streams.calibration.artifact import CalibrationArtifact
from streams.calibration.calibrators import IdentityCalibrator
from streams.calibration.drift import Reference, reference_of
from streams.calibration.risk_control import Target, ThresholdSelection, TooFew, select_threshold
from streams.calling.confidence import ConfidenceScorer
from streams.calling.self_consistent import SELF_CONSISTENCY
from streams.core.errors import ConfigError
from streams.core.escalation import combined
from streams.core.messages import Attempt
from streams.evaluation.calibrator_choice import CalibratorChoice, choose_calibrator
from streams.evaluation.cases import LabelledCase, LabelsFrom, first_of_each_task, one_of_each_task
from streams.evaluation.reliability import Reliability, reliability
from streams.pipeline.handlers import Handler

Labelled = Sequence[LabelledCase]


@dataclass(frozen=True, slots=True, eq=False)
class CalibrationResult:
    """A calibration on n tasks. `raw` and `correct` have shape (n,); `measured` is out of fold.

    `events` counts the labelled events of all these tasks.
    """

    artifact: CalibrationArtifact
    choice: CalibratorChoice
    selection: ThresholdSelection
    measured: Reliability
    raw: NDArray[np.float64]
    correct: NDArray[np.bool_]
    events: int


def calibrate(
    handler: Handler, scorer: ConfidenceScorer, cases: Labelled, target: Target, *, labels: LabelsFrom, date: str
) -> CalibrationResult:
    """Calibrate a worker on labelled cases. Each is scored again by the current worker, and each task counts once.

    The threshold is chosen on the raw scores, so fitting a calibrator to the same cases does not weaken its guarantee.
    Raises ConfigError if the cases are too few, or no threshold can be proven.
    """
    assessed, scored = _assessed(handler, scorer, cases)
    raw = np.array([one.attempt.raw_confidence for one, _ in scored], dtype=np.float64)
    correct = np.array([right for _, right in scored])
    selection = select_threshold(raw, correct, target)
    if isinstance(selection, TooFew):
        raise ConfigError(selection.reason)
    choice = _choice(raw, correct)
    measured = reliability(choice.held_out, correct)
    artifact = CalibrationArtifact(
        handler=handler.name,
        handler_version=handler.version,
        scoring=handler.confidence.scoring if handler.confidence else "",
        created=date,
        calibrator=choice.calibrator,
        calibration_set=_fingerprint(scored),
        n=len(scored),
        log_loss=measured.log_loss,
        brier=measured.brier,
        ece=measured.ece,
        method=selection.method,
        max_error=target.max_error,
        certainty=target.certainty,
        threshold=choice.calibrator(selection.threshold),
        raw_threshold=selection.threshold,
        bound=selection.bound,
        coverage=selection.coverage,
        accepted=selection.accepted,
        errors=selection.errors,
        reference=_reference(assessed),
        labels_source=labels,
    )
    return CalibrationResult(artifact, choice, selection, measured, raw, correct, len(cases))


def _assessed(
    handler: Handler, scorer: ConfidenceScorer, cases: Labelled
) -> tuple[list[LabelledCase], list[LabelledCase]]:
    """Return all distinct cases scored again, and one case with a confidence for each task.

    The tasks are sorted by their content, so that the same labels give the same figures.
    """
    if not cases:
        what = f"the current version of {handler.name} has no labelled case."
        raise ConfigError(what, "Label events that it answered (docs/escalation.md).")
    assessed = asyncio.run(_scored(scorer, _distinct(cases)))
    scored = one_of_each_task([one for one in assessed if one[0].attempt.raw_confidence is not None])
    if not scored:
        what = f"none of the {len(cases)} labelled cases of {handler.name} has a confidence."
        remedy = "Give the worker a source of confidence (docs/pipeline.md), then collect cases."
        raise ConfigError(what, remedy, "handler")
    return assessed, sorted(scored, key=lambda one: one[0].task_id)


def _choice(raw: NDArray[np.float64], correct: NDArray[np.bool_]) -> CalibratorChoice:
    """Choose the best calibrator; if every answer was right, keep the score itself."""
    return CalibratorChoice(IdentityCalibrator(), (), raw) if correct.all() else choose_calibrator(raw, correct)


async def _scored(scorer: ConfidenceScorer, cases: Labelled) -> list[LabelledCase]:
    """Replace each case's confidence by that of the current worker."""
    return [(replace(case, attempt=await scorer(case.task, _as_said(case.attempt))), right) for case, right in cases]


def _distinct(cases: Labelled) -> list[LabelledCase]:
    """Keep one case per task, answer and truth: others like it would get the same score."""
    found: dict[Hashable, LabelledCase] = {}
    for case, right in cases:
        said = case.attempt
        found.setdefault((case.task_id, case.repeated, said.status, said.answer, said.sources, right), (case, right))
    return list(found.values())


def _as_said(attempt: Attempt) -> Attempt:
    """Reset the confidence to the reply's own, which is what the worker passes to the scorer."""
    raw = combined([one for one in attempt.sources if one.label != SELF_CONSISTENCY], "mean")
    return replace(attempt, raw_confidence=raw, confidence=raw)


def _reference(scored: Labelled) -> Reference:
    """Return the reference for the drift test: scores of fresh answers, unknown ones included, one per task."""
    fresh = first_of_each_task([one for one, _ in scored if not one.repeated])
    raw = [one.attempt.raw_confidence for one in fresh]
    return reference_of([math.nan if score is None else score for score in raw])


def _fingerprint(scored: Labelled) -> str:
    rows = sorted(f"{case.attempt.call_id} {case.attempt.raw_confidence!r} {right}" for case, right in scored)
    return sha256("\n".join(rows).encode()).hexdigest()
