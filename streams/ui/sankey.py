"""A Sankey diagram of ways through columns: what flows is as wide as it is much."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from streams.ui.svg import group, picture, tag

WIDTH: Final = 1120.0
HEIGHT: Final = 330.0
NODE: Final = 12.0
"""The width of a node."""
GAP: Final = 22.0
"""The least space between two nodes of a column, enough for a line of text."""
HEAD: Final = 26.0
LABELS: Final = 130.0
"""The space for words right of the last column."""
THINNEST: Final = 1.5


@dataclass(frozen=True, slots=True, order=True)
class FlowStop:
    """A place of a way: `rank` orders the stops of a column from the top; without words it is only passed."""

    column: int
    rank: int
    name: str
    words: str = ""
    kind: str = ""
    """The class that gives the colour of what flows into it."""


Way = tuple[Sequence[FlowStop], int]
"""Stops in neighbouring columns, from the left, and what takes this way."""


@dataclass(frozen=True, slots=True)
class _Placed:
    """A stop in the picture: its top, its height, and its amount."""

    x: float
    top: float
    height: float
    amount: int


def sankey(label: str, ways: Iterable[Way], heads: Sequence[str]) -> Markup:
    """Draw ways under the heads of their columns. Elements keep their `data-key`, so a change of them can move."""
    ways = [way for way in ways if way[1] > 0]
    amounts: dict[FlowStop, int] = defaultdict(int)
    links: dict[tuple[FlowStop, FlowStop], int] = defaultdict(int)
    for stops, amount in ways:
        for stop in stops:
            amounts[stop] += amount
        for link in itertools.pairwise(stops):
            links[link] += amount
    scale = _scale(amounts)
    placed = _place(amounts, scale, len(heads))
    parts = [
        tag("text", words, x=_x(column, len(heads)), y=12, class_="soft head") for column, words in enumerate(heads)
    ]
    parts.append(group(_links(links, placed, scale), class_="links"))
    parts.append(group((_node(stop, placed[stop]) for stop in sorted(placed) if stop.words), class_="nodes"))
    return picture(label, parts, WIDTH, HEIGHT)


def _x(column: int, columns: int) -> float:
    return round(column * (WIDTH - LABELS - NODE) / max(1, columns - 1), 2)


def _scale(amounts: Mapping[FlowStop, int]) -> float:
    """Return the height of one unit, so that the fullest column fits."""
    columns: dict[int, list[int]] = defaultdict(list)
    for stop, amount in amounts.items():
        columns[stop.column].append(amount)
    free = (HEIGHT - HEAD - GAP * len(some) for some in columns.values())
    return min((room / sum(some) for room, some in zip(free, columns.values(), strict=True)), default=1.0)


def _place(amounts: Mapping[FlowStop, int], scale: float, columns: int) -> dict[FlowStop, _Placed]:
    placed, tops = {}, dict.fromkeys(range(columns), HEAD)
    for stop in sorted(amounts):
        height = max(THINNEST, amounts[stop] * scale)
        placed[stop] = _Placed(_x(stop.column, columns), tops[stop.column], height, amounts[stop])
        tops[stop.column] += height + GAP
    return placed


def _links(
    links: Mapping[tuple[FlowStop, FlowStop], int], placed: Mapping[FlowStop, _Placed], scale: float
) -> Iterable[Markup]:
    """Yield the links; those of one stop lie side by side, in the order of their other ends."""
    leaving: dict[FlowStop, float] = defaultdict(float)
    entering: dict[FlowStop, float] = defaultdict(float)
    middles: dict[tuple[FlowStop, FlowStop], tuple[float, float]] = {}
    for link in sorted(links):
        middles[link] = (placed[link[0]].top + leaving[link[0]] + links[link] * scale / 2, 0.0)
        leaving[link[0]] += links[link] * scale
    for link in sorted(links, key=lambda one: (one[1], one[0])):
        end = placed[link[1]].top + entering[link[1]] + links[link] * scale / 2
        middles[link] = (middles[link][0], end)
        entering[link[1]] += links[link] * scale
    for (source, target), amount in sorted(links.items()):
        start, end = placed[source].x + (NODE if source.words else 0), placed[target].x + (0 if target.words else NODE)
        yield _link(source, target, amount, (start, end), middles[source, target], max(THINNEST, amount * scale))


def _link(
    source: FlowStop, target: FlowStop, amount: int, xs: tuple[float, float], ys: tuple[float, float], width: float
) -> Markup:
    bend = (xs[0] + xs[1]) / 2
    way = f"M{xs[0]:.2f} {ys[0]:.2f}C{bend:.2f} {ys[0]:.2f} {bend:.2f} {ys[1]:.2f} {xs[1]:.2f} {ys[1]:.2f}"
    title = tag("title", f"{source.words or source.name} to {target.words or target.name}: {amount:,}")
    key, kind = f"{source.column}-{source.name}-{target.name}", target.kind or None
    pulse = tag("path", d=way, stroke_width=min(3.0, round(width, 2)), class_="pulse")
    return group([title, tag("path", d=way, stroke_width=round(width, 2)), pulse], class_=kind, data_key=key)


def _node(stop: FlowStop, place: _Placed) -> Markup:
    middle = place.top + place.height / 2
    box = tag("rect", x=place.x, y=round(place.top, 2), width=NODE, height=round(place.height, 2), rx=2, class_="mark")
    words = tag("text", stop.words, x=place.x + NODE + 6, y=round(middle - 1, 2))
    amount = tag("text", f"{place.amount:,}", x=place.x + NODE + 6, y=round(middle + 13, 2), class_="amount")
    return group([box, words, amount], class_=stop.kind or None, data_key=f"{stop.column}-{stop.name}")
