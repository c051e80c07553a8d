"""Test whether the calibrations in force still hold, by the scores and the labels since then, in order."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from streams.calibration import drift
from streams.calibration.artifact import CalibrationArtifact
from streams.calibration.drift import MIN_SCORES
from streams.calibration.martingale import expired
from streams.calling.threshold import FALSE_ALARMS
from streams.core.fingerprint import draw
from streams.evaluation import error_rate
from streams.evaluation.cases import Case, first_of_each_task
from streams.pipeline.load import Pipeline

CalibrationState = Literal["holds", "drifted", "broken", "not enough evidence"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationStatus:
    """The state of a calibration. Evidence is the factor by which a bet against it would have grown.

    `scores` counts live scores, one per task; `labels` the labelled tasks among those that it accepted, `wrong` the
    wrong ones of these, and `not_graded` labelled answers that cannot be compared with their label.
    """

    worker: str
    calibration: str
    max_error: float
    scores: int
    scores_evidence: float
    scores_hold: bool
    labels: int
    wrong: int
    labels_evidence: float
    labels_hold: bool
    not_graded: int = 0

    @property
    def holds(self) -> bool:
        """True if neither test refutes it. Each has a false-alarm rate of FALSE_ALARMS / 2."""
        return self.scores_hold and self.labels_hold

    @property
    def state(self) -> CalibrationState:
        """Broken by its labels, drifted in its scores, or neither; too few scores prove nothing."""
        if not self.labels_hold:
            return "broken"
        if not self.scores_hold:
            return "drifted"
        return "holds" if self.scores >= MIN_SCORES else "not enough evidence"


def standings(pipeline: Pipeline, cases: Sequence[Case]) -> list[CalibrationStatus]:
    """Test each worker's calibration by its audited cases, oldest first."""
    found = []
    for name, handler in pipeline.workers.items():
        artifact = handler.confidence.artifact if handler.confidence else None
        if artifact is not None:
            found.append(_standing(artifact, [case for case in cases if case.handler == name]))
    return found


def _standing(artifact: CalibrationArtifact, cases: Sequence[Case]) -> CalibrationStatus:
    """Test from the first event that the calibration decided on.

    Each task bets once: its answers are right or wrong together, and a test that counted each of them would be
    certain far too soon.
    """
    first = next((place for place, case in enumerate(cases) if case.calibration == artifact.id), len(cases))
    later = cases[first:]
    scored = first_of_each_task([one for one in later if one.attempt.status == "answered" and not one.repeated])
    scores = [(case.attempt.raw_confidence, case.attempt.call_id) for case in scored]
    return calibration_status(artifact, scores, later)


def calibration_status(
    artifact: CalibrationArtifact, scores: Iterable[tuple[float | None, str]], cases: Sequence[Case]
) -> CalibrationStatus:
    """Test a calibration by the raw score and call id of each task since it began, and by its labelled cases."""
    watched = drift.watch(artifact.reference)
    for score, call_id in scores:
        known = math.nan if score is None else score
        watched = drift.observe(artifact.reference, watched, known, draw("watch", call_id))
    judged, wrong = error_rate.error_watch(artifact.max_error), 0
    decided = [one for one in cases if one.accepted and one.calibration == artifact.id]
    for case in first_of_each_task([one for one in decided if one.correct is not None]):
        judged, wrong = error_rate.observe(judged, not case.correct), wrong + (not case.correct)
    return CalibrationStatus(
        worker=artifact.handler,
        calibration=artifact.id,
        max_error=artifact.max_error,
        scores=watched.capital.seen,
        scores_evidence=math.exp(min(700.0, watched.capital.peak_log_wealth)),
        scores_hold=not expired(watched.capital, FALSE_ALARMS / 2),
        labels=judged.capital.seen,
        wrong=wrong,
        labels_evidence=math.exp(min(700.0, judged.capital.peak_log_wealth)),
        labels_hold=not expired(judged.capital, FALSE_ALARMS / 2),
        not_graded=sum(bool(one.not_graded) for one in decided),
    )
