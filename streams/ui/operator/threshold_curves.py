"""The estimates behind the page on thresholds, read from the audit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from streams.app.providers import comparison
from streams.core.errors import ConfigError
from streams.pipeline.load import Pipeline

if TYPE_CHECKING:
    from streams.evaluation.what_if.curve import ThresholdCurve
    from streams.evaluation.what_if.history import NewestEvents

NEWEST: Final = 3_000
"""The newest events of a worker, from which everything is estimated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerCurve:
    """The estimates for one worker, or the reason why there are none."""

    worker: str
    newest: NewestEvents | None = None
    curve: ThresholdCurve | None = None
    why_not: str = ""


def read_curves(audit: Any, pipeline: Pipeline, workers: Sequence[str], run: str) -> list[WorkerCurve]:
    """Estimate the curves of workers one after the other, so that other pages can read meanwhile."""
    return [_read_curve(audit, pipeline, worker, run) for worker in workers]


def _read_curve(audit: Any, pipeline: Pipeline, worker: str, run: str) -> WorkerCurve:
    """Estimate a worker's curve from its newest events, by labels, or by the reasoner's answers without any."""
    from streams.evaluation.cases import AuditPart
    from streams.evaluation.what_if.curve import any_threshold, threshold_curve
    from streams.evaluation.what_if.history import newest_events, read_history

    newest = newest_events(audit, run, worker, NEWEST)
    if newest is None:
        return WorkerCurve(worker=worker, why_not="No event of this run was routed to it.")
    agrees = {name: comparison(one.correct) for name, one in {**pipeline.reasoners, **pipeline.workers}.items()}
    change, part = any_threshold(worker), AuditPart(run=run, base=run, since=newest.since)
    try:
        history = read_history(audit, pipeline, agrees, change, part, "people")
        curve = threshold_curve(history, worker, pipeline, "people")
        if not curve.labelled:
            by_reasoner = read_history(audit, pipeline, agrees, change, part, "reasoner")
            curve = threshold_curve(by_reasoner, worker, pipeline, "reasoner")
    except ConfigError as error:
        return WorkerCurve(worker=worker, newest=newest, why_not=str(error))
    return WorkerCurve(worker=worker, newest=newest, curve=curve)
