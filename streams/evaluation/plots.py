"""Calibration and the guarantee drawn as SVG or PNG by the suffix of the path.

The same input gives the same SVG. Colours are from Okabe, Ito 2008, which colour-blind readers can distinguish.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from streams.core.errors import ConfigError
from streams.evaluation.reliability import HISTOGRAM_BINS, Reliability

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

BLUE, VERMILLION, GREEN = "#0072B2", "#D55E00", "#009E73"
COLOURS = (BLUE, VERMILLION, GREEN, "#CC79A7", "#E69F00", "#56B4E9")
_LABEL_POINTS = 12
"""The least distance between the middles of two labels."""
INK, GREY, PALE = "#333333", "#6E6E6E", "#D9D9D9"
_SETTINGS: Mapping[str, Any] = {
    "svg.hashsalt": "escalon",  # else the ids in the file are random
    "svg.fonttype": "path",  # a browser without the font shows the same picture
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "savefig.bbox": "standard",
}
_METADATA: Mapping[str, Mapping[str, Any]] = {".svg": {"Date": None, "Creator": None}, ".png": {"Software": None}}


@dataclass(frozen=True, slots=True)
class GuaranteeCurve:
    """Error and coverage at each threshold, and the target. All are shares, 0 to 1.

    `errors` (among the accepted; nan if there are none) and `coverages` belong to `thresholds`. `bound` is the upper
    bound of the error at the chosen `threshold`, `max_error` the target.
    """

    thresholds: Sequence[float]
    errors: Sequence[float]
    coverages: Sequence[float]
    max_error: float
    threshold: float
    bound: float


def plot_reliability(path: Path, measured: Reliability, title: str) -> None:
    """Plot each bin's accuracy, with its Wilson interval, against its mean probability, over a histogram.

    After Niculescu-Mizil, Caruana 2005, "Predicting Good Probabilities with Supervised Learning". Raises ConfigError if
    the path cannot be written or ends in neither .svg nor .png.
    """
    with figure_file(path, 5.4, 6.6) as figure:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
        upper.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--")
        x = np.array([row.confidence for row in measured.bins])
        y = np.array([row.accuracy for row in measured.bins])
        whiskers = np.array([[row.accuracy - row.lower, row.upper - row.accuracy] for row in measured.bins]).T
        upper.errorbar(x, y, np.maximum(whiskers, 0), fmt="o-", color=BLUE, markersize=4.5, linewidth=1.2, elinewidth=1)
        summary = (
            f"ECE {_with_interval(measured.ece, measured.ece_interval)}, "
            f"Brier {_with_interval(measured.brier, measured.brier_interval)}, "
            f"log loss {measured.log_loss:.3f} nats\n"
            f"n = {measured.n:,}; brackets and bars: 95 % intervals; dashed: perfectly calibrated"
        )
        style_axes(upper, title, "", "share of right answers")
        upper.set_title(title, loc="left", fontsize=11, color=INK, pad=32)
        upper.text(0, 1.02, summary, transform=upper.transAxes, fontsize=7.5, color=GREY, linespacing=1.5)
        upper.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        edges = np.linspace(0, 1, HISTOGRAM_BINS + 1)
        lower.bar(edges[:-1], measured.histogram, width=1 / HISTOGRAM_BINS, align="edge", color=BLUE, edgecolor="white")
        style_axes(lower, "", "probability that the answer is right", "cases")


def plot_guarantee(path: Path, curve: GuaranteeCurve, title: str) -> None:
    """Plot the error among the accepted answers, and below it coverage, against the threshold on the probability.

    Marks the error target, the chosen threshold, and the bound of the error there. Raises ConfigError as
    `plot_reliability` does.
    """
    x = np.asarray(curve.thresholds, dtype=np.float64)
    with figure_file(path, 6.6, 5.4) as figure:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
        style_axes(upper, title, "", "wrong among the accepted")
        style_axes(lower, "", "threshold on the probability that the answer is right", "accepted")
        for axes in (upper, lower):
            axes.axvline(curve.threshold, color=GREY, linewidth=0.8, linestyle=":")
            axes.set_xlim(float(x.min()), float(x.max()))
            in_percent(axes, "y")
        _draw_errors(upper, curve)
        side = "right" if curve.threshold > (x.min() + x.max()) / 2 else "left"
        text = f" chosen threshold {curve.threshold:.3f} "
        upper.text(curve.threshold, upper.get_ylim()[1], text, ha=side, va="top", fontsize=8, color=INK)
        coverage = _at_threshold(curve, curve.coverages)
        lower.plot(x, curve.coverages, color=GREEN, linewidth=1.8)
        lower.plot(curve.threshold, coverage, marker="o", color=GREEN, markersize=5)
        lower.set_ylim(0, 1.02)
        label_ends(lower, [(f"accepted {percent(coverage)}", coverage, GREEN)])


def _draw_errors(axes: Axes, curve: GuaranteeCurve) -> None:
    error = _at_threshold(curve, curve.errors)
    axes.plot(curve.thresholds, curve.errors, color=BLUE, linewidth=1.8)
    axes.axhline(curve.max_error, color=VERMILLION, linewidth=1, linestyle="--")
    axes.plot([curve.threshold] * 2, [error, curve.bound], color=INK, linewidth=1.2)
    axes.plot(curve.threshold, curve.bound, marker="_", color=INK, markersize=12, markeredgewidth=1.6)
    axes.plot(curve.threshold, error, marker="o", color=BLUE, markersize=5)
    highest = float(np.nanmax([curve.max_error, curve.bound, *curve.errors]))
    axes.set_ylim(0, min(1.25 * highest, 1.02))
    marks = {"target": (curve.max_error, VERMILLION), "bound": (curve.bound, INK), "measured": (error, BLUE)}
    label_ends(axes, [(f"{name} {percent(value)}", value, colour) for name, (value, colour) in marks.items()])


def _at_threshold(curve: GuaranteeCurve, values: Sequence[float]) -> float:
    return float(values[int(np.abs(np.asarray(curve.thresholds) - curve.threshold).argmin())])


@contextmanager
def figure_file(path: Path, width: float, height: float) -> Iterator[Figure]:
    """Yield a figure (in inches) that is written to `path` when the block ends.

    Not thread-safe: matplotlib's settings belong to the whole process and are changed inside the block.
    """
    suffix = path.suffix.lower()
    if suffix not in _METADATA:
        raise ConfigError(f"{path} is neither an SVG nor a PNG file.", f"End it with {' or '.join(_METADATA)}.")
    try:
        from matplotlib import style
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError("Drawing needs matplotlib.", "Install it with `pip install matplotlib`.") from error

    drawn = io.BytesIO()
    with style.context(["default", dict(_SETTINGS)]):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        figure.savefig(drawn, format=suffix[1:], dpi=160, metadata=_METADATA[suffix])
    try:
        path.write_bytes(drawn.getvalue())
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error}).", "Use an existing folder.") from error


def style_axes(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title, loc="left", fontsize=11, color=INK)
    axes.set_xlabel(x, fontsize=9, color=INK)
    axes.set_ylabel(y, fontsize=9, color=INK)
    axes.tick_params(labelsize=8, color=PALE, labelcolor=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(PALE)


def in_percent(axes: Axes, which: Literal["x", "y"]) -> None:
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_formatter(lambda share, _position: f"{100 * share:.6g} %")


def label_ends(axes: Axes, labels: Iterable[tuple[str, float, str]]) -> None:
    """Write labels (text, y, colour) right of the axes, moved apart as little as possible; set the limits of y before.

    A label whose y is nan is left out. Heights that keep a gap are, less the gaps, an isotonic regression.
    """
    from scipy.optimize import isotonic_regression  # type: ignore[import-untyped]

    low, high = axes.get_ylim()
    ordered = sorted((label for label in labels if math.isfinite(label[1])), key=lambda label: label[1])
    if not ordered:
        return
    gap = _LABEL_POINTS / 72 * axes.figure.dpi / axes.bbox.height
    steps = gap * np.arange(len(ordered))
    wished = np.array([(value - low) / (high - low) for _, value, _ in ordered])
    heights = np.clip(isotonic_regression(wished - steps).x, 0, max(0.0, 1.0 - steps[-1])) + steps
    for (text, _, colour), height in zip(ordered, heights.tolist(), strict=True):
        # A swatch beside dark text: the pale colours are too faint to read.
        axes.plot([1.012, 1.032], [height] * 2, color=colour, linewidth=2, transform=axes.transAxes, clip_on=False)
        axes.text(1.042, height, text, transform=axes.transAxes, va="center", fontsize=8, color=INK)


def percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _with_interval(value: float, interval: tuple[float, float]) -> str:
    return f"{value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]"
