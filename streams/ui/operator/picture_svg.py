"""The pipeline drawn as SVG: columns side by side for wide screens and paper, one below the other for narrow ones."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from markupsafe import Markup, escape

from streams.ui.operator.picture import KINDS, LETTERS, PictureColumn, Place
from streams.ui.operator.picture_layout import COLUMN_GAP, GAP, HEAD, Edge, Node, laid_out

LINE, PAD = 17, 10
NARROW: Final = 358
LETTER, BOLD_LETTER = 5.9, 7.4
"""The mean width of a letter in pixels."""
LABEL: Final = "The pipeline, from listeners to outcomes. The same follows as a list."
Href = Callable[[Place], str]
Lines = Sequence[tuple[str, str]]
"""A class and a text for each line of a box."""


def wide(columns: Sequence[PictureColumn], href: Href) -> Markup:
    """Draw the columns side by side, every way as a curve, and below them the dead letters, where each tier leads."""
    nodes, edges = laid_out(columns, lambda place, width: _height(_lines(place, width)))
    letters = next(node for node in nodes if node.place is not None and node.place.key == LETTERS)
    letters.y = max(node.y + node.height for node in nodes if node is not letters) + GAP
    headings = [_heading(column, Node(number, 0).x, 14) for number, column in enumerate(columns)]
    lanes = [_line("way", node.x, node.x + node.width, node.middle) for node in nodes if node.place is None]
    boxes = [_box(node.place, node.x, node.y, _lines(node.place, node.width), node.width, href)
             for node in nodes if node.place is not None]  # fmt: skip
    rail = _line("way fails", 0, letters.x, letters.middle)
    parts = [*headings, *lanes, *map(_curve, edges), rail, *boxes]
    return _svg("wide", letters.x + letters.width, letters.y + letters.height + 1, parts)


def narrow(columns: Sequence[PictureColumn], href: Href) -> Markup:
    """Draw the columns one below the other. Each place says in words what follows it."""
    titles = {place.key: place.title for column in columns for place in column.places}
    parts, y = list[Markup](), 14.0
    for column in columns:
        parts.append(_heading(column, 0, y))
        y += HEAD - 14
        for place in column.places:
            after = [("way", line) for words in after_words(place, titles) for line in _wrapped(f"→ {words}", NARROW)]
            lines = [*_lines(place, NARROW), *after]
            parts.append(_box(place, 0, y, lines, NARROW, href))
            y += _height(lines) + GAP
        y += LINE
    return _svg("narrow", NARROW, y - LINE - GAP + 1, parts)


def after_words(place: Place, titles: dict[str, str]) -> Iterator[str]:
    """Yield what follows a place in words, such as `answered` and `resolve, if refused, unsure or failed`."""
    for kind in dict.fromkeys(way.kind for way in place.next):
        names = ", ".join(titles[way.key] for way in place.next if way.kind == kind)
        yield f"{names}, if {KINDS[kind]}" if kind else names


def _lines(place: Place, width: float) -> Lines:
    said = [("name", line) for line in _wrapped(place.title, width, BOLD_LETTER)]
    said += [("soft", line) for text in place.lines for line in _wrapped(text, width)]
    return said + [("counted", line) for line in _wrapped(place.counted, width)]


def _wrapped(text: str, width: float, letter: float = LETTER) -> list[str]:
    return textwrap.wrap(text, int((width - 2 * PAD) / letter))


def _height(lines: Lines) -> float:
    return PAD + LINE * len(lines) + PAD / 2


def _heading(column: PictureColumn, x: float, y: float) -> Markup:
    return _text("heading", x, y, column.title) + _text("soft", x, y + LINE, column.note)


def _box(place: Place, x: float, y: float, lines: Lines, width: float, href: Href) -> Markup:
    height = _height(lines)
    frame = Markup('<rect x="{}" y="{}" width="{}" height="{}" rx="6"/><path class="tier" d="M{} {}v{}"/>').format(
        x, y, width, height, x + 2, y + 6, height - 12
    )
    texts = [_text(kind, x + PAD, y + PAD + LINE * number - 6, text) for number, (kind, text) in enumerate(lines, 1)]
    content, address = frame + Markup().join(texts), href(place)
    if not address:
        return Markup('<g class="place {}">{}</g>').format(place.tier, content)
    label = f"{place.tier} {place.title}: {place.counted}"
    return Markup('<a class="place {}" href="{}" aria-label="{}">{}</a>').format(place.tier, address, label, content)


def _text(kind: str, x: float, y: float, text: str) -> Markup:
    return Markup('<text class="{}" x="{}" y="{}">{}</text>').format(kind, x, round(y, 1), text)


def _line(kind: str, x1: float, x2: float, y: float) -> Markup:
    return Markup('<path class="{}" d="M{} {y}H{}"/>').format(kind, x1, x2, y=round(y, 1))


def _curve(edge: Edge) -> Markup:
    x1, y1 = edge.start.x + edge.start.width, round(edge.start.middle, 1)
    x2, y2 = edge.end.x, round(edge.end.middle, 1)
    bend = COLUMN_GAP * 0.55
    return Markup('<path class="way {}" d="M{} {}C{} {} {} {} {} {}"/>').format(
        edge.kind, x1, y1, x1 + bend, y1, x2 - bend, y2, x2, y2
    )


def _svg(kind: str, width: float, height: float, parts: Sequence[Markup]) -> Markup:
    return Markup('<svg class="pipeline {}" viewBox="0 0 {} {}" role="group" aria-label="{}">{}</svg>').format(
        kind, round(width), round(height), escape(LABEL), Markup().join(parts)
    )
