"""The page on thresholds: error, escalations and cost at each value, estimated from the newest events."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from streams.core.errors import ConfigError
from streams.pipeline.handlers import Handler
from streams.pipeline.load import Pipeline
from streams.ui import svg
from streams.ui.operator.estimates import PATIENCE_SECONDS, estimated
from streams.ui.operator.frame import OperatorSite, operator_route, render, render_part, scope_of, site_of
from streams.ui.operator.live import LiveFragment
from streams.ui.operator.scope import LIVE
from streams.ui.operator.threshold_curves import NEWEST, WorkerCurve, read_curves
from streams.ui.operator.wording import UNKNOWN, percent, usd

if TYPE_CHECKING:
    from streams.evaluation.what_if.curve import ThresholdCurve, ThresholdEstimate
    from streams.evaluation.what_if.off_policy import PolicyEstimate

CHOSEN: Final = "threshold."
"""The prefix of the parameter that chooses a worker's threshold, as a form without a script sends it."""


def routes() -> list[BaseRoute]:
    """Return the routes."""
    return [operator_route("/what-if", show)]


def fragments(site: OperatorSite) -> Sequence[LiveFragment]:
    """Return the live parts."""

    async def rendered(asked: Mapping[str, str]) -> str:
        return await thresholds_part(site, asked)

    return (LiveFragment("thresholds", 60.0, rendered),)


async def show(request: Request) -> Response:
    """Show the page."""
    scope = await scope_of(request)
    part = await thresholds_part(site_of(request), request.query_params, PATIENCE_SECONDS)
    return render(request, "what_if.html", "What if", part=part, run=scope.run, newest=NEWEST)


async def thresholds_part(
    site: OperatorSite, asked: Mapping[str, str], patience_seconds: float | None = None
) -> Markup:
    """Render the thresholds of all workers that have one."""
    pipeline, run = site.pipeline, asked.get("run") or LIVE
    names = [one.name for one in pipeline.workers.values() if _has_threshold(one)] if pipeline else []
    if pipeline is None or not names:
        return render_part("what_if_thresholds.html", pipeline=pipeline is not None, workers=(), waits=False)
    read = partial(read_curves, pipeline=pipeline, workers=names, run=run)
    curves = await estimated(site.reads, ("what-if", run), read, patience_seconds)
    shown = [shown_curve(one, asked.get(f"{CHOSEN}{one.worker}", ""), pipeline, run) for one in curves or ()]
    return render_part("what_if_thresholds.html", pipeline=True, workers=shown, waits=curves is None)


def _has_threshold(worker: Handler) -> bool:
    return worker.confidence is not None and worker.confidence.current_threshold.threshold is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownPoint:
    """The figures at one threshold as texts, in the order of the columns."""

    threshold: str
    error: str
    escalated: str
    cost: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownCurve:
    """One worker as the page shows it."""

    found: WorkerCurve
    now: ShownPoint | None = None
    points: Sequence[ShownPoint] = ()
    place: int = 0
    """The place of the chosen point."""
    rest: int = 0
    """The place of the present threshold."""
    plots: Sequence[tuple[str, Markup]] = ()
    calibration: str | None = None
    """The calibration that the pipeline file names, which sets the present threshold."""
    command: str = ""
    replay: str = ""

    @property
    def rests(self) -> bool:
        """True if no other threshold than the present one is chosen."""
        return self.place == self.rest

    @property
    def chosen(self) -> ShownPoint:
        """The point that is nearest to what was asked for, or else the present threshold."""
        return self.points[self.place]


