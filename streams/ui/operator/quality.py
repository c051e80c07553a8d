"""The page on quality: each worker's confidence against its labels, its guarantee, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from streams.app.providers import comparison
from streams.pipeline.load import Pipeline
from streams.ui import svg
from streams.ui.operator.estimates import PATIENCE_SECONDS, estimated
from streams.ui.operator.frame import OperatorSite, operator_route, render, render_part, scope_of, scoped, site_of
from streams.ui.operator.live import LiveFragment
from streams.ui.operator.scope import Scope
from streams.ui.operator.wording import percent

if TYPE_CHECKING:
    from streams.evaluation.worker_confidence import GuaranteeState, WorkerConfidence

BINS: Final = 20
PROMISE: Final = (0.05, 0.1)
"""The guarantee that the page suggests: the share that may be wrong, and the chance that it is more."""
STATES: Final[Mapping[GuaranteeState, tuple[str, str]]] = {
    "holds": ("good", "The guarantee holds."),
    "drifted": (
        "problem",
        "The guarantee no longer holds: the scores have moved away from those that it was calibrated on. Label recent "
        "events and run escalon calibrate again.",
    ),
    "broken": (
        "problem",
        "The guarantee no longer holds: more of the accepted answers were wrong than it promises. Run escalon "
        "calibrate again.",
    ),
    "expired": (
        "problem",
        "The guarantee has expired: the calibration belongs to another version of this worker. Run escalon calibrate "
        "again.",
    ),
    "not enough evidence": ("warning", "Not enough answers since the calibration to say whether its guarantee holds."),
    "none": ("", "No guarantee: the threshold is a guess until labels prove one."),
}
"""The mood and the words of each state."""
Rows = Sequence[Mapping[str, Any]]


def routes() -> list[BaseRoute]:
    """Return the routes."""
    return [operator_route("/quality", show)]


def fragments(site: OperatorSite) -> Sequence[LiveFragment]:
    """Return the live parts."""
    return (LiveFragment("confidence", 60.0, scoped(site, confidence_part)),)


async def show(request: Request) -> Response:
    """Show the page."""
    scope = await scope_of(request)
    site = site_of(request)
    part, refusals, quality = await asyncio.gather(
        confidence_part(site, scope, PATIENCE_SECONDS),
        site.reads.named("refusals", scope),
        site.reads.named("refusal_quality", scope),
    )
    return render(request, "quality.html", "Quality", part=part, refusals=refusals.records(), quality=quality.records())


async def confidence_part(site: OperatorSite, scope: Scope, patience_seconds: float | None = None) -> Markup:
    """Render each worker's confidence and guarantee."""
    pipeline = site.pipeline
    if pipeline is None:
        return render_part("quality_confidence.html", pipeline=False, scope=scope, day=scope, workers=None)
    day = replace(scope, since=scope.until - timedelta(days=1))
    histogram, unsure, found = await asyncio.gather(
        site.reads.named("confidences", scope, bins=BINS),
        site.reads.named("unsure", day),
        estimated(site.reads, ("confidence", scope.run), partial(_read, pipeline, scope.run), patience_seconds),
    )
    workers = None if found is None else [_worker(one, histogram.records(), unsure.records()) for one in found]
    return render_part("quality_confidence.html", pipeline=True, scope=scope, day=day, workers=workers)


def _read(pipeline: Pipeline, run: str, audit: Any) -> list[WorkerConfidence]:
    from streams.evaluation.worker_confidence import read_confidence

    agrees = {name: comparison(worker.correct) for name, worker in pipeline.workers.items()}
    return read_confidence(audit, pipeline, agrees, run)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownWorker:
    """One worker as the page shows it."""

    quality: WorkerConfidence
    mood: str
    words: str
    claim: str
    """The guarantee in words; empty without one."""
    plot: Markup
    table: Sequence[Sequence[str]]
    fewest_labels: int
    """The labelled tasks that a guarantee of PROMISE takes at least."""
    cost: Mapping[str, Any] | None
    """Its row of the query `unsure`; None if it answered nothing on that day."""


def _worker(one: WorkerConfidence, histogram: Rows, unsure: Rows) -> ShownWorker:
    from streams.calibration.binomial import fewest_cases

    mood, words = STATES[one.state]
    calibration = one.artifact.id if one.artifact else ""
    own = [row for row in unsure if row["handler"] == one.worker]
    cost = next((row for row in own if row["calibration"] == calibration), own[-1] if own else None)
    bins = [row for row in histogram if row["handler"] == one.worker]
    plot, table = _reliability(one) if one.reliability else _histogram(one, bins)
    return ShownWorker(
        quality=one,
        mood=mood,
        words=words,
        claim=claim(one),
        plot=plot,
        table=table,
        cost=cost,
        fewest_labels=fewest_cases(*PROMISE),
    )


def claim(one: WorkerConfidence) -> str:
    """State a guarantee in words; empty without one."""
    if one.artifact is None:
        return ""
    return (
        f"With {percent(one.artifact.certainty)} certainty, at most {percent(one.artifact.max_error)} of the answers "
        "that it gives alone are wrong."
    )


def _reliability(one: WorkerConfidence) -> tuple[Markup, list[tuple[str, ...]]]:
    bins = one.reliability.bins if one.reliability else ()
    label = f"{one.worker}: the share of right answers by confidence, from {one.labelled} labelled tasks"
    marks = [svg.Estimate(row.confidence, row.accuracy, row.lower, row.upper) for row in bins]
    table: list[tuple[str, ...]] = [
        (f"{row.low:.2f} to {row.high:.2f}", f"{row.n}", percent(row.confidence), percent(row.accuracy),
         f"{percent(row.lower)} to {percent(row.upper)}")
        for row in bins
    ]  # fmt: skip
    return svg.reliability_plot(label, marks, one.threshold.threshold), table


def _histogram(one: WorkerConfidence, rows: Rows) -> tuple[Markup, list[tuple[str, ...]]]:
    area = svg.frame((0.0, 1.0), svg.extent([float(row["answers"]) for row in rows]), 360, 320)
    bottom = area.y(0.0)
    width = (area.x(1.0) - area.x(0.0)) / BINS - 1
    parts = [area.axes("{:g}".format, "{:,.0f}".format)]
    for row in rows:
        top = area.y(float(row["answers"]))
        kind = "worker" if row["accepted"] else "rest"
        parts.append(
            svg.tag("rect", x=area.x(row["bin"]), y=top, width=round(width, 2), height=round(bottom - top, 2),
                    class_=f"mark {kind}")
        )  # fmt: skip
    if one.threshold.threshold is not None:
        at = area.x(one.threshold.threshold)
        parts.append(svg.tag("path", d=f"M{at} {bottom}V{area.y.end}", class_="limit"))
    label = f"{one.worker}: answers by confidence, with the threshold as a line"
    table: list[tuple[str, ...]] = [
        (f"{row['bin']:.2f}", f"{row['answers']:,}", f"{row['accepted']:,}") for row in rows
    ]
    return svg.picture(label, parts, 360, 320), table
