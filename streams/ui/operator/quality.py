"""The page on quality: each worker's confidence against its labels, its guarantee, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from streams.app.providers import comparison
from streams.pipeline.load import Pipeline
from streams.ui.operator.estimates import PATIENCE_SECONDS, estimated
from streams.ui.operator.frame import OperatorSite, operator_route, render, render_part, scope_of, scoped, site_of
from streams.ui.operator.live import LiveFragment
from streams.ui.operator.scope import Scope
from streams.ui.operator.worker_quality import BINS, WorkerFigures

if TYPE_CHECKING:
    from streams.evaluation.worker_confidence import WorkerConfidence


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
        return render_part("quality_confidence.html", pipeline=False, scope=scope, workers=None, as_of=None)
    reads = asyncio.gather(
        site.reads.named("confidences", scope, bins=BINS),
        *(site.reads.named(name, scope) for name in ("unsure", "places", "escalations")),
    )
    read = partial(_read, site.now, pipeline, scope.run)
    found, rows = await asyncio.gather(estimated(site.reads, ("confidence", scope.run), read, patience_seconds), reads)
    figures = WorkerFigures(scope, pipeline.path.name, *(one.records() for one in rows))
    as_of, workers = (None, None) if found is None else (found[0], [figures.of(one) for one in found[1]])
    return render_part("quality_confidence.html", pipeline=True, scope=scope, workers=workers, as_of=as_of)


def _read(
    now: Callable[[], datetime], pipeline: Pipeline, run: str, audit: Any
) -> tuple[datetime, list[WorkerConfidence]]:
    """Return the time of the reading, and each worker's quality."""
    from streams.evaluation.worker_confidence import read_confidence

    agrees = {name: comparison(worker.correct) for name, worker in pipeline.workers.items()}
    return now(), read_confidence(audit, pipeline, agrees, run)
