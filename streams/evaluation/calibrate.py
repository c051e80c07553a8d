"""From labelled cases to a calibration: a calibrator, a threshold with a guarantee, and the artifact of both."""

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
from streams.core.errors import ConfigError
from streams.core.escalation import combined
from streams.core.messages import Attempt
from streams.evaluation.calibrator_choice import CalibratorChoice, choose_calibrator
from streams.evaluation.cases import Known, LabelsFrom, first_of_each_task, one_of_each_task
from streams.evaluation.reliability import Reliability, reliability
from streams.pipeline.handlers import Handler
from streams.stages.ports import Assessor
from streams.stages.sample import SOURCE as SAMPLES

Labelled = Sequence[Known]


@dataclass(frozen=True, slots=True, eq=False)
class Calibrated:
    """What a calibration found on n tasks. `raw` and `correct` have shape (n,); `measured` is out of fold."""

    artifact: CalibrationArtifact
    choice: CalibratorChoice
    selection: ThresholdSelection
    measured: Reliability
    raw: NDArray[np.float64]
    correct: NDArray[np.bool_]
    events: int
    """With a label, of whichever task."""


def calibrate(
    handler: Handler, assess: Assessor, cases: Labelled, target: Target, *, labels: LabelsFrom, date: str
) -> Calibrated:
    """Calibrate a worker on labelled cases, each scored again as the worker is now, and each task counted once.

    The threshold is chosen on the raw scores, so that fitting a calibrator to the same cases takes nothing from its
    guarantee. Raises ConfigError in plain words when the cases are too few, or no threshold can be proven.
    """
    if not cases:
        what = f"no labelled case of {handler.name} as it is now was found."
        raise ConfigError(what, "Label events that it answered (docs/escalation.md).", "cases")
    assessed = asyncio.run(_scored(assess, _distinct(cases)))
    scored = one_of_each_task([one for one in assessed if one[0].attempt.raw_confidence is not None])
    if not scored:
        what = f"none of the {len(cases)} labelled cases of {handler.name} has a confidence."
        raise ConfigError(
            what, "Give the worker a source of confidence (docs/pipeline.md), then collect cases.", "handler"
        )
    raw = np.array([one.attempt.raw_confidence for one, _ in scored], dtype=np.float64)
    correct = np.array([right for _, right in scored])
    selection = select_threshold(raw, correct, target)
    if isinstance(selection, TooFew):
        raise ConfigError(selection.reason, key="cases")
    choice = _choice(raw, correct)
    measured = reliability(choice.held_out, correct)
    artifact = CalibrationArtifact(
        handler=handler.name,
        handler_version=handler.version,
        scoring=handler.trust.scoring if handler.trust else "",
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
    return Calibrated(artifact, choice, selection, measured, raw, correct, len(cases))


def _choice(raw: NDArray[np.float64], correct: NDArray[np.bool_]) -> CalibratorChoice:
    """The best calibrator; where every answer was right, nothing but the score itself."""
    return CalibratorChoice(IdentityCalibrator(), (), raw) if correct.all() else choose_calibrator(raw, correct)


async def _scored(assess: Assessor, cases: Labelled) -> list[Known]:
    """The cases with their confidence as it would be made today."""
    return [(replace(case, attempt=await assess(case.task, _as_said(case.attempt))), right) for case, right in cases]


def _distinct(cases: Labelled) -> list[Known]:
    """One case for each answer to each task that was, or was not, right: all others would have the same score."""
    found: dict[Hashable, Known] = {}
    for case, right in cases:
        said = case.attempt
        found.setdefault((case.task_id, case.repeated, said.status, said.answer, said.sources, right), (case, right))
    return list(found.values())


def _as_said(attempt: Attempt) -> Attempt:
    """The attempt with the confidence that WORK hands to the assessor: what the reply itself says, as stages.calls."""
    raw = combined([one for one in attempt.sources if one.label != SAMPLES], "mean")
    return replace(attempt, raw_confidence=raw, confidence=raw)


def _reference(scored: Labelled) -> Reference:
    """The scores that live ones are held against, unknown ones too; stored answers are left out here as there, and
    each task counts once."""
    fresh = first_of_each_task([one for one, _ in scored if not one.repeated])
    raw = [one.attempt.raw_confidence for one in fresh]
    return reference_of([math.nan if score is None else score for score in raw])


def _fingerprint(scored: Labelled) -> str:
    """SHA-256 over the sorted calls with their scores and truths."""
    rows = sorted(f"{case.attempt.call_id} {case.attempt.raw_confidence!r} {right}" for case, right in scored)
    return sha256("\n".join(rows).encode()).hexdigest()
