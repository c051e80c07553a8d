"""Small plots as inline SVG, from data to markup. Classes give the colours: listener, worker, bad, …

Every plot has an `aria-label`: a sentence that says what it shows. A page puts the data beside it as a table
(`parts.data`). Coordinates are in units of the view box; text keeps its size where a plot is not scaled.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup, escape

WIDTH: Final = 480
HEIGHT: Final = 220
_LEFT: Final = 56
_RIGHT: Final = 12
_TOP: Final = 12
_BOTTOM: Final = 34
BAR: Final = 24.0
"""The height of a bar of `bar_plot`, with the space below it."""
STRETCHED: Final = "none"
"""The `preserveAspectRatio` of a picture without text that fills its place in any shape."""
Words = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Series:
    """A named line of points; `kind` is the class that gives its colour. A y that is None is a gap."""

    name: str
    points: Sequence[tuple[float, float | None]]
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its interval, where there is one."""

    x: float
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class PlotScale:
    """A linear scale from values to coordinates."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the coordinate of a value."""
        share = (value - self.low) / ((self.high - self.low) or 1.0)
        return round(self.start + share * (self.end - self.start), 2)


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Return round values in a range: steps of 1, 2 or 5 times a power of ten."""
    span = high - low
    if span <= 0 or not math.isfinite(span):
        return [low]
    power = 10 ** math.floor(math.log10(span / most))
    step = next(power * one for one in (1, 2, 5, 10, 20) if span / (power * one) <= most)
    first = math.ceil(round(low / step, 9))
    last = math.floor(round(high / step, 9))
    return [round(place * step, 12) for place in range(first, last + 1)]


def tag(name: str, content: object = "", **attributes: object) -> Markup:
    """Return an element. Underscores of attributes become hyphens, `class_` is `class`; None leaves one out."""
    pairs = ((one.rstrip("_").replace("_", "-"), value) for one, value in attributes.items() if value is not None)
    text = Markup("").join(Markup(' {}="{}"').format(one, value) for one, value in pairs)
    return Markup("<{}{}>{}</{}>").format(name, text, escape(content), name)


def group(parts: Iterable[Markup], **attributes: object) -> Markup:
    """Return elements in a group."""
    return tag("g", Markup("").join(parts), **attributes)


def picture(
    label: str, parts: Iterable[Markup], width: float = WIDTH, height: float = HEIGHT, **attributes: object
) -> Markup:
    """Return an SVG image that is described by a sentence."""
    box, content = f"0 0 {width:g} {height:g}", Markup("").join(parts)
    return tag("svg", content, viewBox=box, role="img", aria_label=label, class_="plot", **attributes)


def path(points: Sequence[tuple[float, float]]) -> str:
    """Return a line through points as path data."""
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in points) if points else ""


@dataclass(frozen=True, slots=True)
class PlotFrame:
    """The area of a plot with its two scales."""

    x: PlotScale
    y: PlotScale

    def axes(self, x_words: Words, y_words: Words, x_ticks: Sequence[float] | None = None) -> Markup:
        """Return the grid, the axes and the words at their ticks."""
        bottom, left, right = self.y.start, self.x.start, self.x.end
        parts = [tag("path", d=f"M{left} {bottom}H{right}", class_="axis")]
        for value in ticks(self.y.low, self.y.high):
            at = self.y(value)
            parts.append(tag("path", d=f"M{left} {at}H{right}", class_="grid"))
            parts.append(tag("text", y_words(value), x=left - 6, y=at + 4, text_anchor="end", class_="soft"))
        for value in ticks(self.x.low, self.x.high) if x_ticks is None else x_ticks:
            parts.append(
                tag("text", x_words(value), x=self.x(value), y=bottom + 18, text_anchor="middle", class_="soft")
            )
        return group(parts)


def frame(x: tuple[float, float], y: tuple[float, float], width: float = WIDTH, height: float = HEIGHT) -> PlotFrame:
    """Return the area for ranges of x and y, in a picture of a size."""
    return PlotFrame(PlotScale(*x, _LEFT, width - _RIGHT), PlotScale(*y, height - _BOTTOM, _TOP))


def extent(values: Iterable[float | None], *, zero: bool = True) -> tuple[float, float]:
    """Return the least and the largest value, with 0 in the range; (0, 1) without any."""
    known = [one for one in values if one is not None and math.isfinite(one)]
    if not known:
        return 0.0, 1.0
    low, high = min(known), max(known)
    low, high = (min(low, 0.0), max(high, 0.0)) if zero else (low, high)
    return (low, high) if high > low else (low, low + 1.0)


def line_plot(
    label: str, series: Sequence[Series], x_words: Words, y_words: Words, limit: float | None = None
) -> Markup:
    """Plot lines; `limit` is a horizontal line that they should stay below."""
    xs = [x for one in series for x, _ in one.points]
    ys = [y for one in series for _, y in one.points]
    area = frame(extent(xs, zero=False), extent([*ys, limit]))
    parts = [area.axes(x_words, y_words)]
    if limit is not None:
        parts.append(tag("path", d=f"M{area.x.start} {area.y(limit)}H{area.x.end}", class_="limit"))
    return picture(label, [*parts, *(_line(area, one) for one in series)])


def _line(area: PlotFrame, series: Series) -> Markup:
    runs: list[list[tuple[float, float]]] = [[]]
    for x, y in series.points:
        if y is None:
            runs.append([])
        else:
            runs[-1].append((area.x(x), area.y(y)))
    lines = [tag("path", d=path(run), class_="line") for run in runs if len(run) > 1]
    dots = [tag("circle", cx=run[0][0], cy=run[0][1], r=3, class_="mark") for run in runs if len(run) == 1]
    return group([tag("title", series.name), *lines, *dots], class_=series.kind or None)


def bar_plot(
    label: str, bars: Sequence[tuple[str, float | None, str]], words: Words, limit: float | None = None
) -> Markup:
    """Plot horizontal bars: name, value and class of each, one below the other."""
    height, room = BAR * len(bars) + 8, 150.0
    scale = PlotScale(0.0, extent([*(value for _, value, _ in bars), limit])[1], room, WIDTH - 70.0)
    drawn, texts = [], []
    for place, (name, value, kind) in enumerate(bars):
        y, end = 6 + BAR * place, room if value is None else scale(value)
        width = round(max(0.0, end - room), 2)
        drawn.append(tag("rect", x=room, y=y, width=width, height=16, rx=2, class_=f"mark {kind}"))
        texts.append(tag("text", name, x=room - 8, y=y + 13, text_anchor="end"))
        texts.append(tag("text", "unknown" if value is None else words(value), x=end + 6, y=y + 13, class_="soft"))
    if limit is not None:
        drawn.append(tag("path", d=f"M{scale(limit)} 0V{height}", class_="limit"))
    return picture(label, [*drawn, *texts], height=height)


def interval_plot(label: str, rows: Sequence[tuple[str, Estimate]], words: Words) -> Markup:
    """Plot values with their intervals, one below the other; `x` of the estimates is not used."""
    height, room = 30.0 * len(rows) + 34, 150.0
    values = [one for _, row in rows for one in (row.value, row.low, row.high)]
    scale = PlotScale(*extent(values), room, WIDTH - 20.0)
    parts = []
    for value in ticks(scale.low, scale.high, 4):
        parts.append(tag("path", d=f"M{scale(value)} 0V{height - 28}", class_="grid"))
        parts.append(tag("text", words(value), x=scale(value), y=height - 10, text_anchor="middle", class_="soft"))
    for place, (name, row) in enumerate(rows):
        y = 16 + 30.0 * place
        parts.append(tag("text", name, x=room - 8, y=y + 4, text_anchor="end"))
        if row.low is not None and row.high is not None:
            parts.append(tag("path", d=f"M{scale(row.low)} {y}H{scale(row.high)}", class_="whisker"))
        parts.append(tag("circle", cx=scale(row.value), cy=y, r=5, class_="mark"))
    return picture(label, parts, height=height)


def reliability_plot(label: str, bins: Sequence[Estimate], threshold: float | None = None) -> Markup:
    """Plot the share that was right against the confidence, both from 0 to 1, with the ideal diagonal."""
    area = frame((0.0, 1.0), (0.0, 1.0), 360, 320)
    x, y = area.x, area.y
    parts = [area.axes("{:g}".format, "{:g}".format), tag("path", d=path([(x(0), y(0)), (x(1), y(1))]), class_="ideal")]
    if threshold is not None:
        parts.append(tag("path", d=f"M{x(threshold)} {y(0)}V{y(1)}", class_="limit"))
    for one in bins:
        if one.low is not None and one.high is not None:
            parts.append(tag("path", d=f"M{x(one.x)} {y(one.low)}V{y(one.high)}", class_="whisker"))
        parts.append(tag("circle", cx=x(one.x), cy=y(one.value), r=4, class_="mark"))
    parts.append(tag("text", "confidence", x=x(1), y=y(0) - 6, text_anchor="end", class_="soft"))
    return picture(label, parts, 360, 320)


def sparkline(label: str, values: Sequence[float | None], kind: str = "") -> Markup:
    """Plot a row of values without axes, 120 by 28 units; gaps stay gaps."""
    low, high = extent(values)
    area = PlotFrame(PlotScale(0, max(1, len(values) - 1), 1, 119), PlotScale(low, high, 26, 2))
    line = _line(area, Series(label, list(enumerate(values)), kind))
    return picture(label, [line], 120, 28, preserveAspectRatio=STRETCHED)
