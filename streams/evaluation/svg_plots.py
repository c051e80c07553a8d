"""Plots as SVG elements of an HTML document, in its colours, light and dark."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from streams.evaluation.plots import GREY, INK, PALE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SETTINGS: Mapping[str, Any] = {
    "svg.hashsalt": "escalon",  # else the ids are random
    "svg.fonttype": "path",  # no font of the reader's is needed
    "font.family": "DejaVu Sans",
}
_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))
_INKS = {INK: "currentColor", GREY: "var(--muted)", PALE: "var(--line)"}


@dataclass(slots=True)
class SvgPlot:
    """Axes to draw on, and after the block their SVG."""

    axes: Axes
    svg: str = ""


@contextmanager
def svg_axes(name: str, width: float = 5.2, height: float = 2.3) -> Iterator[SvgPlot]:
    """Yield axes of a size in inches; `svg` is set when the block ends. `name` is unique within the document.

    Draw in INK, GREY and PALE what shall take the document's colours. Not thread-safe, as matplotlib's settings belong
    to the whole process and are changed inside the block.
    """
    from matplotlib import style
    from matplotlib.figure import Figure

    with style.context(["default", dict(_SETTINGS)]):
        figure = Figure(figsize=(width, height), layout="constrained")
        plot = SvgPlot(figure.subplots())
        plot.axes.tick_params(labelsize=8, color=PALE, labelcolor=INK)
        plot.axes.xaxis.label.set(size=8, color=INK)
        plot.axes.yaxis.label.set(size=8, color=INK)
        plot.axes.spines[["top", "right"]].set_visible(False)
        plot.axes.spines[["left", "bottom"]].set_color(PALE)
        yield plot
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata=_METADATA)
    plot.svg = _inlined(file.getvalue(), name)


def legend(axes: Axes, columns: int) -> None:
    """Put the legend above the axes, in a number of columns."""
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, frameon=False, fontsize=8, labelcolor=INK,
        borderaxespad=0.1, columnspacing=1, handlelength=1.2,
    )  # fmt: skip


def _inlined(svg: str, name: str) -> str:
    """Turn an SVG file into an element of a page: unique ids, the page's colours, hidden from screen readers."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", svg)
    for ink, here in _INKS.items():
        svg = svg.replace(ink, here).replace(ink.lower(), here)
    return svg.replace("<svg ", '<svg aria-hidden="true" ', 1)
