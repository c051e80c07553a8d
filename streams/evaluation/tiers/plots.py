"""Plots of an evaluation for its page. They hold names of tiers, handlers and sources, no text of events."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from streams.evaluation.plots import COLOURS, GREY
from streams.evaluation.reliability import Reliability
from streams.evaluation.svg_plots import legend, svg_axes
from streams.evaluation.tiers.evaluation import TierEvaluation
from streams.evaluation.tiers.sources import SourceAccuracy

MAX_ROWS, MAX_CURVES = 16, 6
_TIER_COLOURS = dict(zip(("listener", "worker", "reasoner"), COLOURS, strict=False))


def plots(made: TierEvaluation) -> list[tuple[str, str]]:
    """Return captions and SVG elements of the plots for which there are figures."""
    accuracies = [one for one in made.accuracies if one.value is not None][:MAX_ROWS]
    curves = _curves(made)[:MAX_CURVES]
    found = []
    if accuracies:
        found.append(("Share right by each source, with 95 % intervals", _accuracies(accuracies)))
    if curves:
        found.append(("Share right at each confidence; dashed: perfectly calibrated", _reliability(curves)))
    return found


def _accuracies(accuracies: Sequence[SourceAccuracy]) -> str:
    with svg_axes("accuracies", height=0.9 + 0.28 * len(accuracies)) as plot:
        met: set[str] = set()
        for place, one in enumerate(reversed(accuracies)):
            low, high, value = (100 * (end or 0.0) for end in (one.low, one.high, one.value))
            colour, name = _TIER_COLOURS[one.tier], None if one.tier in met else one.tier
            met.add(one.tier)
            plot.axes.plot([low, high], [place, place], color=colour, linewidth=2.5, solid_capstyle="butt", label=name)
            plot.axes.plot(value, place, marker="o", color=colour, markersize=6)
        names = [f"{one.tier}, {_short(one.source.name)}" for one in reversed(accuracies)]
        plot.axes.set_yticks(range(len(names)), names)
        plot.axes.set(xlim=(0, 101), ylim=(-0.6, len(names) - 0.4), xlabel="% right")
        legend(plot.axes, 3)
    return plot.svg


def _curves(made: TierEvaluation) -> list[tuple[str, Reliability]]:
    truths = made.listener.truths if made.listener else ()
    listeners = [(one.listener, one.confidence) for truth in truths for one in truth.listeners]
    workers = [(worker.handler, one) for worker in made.workers or () for one in worker.confidence]
    return [
        (f"{_short(name)}, {_short(one.source.name)}", one.measured)
        for name, one in (*workers, *listeners)
        if one.measured is not None
    ]


def _reliability(curves: Sequence[tuple[str, Reliability]]) -> str:
    with svg_axes("reliability", height=3.2) as plot:
        plot.axes.plot([0, 100], [0, 100], color=GREY, linewidth=1, linestyle="--")
        for colour, (name, measured) in zip(COLOURS, curves, strict=False):
            x, y, low, high = (
                100 * np.array([getattr(row, part) for row in measured.bins])
                for part in ("confidence", "accuracy", "lower", "upper")
            )
            whiskers = np.maximum([y - low, high - y], 0)
            plot.axes.errorbar(x, y, whiskers, fmt="o-", color=colour, markersize=4, linewidth=1.2, label=name)
        plot.axes.set(xlim=(-1, 101), ylim=(-1, 101), xlabel="confidence, %", ylabel="% right")
        legend(plot.axes, 2)
    return plot.svg


def _short(name: str) -> str:
    shown = "".join(letter if letter.isprintable() and letter != "$" else " " for letter in name)
    return shown if len(shown) <= 24 else shown[:23] + "…"
