"""Plots of a comparison for its page. They hold no text of events."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streams.evaluation.plots import BLUE, COLOURS, GREY, INK, VERMILLION
from streams.evaluation.svg_plots import legend, svg_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from streams.evaluation.compare.comparison import RunComparison
    from streams.evaluation.compare.preference import Accuracy

TIERS = ("listener", "worker", "reasoner")
_POINTS = 400
"""Points of a curve."""
_SMALLEST = 1e-3
"""In seconds. Shorter times, such as those of cached answers, are drawn here."""


def plots(made: RunComparison) -> dict[str, str]:
    drawn = {"endings": _endings(made), "money": _money(made), "difference": _difference(made)}
    return drawn | ({"seconds": _seconds(made)} if made.timed else {})


def _endings(made: RunComparison) -> str:
    with svg_axes("endings") as plot:
        left = np.zeros(2)
        for colour, name in zip((BLUE, VERMILLION, *COLOURS[4:], GREY), made.a.endings, strict=False):
            counts = np.array([made.b.endings[name], made.a.endings[name]], dtype=np.float64)
            shares = 100 * counts / made.overlap.both
            plot.axes.barh(["B", "A"], shares, left=left, color=colour, label=name, height=0.6)
            left += shares
        plot.axes.set(xlim=(0, 100), xlabel="% of the events")
        legend(plot.axes, 5)
    return plot.svg


def _money(made: RunComparison) -> str:
    with svg_axes("money") as plot:
        for place, (name, run) in enumerate((("B", made.b.run), ("A", made.a.run))):
            left = 0.0
            for tier, colour in zip(TIERS, (GREY, BLUE, VERMILLION), strict=True):
                usd = float(sum(one.usd or 0 for one in made.calls if one.run == run and one.tier == tier))
                plot.axes.barh(place, usd, left=left, color=colour, height=0.6, label=tier if name == "A" else None)
                left += usd
        plot.axes.set_yticks([0, 1], ["B", "A"])
        plot.axes.set(xlabel="US dollars, as far as known")
        legend(plot.axes, 3)
    return plot.svg


def _difference(made: RunComparison) -> str:
    kinds = [one for one in (made.intents, made.answers) if one.labelled.n] or [made.answers]
    with svg_axes("difference") as plot:
        plot.axes.axvline(0, color=INK, linewidth=1)
        plot.axes.axvline(-100 * made.margin, color=VERMILLION, linewidth=1, linestyle="--", label="margin")
        for place, accuracy in enumerate(kinds):
            _interval(plot.axes, place, accuracy)
        plot.axes.set_yticks(range(len(kinds)), [f"{one.aspect}s" for one in kinds])
        plot.axes.set(ylim=(-0.6, len(kinds) - 0.4), xlabel="points that B is right more often, 95 % interval")
        legend(plot.axes, 1)
    return plot.svg


def _interval(axes: Axes, place: int, accuracy: Accuracy) -> None:
    found = accuracy.difference
    value, low, high = (100 * (end or 0.0) for end in (found.value, found.low, found.high))
    axes.plot([low, high], [place, place], color=BLUE, linewidth=2.5, solid_capstyle="butt")
    if accuracy.apart.n:
        axes.plot(value, place, marker="o", color=BLUE, markersize=7)


def _seconds(made: RunComparison) -> str:
    with svg_axes("seconds") as plot:
        for name, values, colour, line in zip("AB", made.times, (BLUE, VERMILLION), ("-", "--"), strict=True):
            levels = np.linspace(0, 1, min(_POINTS, len(values)))
            x = np.maximum(np.quantile(values, levels), _SMALLEST)
            plot.axes.step(x, 100 * levels, where="post", color=colour, linestyle=line, label=name, linewidth=1.8)
        plot.axes.set(xscale="log")
        plot.axes.xaxis.set_major_formatter("{x:g}")
        plot.axes.set(ylim=(0, 101), xlabel="seconds of models", ylabel="% of the events")
        legend(plot.axes, 2)
    return plot.svg
