"""A worker's guarantee, confidence and escalations, in words and as a plot, for the page on quality."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup

from streams.ui import svg
from streams.ui.operator.flow import REASONS
from streams.ui.operator.scope import LIVE, Scope
from streams.ui.operator.wording import count, percent, usd

if TYPE_CHECKING:
    from streams.evaluation.worker_confidence import GuaranteeState, WorkerConfidence

BINS: Final = 20
PROMISE: Final = (0.05, 0.9)
"""The guarantee that the page suggests: the share that may be wrong, and the certainty."""
STATES: Final[Mapping[GuaranteeState, tuple[str, str, str]]] = {
    "holds": ("good", "yes", ""),
    "drifted": ("problem", "no longer", "Its scores have moved away from those that it was calibrated on."),
    "broken": ("problem", "no longer", "More of the accepted answers were wrong than it promises."),
    "expired": ("problem", "no longer", "It belongs to another version of this worker."),
    "not enough evidence": ("warning", "not known yet", "There are too few answers since its calibration."),
    "none": ("", "there is none", "The threshold is a guess until labels prove one."),
}
"""The mood of each state, the answer to whether the guarantee is still good, and the reason."""
Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownWorker:
    """One worker as the page shows it."""

    quality: WorkerConfidence
    mood: str
    answer: str
    """The answer to whether its guarantee is still good."""
    why: str
    plot: Markup
    table: Sequence[Sequence[str]]
    to_reasoner: str
    """Its escalations in the scope, in words; empty if nothing was asked of it."""
    cost: str
    """The cost of its threshold in the scope, in words; empty without an answer that it decided on."""
    calibrate: str
    """The way to calibrate it, in words that a command follows; empty if it need not be."""
    command: str


@dataclass(frozen=True, slots=True)
class WorkerFigures:
    """The rows of the page's queries about a scope."""

    scope: Scope
    pipeline: str
    """The name of the pipeline file."""
    histogram: Rows
    unsure: Rows
    places: Rows
    escalations: Rows

    def of(self, one: WorkerConfidence) -> ShownWorker:
        """Return a worker with its figures."""
        mood, answer, why = STATES[one.state]
        own = [row for row in self.histogram if row["handler"] == one.worker]
        plot, table = _reliability(one) if one.reliability else _histogram(one, own)
        return ShownWorker(
            quality=one,
            mood=mood,
            answer=f"{answer}, since {one.artifact.created}" if one.artifact and one.state == "holds" else answer,
            why=" ".join(filter(None, (why, claim(one)))),
            plot=plot,
            table=table,
            to_reasoner=self._to_reasoner(one.worker),
            cost=self._cost(one),
            calibrate=_calibrate(one),
            command=self._command(one),
        )

    def _to_reasoner(self, worker: str) -> str:
        events = sum(row["events"] for row in self.places if (row["place"], row["name"]) == ("worker", worker))
        reasons = Counter[str]()
        for row in self.escalations:
            if row["handler"] == worker:
                reasons[row["reason"]] += row["events"]
        if not events:
            return ""
        share = f"{percent(reasons.total() / events)} of its {count(events)} events {self.scope.words}"
        words = dict(REASONS)
        parts = [f"{count(number)} {words.get(reason, reason)}" for reason, number in reasons.most_common()]
        return f"{share}: {', '.join(parts)}" if parts else share

    def _cost(self, one: WorkerConfidence) -> str:
        calibration = one.artifact.id if one.artifact else ""
        own = [row for row in self.unsure if row["handler"] == one.worker]
        row = next((row for row in own if row["calibration"] == calibration), None)
        if row is None:
            return ""
        return (
            f"{count(row['unsure'])} of {count(row['answers'])} answers missed it {self.scope.words}, and the reasoner "
            f"cost {usd(row['reasoner_usd'])} for them"
        )

    def _command(self, one: WorkerConfidence) -> str:
        error, certainty = (one.artifact.max_error, one.artifact.certainty) if one.artifact else PROMISE
        run = "" if self.scope.run == LIVE else f" --run {shlex.quote(self.scope.run)}"
        return (
            f"escalon calibrate -p {shlex.quote(self.pipeline)} --handler {one.worker} --max-error {error:g} "
            f"--certainty {certainty:g}{run}"
        )


def claim(one: WorkerConfidence) -> str:
    """State a guarantee in words; empty without one."""
    if one.artifact is None:
        return ""
    return (
        f"It says: with {100 * one.artifact.certainty:g} % certainty, at most {100 * one.artifact.max_error:g} % of "
        "the answers that it gives alone are wrong."
    )


def _calibrate(one: WorkerConfidence) -> str:
    from streams.calibration.binomial import fewest_cases

    if one.state in ("holds", "not enough evidence"):
        return ""
    error, certainty = (one.artifact.max_error, one.artifact.certainty) if one.artifact else PROMISE
    fewest = fewest_cases(error, 1 - certainty)
    promise = f'for "at most {100 * error:g} % wrong, with {100 * certainty:g} % certainty"'
    if one.labelled < fewest:
        return (
            f"{count(one.labelled)} labelled tasks: {count(fewest - one.labelled)} more are needed at least {promise}, "
            "and further ones if some are wrong. Then:"
        )
    return f"{count(one.labelled)} labelled tasks: you can calibrate now, {promise}:"


def _reliability(one: WorkerConfidence) -> tuple[Markup, list[tuple[str, ...]]]:
    bins = one.reliability.bins if one.reliability else ()
    label = f"{one.worker}: the share of right answers by confidence, from {one.labelled} labelled tasks"
    marks = [svg.Estimate(row.confidence, row.accuracy, row.lower, row.upper) for row in bins]
    table: list[tuple[str, ...]] = [
        (f"{row.low:.2f} to {row.high:.2f}", f"{row.n}", percent(row.confidence), percent(row.accuracy),
         f"{percent(row.lower)} to {percent(row.upper)}")
        for row in bins
    ]  # fmt: skip
    return svg.reliability_plot(label, marks, one.threshold.raw), table


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
    if one.threshold.raw is not None:
        at = area.x(one.threshold.raw)
        parts.append(svg.tag("path", d=f"M{at} {bottom}V{area.y.end}", class_="limit"))
    label = f"{one.worker}: answers by confidence, with the threshold as a line"
    table: list[tuple[str, ...]] = [
        (f"{row['bin']:.2f}", f"{row['answers']:,}", f"{row['accepted']:,}") for row in rows
    ]
    return svg.picture(label, parts, 360, 320), table
