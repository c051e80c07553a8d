"""The intervals of a panel's results as SVG for the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from streams.evaluation.plots import BLUE, GREY, INK, PALE, VERMILLION
from streams.evaluation.svg_plots import legend, svg_axes
from streams.panels.claims import ErrorClaim
from streams.panels.decision import EVEN, ClaimState
from streams.panels.report.error_rates import DeliveredErrorRate
from streams.panels.report.questions import QuestionFigure
from streams.panels.report.results import PanelResults

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_ROWS = 12
"""The most intervals in a plot."""
_INCHES, _ROW_INCHES = 4.2, 0.34


def plots(found: PanelResults) -> list[tuple[str, str]]:
    """Return captions and SVG elements: the wrong answers, and the shares of each comparison."""
    drawn = []
    if any(one.cases for one in found.errors):
        drawn.append(("Wrong answers, in % of the tasks", _errors(found.errors[:MAX_ROWS], found.assistant)))
    if found.claim is not None and found.claim.moments:
        drawn.append(("Bounds after each case, which hold however often one looks", _bounds(found.claim)))
    for number, one in enumerate(found.questions):
        figures = [*one.figures, *([one.win_rate] if one.win_rate else [])]
        shares = [figure for figure in figures if figure.is_share and figure.interval.value is not None]
        if one.question.type == "pick" and shares:
            drawn.append((one.question.ask, _shares(shares, f"question{number}")))
    return drawn


def _errors(errors: Sequence[DeliveredErrorRate], assistant: str) -> str:
    with svg_axes("errors", width=_INCHES, height=0.8 + _ROW_INCHES * len(errors)) as plot:
        for place, one in enumerate(reversed(errors)):
            people = one.people
            label = "people" if place == 0 else None
            _interval(plot.axes, place + 0.1, (people.value, people.low, people.high), BLUE, label)
            if one.assisted is not None and one.cases:
                with_model = one.assisted
                label = f"people with {assistant} as predictor" if place == 0 else None
                _interval(
                    plot.axes, place - 0.2, (with_model.value, with_model.low, with_model.high), VERMILLION, label
                )
        _names(plot.axes, [one.part for one in errors])
        plot.axes.set_xlim(left=0)
        if any(one.assisted is not None for one in errors):
            legend(plot.axes, 2)
    return plot.svg


def _bounds(state: ClaimState) -> str:
    with svg_axes("bounds", width=_INCHES) as plot:
        cases = [one.cases for one in state.moments]
        for ends in ([100 * one.low for one in state.moments], [100 * one.high for one in state.moments]):
            plot.axes.step(cases, ends, where="post", color=BLUE, linewidth=1.8)
        limit = state.claim.limit if isinstance(state.claim, ErrorClaim) else EVEN
        plot.axes.axhline(100 * limit, color=VERMILLION, linewidth=1.2, linestyle="--", label=str(state.claim))
        plot.axes.set(ylim=(0, 100 if limit == EVEN else min(100, 600 * limit)), xlabel="cases", ylabel="%")
        legend(plot.axes, 1)
    return plot.svg


def _shares(figures: Sequence[QuestionFigure], name: str) -> str:
    with svg_axes(name, width=_INCHES, height=0.8 + _ROW_INCHES * len(figures)) as plot:
        plot.axes.axvline(50, color=PALE, linewidth=1)
        for place, one in enumerate(reversed(figures)):
            rate = one.interval
            _interval(plot.axes, place, (rate.value, rate.low, rate.high), BLUE, None)
        _names(plot.axes, [one.name for one in figures])
        plot.axes.set_xlim(0, 100)
        plot.axes.set_xlabel("%")
    return plot.svg


def _interval(
    axes: Axes, place: float, ends: tuple[float | None, float, float], colour: str, label: str | None
) -> None:
    value, low, high = ends
    if value is None:
        axes.text(1, place, "no case", color=GREY, fontsize=8, va="center")
        return
    axes.plot([100 * low, 100 * high], [place, place], color=colour, linewidth=2.5, solid_capstyle="butt", label=label)
    axes.plot(100 * value, place, marker="o", color=colour, markersize=6, clip_on=False)


def _names(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), [_short(name) for name in reversed(names)])
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.tick_params(axis="y", length=0, labelcolor=INK)


def _short(name: str) -> str:
    return name if len(name) <= 28 else name[:27] + "…"