def shown_curve(found: WorkerCurve, asked: str, pipeline: Pipeline, run: str) -> ShownCurve:
    """Return a worker's curve as texts and plots. `asked` is the threshold that the address names, if any."""
    curve, newest = found.curve, found.newest
    if curve is None or newest is None:
        return ShownCurve(found=found)
    a_day = newest.a_day
    chosen = curve.nearest(_threshold(asked)) if asked else curve.now
    given = f"-p {shlex.quote(pipeline.path.name)}" + ("" if run == LIVE else f" --run {shlex.quote(run)}")
    since = f"--since {newest.since:%Y-%m-%dT%H:%M:%SZ}"
    return ShownCurve(
        found=found,
        now=_point(curve.now, a_day),
        points=[_point(point, a_day) for point in curve.points],
        place=curve.points.index(chosen),
        rest=curve.points.index(curve.now),
        plots=_plots(found.worker, curve, a_day),
        calibration=pipeline.spec.workers[found.worker].calibration,
        command=f"escalon what-if {given} {since} --set workers.{found.worker}.threshold=",
        replay="escalon replay -p candidate/pipeline.toml --run candidate --dry-run",
    )


def _threshold(asked: str) -> float:
    try:
        threshold = float(asked)
    except ValueError:
        threshold = -1.0
    if not 0 <= threshold <= 1:
        raise ConfigError(f"{asked!r} is not a number from 0 to 1.", "Write for example 0.9.", "threshold")
    return threshold


def _point(point: ThresholdEstimate, a_day: float | None) -> ShownPoint:
    return ShownPoint(
        threshold=f"{point.threshold:.3f}".rstrip("0").rstrip("."),
        error=_spread(point.error, percent),
        escalated=_spread(point.escalated, percent),
        cost=UNKNOWN if a_day is None else _spread(point.usd, usd, a_day),
    )


def _spread(found: PolicyEstimate | None, words: svg.Words, scale: float = 1.0) -> str:
    """Format an estimate with its interval; the interval alone if the data only bound it."""
    if found is None:
        return UNKNOWN
    low, high = words(scale * max(0.0, found.low)), words(scale * found.high)
    return f"{low} to {high}" if found.value is None else f"{words(scale * found.value)} ({low} to {high})"


def _plots(worker: str, curve: ThresholdCurve, a_day: float | None) -> list[tuple[str, Markup]]:
    told: tuple[tuple[str, list[PolicyEstimate | None], svg.Words, float], ...] = (
        ("Wrong or unanswered", [point.error for point in curve.points], percent, 1.0),
        ("To the reasoner", [point.escalated for point in curve.points], percent, 1.0),
        ("Cost a day", [point.usd for point in curve.points], usd, a_day or 0.0),
    )
    thresholds, now = [point.threshold for point in curve.points], curve.now.threshold
    plots = []
    for name, values, words, scale in told:
        if scale and any(values):
            label = f"{worker}: {name.lower()} by threshold"
            plots.append((name, band_plot(label, list(zip(thresholds, values, strict=True)), words, scale, now)))
    return plots


def band_plot(
    label: str, points: Sequence[tuple[float, PolicyEstimate | None]], words: svg.Words, scale: float, now: float
) -> Markup:
    """Plot estimates over thresholds from 0 to 1: the intervals as a band, the present threshold as a line."""
    known = [(x, one) for x, one in points if one is not None]
    lows, highs = [max(0.0, scale * one.low) for _, one in known], [scale * one.high for _, one in known]
    area = svg.frame((0.0, 1.0), svg.extent([*lows, *highs]), height=180)
    upper = [(area.x(x), area.y(high)) for (x, _), high in zip(known, highs, strict=True)]
    lower = [(area.x(x), area.y(low)) for (x, _), low in zip(known, lows, strict=True)]
    middle = [(area.x(x), area.y(scale * one.value)) for x, one in known if one.value is not None]
    parts = [
        area.axes("{:g}".format, words),
        svg.tag("path", d=svg.path([*upper, *reversed(lower)]) + "Z", class_="area"),
        svg.tag("path", d=svg.path(middle), class_="line"),
    ]
    parts.append(svg.tag("path", d=f"M{area.x(now)} {area.y.start}V{area.y.end}", class_="limit"))
    ends = {"data_low": area.x.start, "data_high": area.x.end}
    parts.append(svg.tag("path", d=f"M0 {area.y.start}V{area.y.end}", class_="cursor", **ends))
    return svg.picture(label, parts, height=180)
