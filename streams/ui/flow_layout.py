"""The layout of a flow: where its stops and links begin and how large they are, along one side of a picture."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

THINNEST: Final = 1.5


@dataclass(frozen=True, slots=True, order=True)
class FlowStop:
    """A place of a way: `rank` orders the stops of a column."""

    column: int
    rank: int
    name: str
    words: str
    kind: str = ""
    """The class that gives the colour of what flows into it."""


Way = tuple[Sequence[FlowStop], int]
"""Stops in neighbouring columns, from the first, and what takes this way."""
FlowEnds = tuple[FlowStop, FlowStop]


@dataclass(frozen=True, slots=True)
class FlowNode:
    """A stop in the layout."""

    start: float
    size: float
    amount: int


@dataclass(frozen=True, slots=True)
class FlowLink:
    """The flow between two stops: the middles of its ends, and its width."""

    source: FlowStop
    target: FlowStop
    amount: int
    start: float
    end: float
    width: float


@dataclass(frozen=True, slots=True)
class FlowLayout:
    """The stops and the links of a flow, in order."""

    nodes: Mapping[FlowStop, FlowNode]
    links: Sequence[FlowLink]


def flow_layout(ways: Iterable[Way], start: float, end: float, gap: float) -> FlowLayout:
    """Lay ways out between two coordinates, with a gap between the stops of a column: less of it if there are many."""
    amounts: dict[FlowStop, int] = defaultdict(int)
    links: dict[FlowEnds, int] = defaultdict(int)
    for stops, amount in ways:
        if amount > 0:
            for stop in stops:
                amounts[stop] += amount
            for ends in itertools.pairwise(stops):
                links[ends] += amount
    most = max(Counter(stop.column for stop in amounts).values(), default=1)
    gap = min(gap, (end - start) / 2 / most)
    scale = _scale(amounts, end - start, gap)
    nodes = dict(_nodes(amounts, scale, start, gap))
    return FlowLayout(nodes, list(_links(links, nodes, scale)))


def _scale(amounts: Mapping[FlowStop, int], room: float, gap: float) -> float:
    """Return the size of one unit, so that the fullest column fits."""
    columns: dict[int, list[int]] = defaultdict(list)
    for stop, amount in amounts.items():
        columns[stop.column].append(amount)
    free = ((room - (gap + THINNEST) * len(some), sum(some)) for some in columns.values())
    return max(0.0, min((space / amount for space, amount in free), default=1.0))


def _nodes(
    amounts: Mapping[FlowStop, int], scale: float, start: float, gap: float
) -> Iterator[tuple[FlowStop, FlowNode]]:
    free: dict[int, float] = defaultdict(lambda: start)
    for stop in sorted(amounts):
        node = FlowNode(free[stop.column], max(THINNEST, amounts[stop] * scale), amounts[stop])
        free[stop.column] += node.size + gap
        yield stop, node


def _links(links: Mapping[FlowEnds, int], nodes: Mapping[FlowStop, FlowNode], scale: float) -> Iterator[FlowLink]:
    """Yield the links; those of one stop lie side by side, in the order of their other ends."""
    leaving: dict[FlowStop, float] = defaultdict(float)
    entering: dict[FlowStop, float] = defaultdict(float)
    ends = {}
    for link in sorted(links, key=lambda one: (one[1], one[0])):
        ends[link] = nodes[link[1]].start + entering[link[1]] + links[link] * scale / 2
        entering[link[1]] += links[link] * scale
    for source, target in sorted(links):
        amount = links[source, target]
        start = nodes[source].start + leaving[source] + amount * scale / 2
        leaving[source] += amount * scale
        yield FlowLink(source, target, amount, start, ends[source, target], max(THINNEST, amount * scale))
