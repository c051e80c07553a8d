"""Plots of a comparison as SVG for the page, in the page's colours, light and dark. They hold no text of events."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from streams.evaluation.plots import BLUE, COLOURS, GREY, INK, PALE, VERMILLION

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from streams.evaluation.compare.comparison import RunComparison
    from streams.evaluation.compare.preference import Accuracy

TIERS = ("listener", "worker", "reasoner")
_POINTS = 400
"""Points of a curve."""
_SMALLEST = 1e-3
"""In seconds. Shorter times, such as those of cached answers, are drawn here."""
_SETTINGS: Mapping[str, Any] = {
    "svg.hashsalt": "escalon",  # else the ids are random
    "svg.fonttype": "path",  # no font of the reader's is needed
    "font.family": "DejaVu Sans",
}
_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))
_INKS = {INK: "currentColor", GREY: "var(--muted)", PALE: "var(--line)"}


def plots(made: RunComparison) -> dict[str, str]:
    drawn = {"endings": _endings(made), "money": _money(made), "difference": _difference(made)}
    return drawn | ({"seconds": _seconds(made)} if made.timed else {})


def _endings(made: RunComparison) -> str:
    with _axes("endings") as (axes, drawn):
        left = np.zeros(2)
        for colour, name in zip((BLUE, VERMILLION, *COLOURS[4:], GREY), made.a.endings, strict=False):
            counts = np.array([made.b.endings[name], made.a.endings[name]], dtype=np.float64)
            shares = 100 * counts / made.overlap.both
            axes.barh(["B", "A"], shares, left=left, color=colour, label=name, height=0.6)
            left += shares
        axes.set(xlim=(0, 100), xlabel="% of the events")
        _legend(axes, 5)
    return drawn[0]


def _money(made: RunComparison) -> str:
    with _axes("money") as (axes, drawn):
        for place, (name, run) in enumerate((("B", made.b.run), ("A", made.a.run))):
            left = 0.0
            for tier, colour in zip(TIERS, (GREY, BLUE, VERMILLION), strict=True):
                usd = float(sum(one.usd or 0 for one in made.calls if one.run == run and one.tier == tier))
                axes.barh(place, usd, left=left, color=colour, height=0.6, label=tier if name == "A" else None)
                left += usd
        axes.set_yticks([0, 1], ["B", "A"])
        axes.set(xlabel="US dollars, as far as known")
        _legend(axes, 3)
    return drawn[0]


def _difference(made: RunComparison) -> str:
    kinds = [one for one in (made.intents, made.answers) if one.labelled.n] or [made.answers]
    with _axes("difference") as (axes, drawn):
        axes.axvline(0, color=INK, linewidth=1)
        axes.axvline(-100 * made.margin, color=VERMILLION, linewidth=1, linestyle="--", label="margin")
        for place, accuracy in enumerate(kinds):
            _interval(axes, place, accuracy)
        axes.set_yticks(range(len(kinds)), [f"{one.aspect}s" for one in kinds])
        axes.set(ylim=(-0.6, len(kinds) - 0.4), xlabel="points that B is right more often, 95 % interval")
        _legend(axes, 1)
    return drawn[0]


def _interval(axes: Axes, place: int, accuracy: Accuracy) -> None:
    found = accuracy.difference
    value, low, high = (100 * (end or 0.0) for end in (found.value, found.low, found.high))
    axes.plot([low, high], [place, place], color=BLUE, linewidth=2.5, solid_capstyle="butt")
    if accuracy.apart.n:
        axes.plot(value, place, marker="o", color=BLUE, markersize=7)


def _seconds(made: RunComparison) -> str:
    with _axes("seconds") as (axes, drawn):
        for name, values, colour, line in zip("AB", made.times, (BLUE, VERMILLION), ("-", "--"), strict=True):
            levels = np.linspace(0, 1, min(_POINTS, len(values)))
            x = np.maximum(np.quantile(values, levels), _SMALLEST)
            axes.step(x, 100 * levels, where="post", color=colour, linestyle=line, label=name, linewidth=1.8)
        axes.set(xscale="log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set(ylim=(0, 101), xlabel="seconds of models", ylabel="% of the events")
        _legend(axes, 2)
    return drawn[0]


def _legend(axes: Axes, columns: int) -> None:
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, frameon=False, fontsize=8, labelcolor=INK,
        borderaxespad=0.1, columnspacing=1, handlelength=1.2,
    )  # fmt: skip


@contextmanager
def _axes(name: str) -> Iterator[tuple[Axes, list[str]]]:
    """Yield axes, and a list that holds their SVG when the block ends."""
    from matplotlib import style
    from matplotlib.figure import Figure

    drawn: list[str] = []
    with style.context(["default", dict(_SETTINGS)]):
        figure = Figure(figsize=(5.2, 2.3), layout="constrained")
        axes = figure.subplots()
        axes.tick_params(labelsize=8, color=PALE, labelcolor=INK)
        axes.xaxis.label.set(size=8, color=INK)
        axes.yaxis.label.set(size=8, color=INK)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(PALE)
        yield axes, drawn
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata=_METADATA)
    drawn.append(_inlined(file.getvalue(), name))


def _inlined(svg: str, name: str) -> str:
    """Turn an SVG file into an element of a page: unique ids, the page's colours, hidden from screen readers."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", svg)
    for ink, here in _INKS.items():
        svg = svg.replace(ink, here).replace(ink.lower(), here)
    return svg.replace("<svg ", '<svg aria-hidden="true" ', 1)
