"""Sankey diagrams: the flow of events from stop to stop, as inline SVG; one from the left, one from the top."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import Final

from markupsafe import Markup

from streams.ui.flow_layout import FlowLayout, FlowLink, FlowNode, FlowStop, Way, flow_layout
from streams.ui.svg import group, picture, tag

WIDTH: Final = 1120.0
HEIGHT: Final = 330.0
NODE: Final = 12.0
"""The thickness of a node."""
GAP: Final = 22.0
"""The least space between two nodes of a column, enough for a line of text."""
HEAD: Final = 26.0
LABELS: Final = 130.0
"""The space for words right of the last column."""
NARROW_WIDTH: Final = 340.0
NARROW_GAP: Final = 6.0
LINE: Final = 15.0
"""The height of a line of text."""
LINE_CHARACTERS: Final = 50
UNBROKEN: Final = "\u00a0"
LINK_LENGTH: Final = 34.0
"""The space between two rows of the narrow diagram."""


def sankey(label: str, ways: Iterable[Way], heads: Sequence[str]) -> Markup:
    """Draw ways from the left, under the heads of their columns.

    Elements keep their `data-key`, so a change of them can move.
    """
    layout = flow_layout(ways, HEAD, HEIGHT, GAP)
    xs = [round(column * (WIDTH - LABELS - NODE) / max(1, len(heads) - 1), 2) for column in range(len(heads))]
    parts = [tag("text", words, x=x, y=12, class_="soft head") for x, words in zip(xs, heads, strict=True)]
    parts.append(
        group(
            (
                _link(one, (xs[one.source.column] + NODE, xs[one.target.column]), "{1:.2f} {0:.2f}")
                for one in layout.links
            ),
            class_="links",
        )
    )
    nodes = (_node(stop, node, xs[stop.column]) for stop, node in layout.nodes.items())
    return picture(label, [*parts, group(nodes, class_="nodes")], WIDTH, HEIGHT)


def narrow_sankey(label: str, ways: Iterable[Way], heads: Sequence[str]) -> Markup:
    """Draw ways from the top. Each row is named below its stops, in their order, on the colours of its stops."""
    layout = flow_layout(ways, 0.0, NARROW_WIDTH, NARROW_GAP)
    texts, tops, bottoms, top = [], [], [], 0.0
    for row, words in enumerate(heads):
        lines = [words, *textwrap.wrap(_named(layout, row), LINE_CHARACTERS)]
        tops.append(top)
        texts += [
            tag(
                "text", line, x=4, y=round(top + NODE + LINE * (place + 1) - 2, 2), class_="amount" if place else "head"
            )
            for place, line in enumerate(lines)
        ]
        bottoms.append(top + NODE + LINE * len(lines) + 4)
        top = bottoms[-1] + LINK_LENGTH
    links = group(
        (_link(one, (bottoms[one.source.column], tops[one.target.column]), "{0:.2f} {1:.2f}") for one in layout.links),
        class_="links",
    )
    boxes = [_row_node(stop, node, tops[stop.column], bottoms[stop.column]) for stop, node in layout.nodes.items()]
    return picture(label, [links, group([*boxes, *texts], class_="nodes")], NARROW_WIDTH, top - LINK_LENGTH)


def _named(layout: FlowLayout, column: int) -> str:
    """Name the stops of a column with their amounts; no line ends between a name and its amount."""
    own = [(stop.words, node.amount) for stop, node in layout.nodes.items() if stop.column == column]
    return ", ".join(f"{words} {amount:,}".replace(" ", UNBROKEN) for words, amount in own)


def _link(link: FlowLink, ends: tuple[float, float], point: str) -> Markup:
    """Draw a link; `point` orders a coordinate across the flow and one along it."""
    bend = (ends[0] + ends[1]) / 2
    curve = ((link.start, ends[0]), (link.start, bend), (link.end, bend), (link.end, ends[1]))
    first, *others = [point.format(*one) for one in curve]
    way, width = f"M{first}C{' '.join(others)}", round(link.width, 2)
    source, target = link.source, link.target
    title = tag("title", f"{source.words} to {target.words}: {link.amount:,}")
    pulse = tag("path", d=way, stroke_width=min(3.0, width), class_="pulse")
    key = f"{source.column}-{source.name}-{target.name}"
    return group([title, tag("path", d=way, stroke_width=width), pulse], class_=target.kind or None, data_key=key)


def _node(stop: FlowStop, node: FlowNode, x: float) -> Markup:
    middle = node.start + node.size / 2
    box = tag("rect", x=x, y=round(node.start, 2), width=NODE, height=round(node.size, 2), rx=2, class_="mark")
    words = tag("text", stop.words, x=x + NODE + 6, y=round(middle - 1, 2))
    amount = tag("text", f"{node.amount:,}", x=x + NODE + 6, y=round(middle + 13, 2), class_="amount")
    return group([box, words, amount], class_=stop.kind or None, data_key=_key(stop))


def _row_node(stop: FlowStop, node: FlowNode, top: float, bottom: float) -> Markup:
    place = {"x": round(node.start, 2), "y": top, "width": round(node.size, 2)}
    named = tag("rect", **place, height=bottom - top, class_="area")
    box = tag("rect", **place, height=NODE, rx=2, class_="mark")
    title = tag("title", f"{stop.words}: {node.amount:,}")
    return group([title, named, box], class_=stop.kind or None, data_key=_key(stop))


def _key(stop: FlowStop) -> str:
    return f"{stop.column}-{stop.name}"
