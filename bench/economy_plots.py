"""The figures of bench/economy.py as pictures, each as SVG and PNG."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bench.economy_curves import Floats, Outcomes, accuracies, asked_first
from bench.economy_product import Decided
from streams.core.errors import ConfigError
from streams.evaluation.plots import (
    COLOURS,
    GREY,
    INK,
    VERMILLION,
    figure_file,
    in_percent,
    label_ends,
    percent,
    plot_reliability,
    style_axes,
)
from streams.evaluation.reliability import reliability

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Curve = tuple[Sequence[float], Sequence[float]]
"""Shares of reasoner calls, and the accuracy at each, both 0 to 1."""
MARKERS = "osD^vP"
LEGEND = {
    "confidence": "P(worker right)",
    "gain": "expected gain",
    "tfidf_before": "TF-IDF, before the answer",
    "tfidf_after": "TF-IDF, answer read",
    "oracle": "oracle",
}
TITLES = {"gsm8k": "GSM8K, answer read", "mmlu": "MMLU, before the answer"}
SUFFIXES = (".svg", ".png")


class Draws(NamedTuple):
    """One method over many drawn calibration sets of `n` cases: share of broken draws, and mean coverage."""

    method: str
    n: int
    broken: float
    coverage: float


def draw_set(directory: Path, name: str, needs: Mapping[str, Floats], outcomes: Outcomes, decided: Decided) -> None:
    """Draw cost against quality, and the reliability of the calibrated probabilities, on the test rows."""
    n = len(outcomes.worker)
    share = np.arange(n + 1) / n
    curves = {
        LEGEND[method]: (share.tolist(), accuracies(asked_first(need), outcomes).tolist())
        for method, need in needs.items()
    }
    measured = reliability(decided.probability, outcomes.worker.astype(np.bool_))
    worker, reasoner = float(outcomes.worker.mean()), float(outcomes.reasoner.mean())
    for suffix in SUFFIXES:
        title = f"{TITLES[name]}: cost and quality, {n:,} test rows"
        plot_cost_quality(directory / f"{name}-cost{suffix}", curves, title, worker=worker, reasoner=reasoner)
        plot_reliability(directory / f"{name}-reliability{suffix}", measured, f"{TITLES[name]}: calibrated verifier")


def draw_guarantee(directory: Path, score: str, rows: Sequence[Mapping[str, Any]], title: str, allowed: float) -> None:
    """Draw the share of broken draws and the coverage of one score."""
    drawn = [Draws(row["method"], row["n"], row["broken"], row["coverage"]) for row in rows]
    for suffix in SUFFIXES:
        plot_draws(directory / f"guarantee-{score}{suffix}", drawn, title, allowed=allowed)


def plot_cost_quality(
    path: Path, curves: Mapping[str, Curve], title: str, *, worker: float, reasoner: float, wanted: float = 0.95
) -> None:
    """Draw accuracy against the share of events that the reasoner answers, a curve for each way to choose them.

    `worker` and `reasoner` are the accuracies of either alone; a line marks `wanted` times the reasoner's, and a
    diagonal what a random choice of events gives. After Ong et al. 2024, "RouteLLM". At most six curves. Raises
    ConfigError when the path cannot be written or ends in neither .svg nor .png.
    """
    with figure_file(path, 6.6, 4.6) as figure:
        axes = figure.subplots()
        marks = {
            "worker alone": (worker, GREY),
            f"{percent(wanted)} of the reasoner": (wanted * reasoner, VERMILLION),
            "reasoner alone": (reasoner, GREY),
        }
        for value, colour in marks.values():
            axes.axhline(value, color=colour, linewidth=0.8, linestyle=":")
        colours = _colours(curves, "curves", [*(colour for colour in COLOURS if colour != VERMILLION), INK])
        for name, (shares, accuracies) in curves.items():
            axes.plot(shares, accuracies, color=colours[name], linewidth=1.8, label=name)
        axes.plot([0, 1], [worker, reasoner], color=GREY, linewidth=1, linestyle="--", label="random choice")
        style_axes(axes, title, "share of events sent to the reasoner", "share of right answers")
        in_percent(axes, "x")
        in_percent(axes, "y")
        values = [worker, reasoner, wanted * reasoner, *(value for _, ys in curves.values() for value in ys)]
        room = max(0.08 * (max(values) - min(values)), 0.005)
        axes.set(xlim=(0, 1), ylim=(min(values) - room, max(values) + room))
        label_ends(axes, [(name, value, colour) for name, (value, colour) in marks.items()])
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 0.1), frameon=False, fontsize=8, labelcolor=INK)


def plot_draws(path: Path, rows: Iterable[Draws], title: str, *, allowed: float | None = None) -> None:
    """Draw the share of draws in which the promise broke, and mean coverage, for each method and number of cases.

    `allowed` is the share that the promise itself allows to break (1 - certainty). At most six methods. Raises
    ConfigError as `plot_reliability` does, and without rows.
    """
    drawn = [Draws(*row) for row in rows]
    if not drawn:
        raise ConfigError("There are no draws to plot.", "Measure some first.", "rows")
    sizes = sorted({row.n for row in drawn})
    colours = _colours(dict.fromkeys(row.method for row in drawn), "methods", COLOURS)
    with figure_file(path, 7.2, 5.8) as figure:
        upper, lower = figure.subplots(2, 1, sharex=True)
        upper.set_xlim(-0.15, len(sizes) - 0.85)
        lower.set_xticks(range(len(sizes)), [f"{n:,}" for n in sizes])
        style_axes(upper, title, "", "draws that broke\nthe target")
        style_axes(lower, "", "labelled cases in the calibration set", "mean share accepted")
        if allowed is not None:
            upper.axhline(allowed, color=INK, linewidth=1, linestyle="--")
        limit = [] if allowed is None else [(f"allowed {percent(allowed)}", allowed, INK)]
        points = [(row.method, sizes.index(row.n), row.broken, row.coverage) for row in sorted(drawn)]
        _draw_methods(upper, [(method, x, broken) for method, x, broken, _ in points], colours, limit)
        _draw_methods(lower, [(method, x, coverage) for method, x, _, coverage in points], colours, [])


def _draw_methods(
    axes: Axes,
    points: Sequence[tuple[str, int, float]],
    colours: Mapping[str, str],
    limit: Sequence[tuple[str, float, str]],
) -> None:
    """Draw a line for each method through its points (method, x, y), which ascend in x, named at their ends."""
    ends = list(limit)
    for (method, colour), marker in zip(colours.items(), MARKERS, strict=False):
        x, y = zip(*((x, y) for name, x, y in points if name == method), strict=True)
        axes.plot(x, y, color=colour, marker=marker, markersize=5, linewidth=1.2)
        ends.append((method, y[-1], colour))
    axes.set_ylim(bottom=-0.02)
    in_percent(axes, "y")
    label_ends(axes, ends)


def _colours(names: Iterable[str], what: str, palette: Sequence[str]) -> dict[str, str]:
    listed = list(names)
    if len(listed) > len(palette):
        raise ConfigError(f"{len(listed)} {what} are more than {len(palette)}.", "Draw some of them.", what)
    return dict(zip(listed, palette, strict=False))
