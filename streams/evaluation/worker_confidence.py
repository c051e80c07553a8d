"""The quality of each worker with a confidence: reliability by its labels, and the state of its guarantee."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

import numpy as np

from streams.audit.query import Audit
from streams.calibration.artifact import CalibrationArtifact
from streams.core.answer_comparison import Agree
from streams.core.escalation import Threshold
from streams.evaluation.calibration_status import CalibrationState, CalibrationStatus, calibration_status
from streams.evaluation.cases import AuditPart, Case, first_of_each_task, of_this_version, read_cases
from streams.evaluation.compare.paired_statistics import wilson
from streams.evaluation.reliability import Reliability, reliability
from streams.pipeline.handlers import Handler
from streams.pipeline.load import Pipeline

GuaranteeState = CalibrationState | Literal["none", "expired"]
NEWEST_LABELS, NEWEST_SCORES = 2_000, 2_000
"""The most labelled cases of all workers, and the most scores of each, that are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedErrors:
    """The wrong ones among the labelled tasks that were accepted, and the 95 % Wilson interval of their share."""

    labelled: int
    wrong: int
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfidence:
    """One worker in its present version. `reliability` and `accepted` are None without labels.

    `reliability` is that of the raw confidence, which is the same before and after a calibration; `accepted` counts
    only the answers that the present calibration accepted, or those without one if there is none.
    """

    worker: str
    threshold: Threshold
    artifact: CalibrationArtifact | None
    stale: bool
    """True if its calibration is another version's."""
    labelled: int
    """Labelled tasks with a confidence."""
    reliability: Reliability | None
    accepted: AcceptedErrors | None
    status: CalibrationStatus | None
    """The tests of its calibration; None without one."""
    tasks: int
    """Tasks since the calibration began, of which `status` has tested the newest."""

    @property
    def state(self) -> GuaranteeState:
        if self.stale:
            return "expired"
        return self.status.state if self.status else "none"


def sure_workers(pipeline: Pipeline) -> list[Handler]:
    """Return the workers whose answers have a confidence, or a threshold for it."""
    return [
        one
        for one in pipeline.workers.values()
        if one.confidence and (one.confidence.sources or one.confidence.current_threshold.threshold is not None)
    ]


def read_confidence(audit: Audit, pipeline: Pipeline, agrees: Mapping[str, Agree], run: str) -> list[WorkerConfidence]:
    """Read the quality of each worker that has a confidence, by its newest labels and scores."""
    workers = {one.name: one for one in sure_workers(pipeline)}
    if not workers:
        return []
    part = AuditPart(run=run, newest=NEWEST_LABELS, labelled=True)
    cases = read_cases(audit, pipeline, agrees, list(workers), part)
    return [_quality(audit, one, list(of_this_version(cases, one)), run) for one in workers.values()]


def _quality(audit: Audit, worker: Handler, cases: Sequence[Case], run: str) -> WorkerConfidence:
    config = worker.confidence
    if config is None:
        raise ValueError(f"{worker.name} has no confidence")
    artifact, threshold = config.artifact, config.current_threshold
    status, tasks = None, 0
    if artifact is not None:
        scores, tasks = _scores(audit, artifact, run)
        status = calibration_status(artifact, scores, cases)
    known = [
        one for one in first_of_each_task(cases) if one.correct is not None and one.attempt.raw_confidence is not None
    ]
    return WorkerConfidence(
        worker=worker.name,
        threshold=threshold,
        artifact=artifact,
        stale=config.stale,
        labelled=len(known),
        reliability=_reliability(known) if known else None,
        accepted=_accepted(one.correct for one in known if one.accepted and one.calibration == threshold.calibration),
        status=status,
        tasks=tasks,
    )


def _scores(audit: Audit, artifact: CalibrationArtifact, run: str) -> tuple[list[tuple[float | None, str]], int]:
    """Return the newest scores, oldest first, and the number of all."""
    sql = files("streams.evaluation").joinpath("calibration_scores.sql").read_text("utf-8")
    parameters = {"run": run, "worker": artifact.handler, "calibration": artifact.id, "newest": NEWEST_SCORES}
    rows = audit.query(sql, parameters).records()
    scores = [(row["raw_confidence"], row["call_id"]) for row in reversed(rows)]
    return scores, rows[0]["tasks"] if rows else 0


def _reliability(known: Sequence[Case]) -> Reliability:
    confidences = np.array([case.attempt.raw_confidence for case in known], dtype=np.float64)
    correct = np.array([case.correct for case in known], dtype=np.bool_)
    return reliability(confidences, correct, strategy="equal width")


def _accepted(correct: Iterable[bool | None]) -> AcceptedErrors | None:
    found = list(correct)
    if not found:
        return None
    wrong = sum(not one for one in found)
    low, high = wilson(wrong, len(found))
    return AcceptedErrors(labelled=len(found), wrong=wrong, low=low, high=high)
