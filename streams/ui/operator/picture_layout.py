"""The places of the pipeline's boxes on a wide drawing, and the way of each edge around the boxes between its ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Final

from streams.ui.operator.picture import PictureColumn, Place

HEAD: Final = 46
"""The height of a column's heading."""
GAP, LANE_HEIGHT = 12, 4
WIDTHS: Final = (178, 172, 256, 216, 126)
COLUMN_GAP: Final = 60


@dataclass(eq=False, slots=True)
class Node:
    """A box, or a lane: the stretch on which edges to the same place pass a column between."""

    column: int
    height: float
    place: Place | None = None
    y: float = HEAD
    before: list[Node] = field(default_factory=list)
    """The nodes that lead to it."""

    @property
    def x(self) -> float:
        """The left end."""
        return sum(WIDTHS[: self.column]) + self.column * COLUMN_GAP

    @property
    def width(self) -> float:
        """The width of its column."""
        return WIDTHS[self.column]

    @property
    def middle(self) -> float:
        """The height at which edges meet it."""
        return self.y + self.height / 2


@dataclass(frozen=True, slots=True)
class Edge:
    """A line from a node to one of the next column. `kind` is that of the way to which it belongs."""

    start: Node
    end: Node
    kind: str


def laid_out(
    columns: Sequence[PictureColumn], height_of: Callable[[Place, float], float]
) -> tuple[list[Node], list[Edge]]:
    """Return the nodes and the edges. A node is at the mean height of what leads to it, or below, if that is taken."""
    boxes = {
        place.key: Node(number, height_of(place, WIDTHS[number]), place)
        for number, column in enumerate(columns)
        for place in column.places
    }
    lanes: dict[tuple[int, str], Node] = {}
    edges = list(dict.fromkeys(edge for box in boxes.values() for edge in _edges(box, boxes, lanes)))
    for edge in edges:
        if edge.kind != "nothing":
            edge.end.before.append(edge.start)
    nodes = [*boxes.values(), *lanes.values()]
    for number in range(len(columns)):
        _stack([node for node in nodes if node.column == number])
    return nodes, edges


def _edges(box: Node, boxes: dict[str, Node], lanes: dict[tuple[int, str], Node]) -> Iterator[Edge]:
    """Yield the edges from a box to each of its next ones, by a lane through each column between them."""
    for way in box.place.next if box.place is not None else ():
        end, start = boxes[way.key], box
        for number in range(box.column + 1, end.column):
            lane = lanes.setdefault((number, way.key), Node(number, LANE_HEIGHT))
            yield Edge(start, lane, way.kind)
            start = lane
        yield Edge(start, end, way.kind)


def _stack(column: list[Node]) -> None:
    """Place the nodes of a column by the mean height of what leads to them; those to which nothing leads come last."""
    wanted = {id(node): fmean(one.middle for one in node.before) if node.before else 0.0 for node in column}
    free = float(HEAD)
    for node in sorted(column, key=lambda node: wanted[id(node)] or float("inf")):
        node.y = max(free, wanted[id(node)] - node.height / 2)
        free = node.y + node.height + GAP
