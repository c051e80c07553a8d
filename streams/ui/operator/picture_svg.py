"""The pipeline drawn as SVG: columns side by side for wide screens and paper, one below the other for narrow ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup, escape

from streams.ui.operator.picture import PictureColumn, Place

LINE, PAD, GAP = 17, 10, 12
HEAD: Final = 46
WIDTHS: Final = (178, 172, 256, 216, 126)
COLUMN_GAP: Final = 52
NARROW: Final = 358
LETTER: Final = 5.9
"""The mean width of a letter in pixels."""
LABEL: Final = "The pipeline, from listeners to outcomes. The same follows as a list."
Href = Callable[[Place], str]


@dataclass(frozen=True, slots=True)
class _Box:
    """A place on the drawing."""

    place: Place
    x: float
    y: float
    width: float
    lines: tuple[tuple[str, str], ...]
    """A class and a text for each line under the title."""

    @property
    def height(self) -> float:
        return PAD + LINE * (1 + len(self.lines)) + PAD / 2


def wide(columns: Sequence[PictureColumn], href: Href) -> Markup:
    """Draw the columns side by side, with the ways from each to the next as curves; longer ways are said in words."""
    parts, boxes, x, bottom = [], {}, 0.0, 0.0
    for column, width in zip(columns, WIDTHS, strict=True):
        parts.append(_heading(column, x, 14))
        y = float(HEAD)
        for place in column.places:
            box = boxes[place.key] = _Box(place, x, y, width, _lines(place, width))
            y += box.height + GAP
        x, bottom = x + width + COLUMN_GAP, max(bottom, y)
    ways = Markup().join(_ways(boxes))
    drawn = Markup().join(_drawn(box, href) for box in boxes.values())
    return _svg("wide", x - COLUMN_GAP, bottom, Markup().join(parts) + ways + drawn)


def narrow(columns: Sequence[PictureColumn], href: Href) -> Markup:
    """Draw the columns one below the other. Each place says in words what follows it."""
    titles = {place.key: place.title for column in columns for place in column.places}
    parts, y = [], 14.0
    for column in columns:
        parts.append(_heading(column, 0, y))
        y += HEAD - 14
        for place in column.places:
            after = ", ".join(titles.get(key, key.partition(" ")[2]) for key in place.next)
            lines = _lines(place, NARROW) + ((("way", _cut(f"→ {after}", NARROW)),) if after else ())
            box = _Box(place, 0, y, NARROW, lines)
            parts.append(_drawn(box, href))
            y += box.height + GAP
        y += LINE
    return _svg("narrow", NARROW, y - GAP, Markup().join(parts))


def _lines(place: Place, width: float) -> tuple[tuple[str, str], ...]:
    said = [("soft", _cut(line, width)) for line in place.lines]
    return (*said, ("counted", _cut(place.counted, width))) if place.counted else tuple(said)


def _cut(text: str, width: float) -> str:
    most = int((width - 2 * PAD) / LETTER)
    return text if len(text) <= most else text[: most - 1] + "…"


def _heading(column: PictureColumn, x: float, y: float) -> Markup:
    return Markup('<text class="heading" x="{}" y="{}">{}</text><text class="soft" x="{}" y="{}">{}</text>').format(
        x, y, column.title, x, y + LINE, column.note
    )


def _drawn(box: _Box, href: Href) -> Markup:
    texts = [Markup('<text class="name" x="{}" y="{}">{}</text>').format(
        box.x + PAD, box.y + PAD + LINE - 6, _cut(box.place.title, box.width))]  # fmt: skip
    for number, (kind, text) in enumerate(box.lines, 1):
        y = box.y + PAD + LINE * (number + 1) - 6
        texts.append(Markup('<text class="{}" x="{}" y="{}">{}</text>').format(kind, box.x + PAD, y, text))
    frame = Markup('<rect x="{}" y="{}" width="{}" height="{}" rx="6"/><path class="tier" d="M{} {}v{}"/>').format(
        box.x, box.y, box.width, box.height, box.x + 2, box.y + 6, box.height - 12
    )
    content = frame + Markup().join(texts)
    address, label = href(box.place), f"{box.place.tier} {box.place.title}: {box.place.counted}"
    if not address:
        return Markup('<g class="place {}">{}</g>').format(box.place.tier, content)
    return Markup('<a class="place {}" href="{}" aria-label="{}">{}</a>').format(
        box.place.tier, address, label, content
    )


def _ways(boxes: Mapping[str, _Box]) -> Iterator[Markup]:
    for box in boxes.values():
        for key in box.place.next:
            end = boxes.get(key)
            if end is not None and end.x - (box.x + box.width) <= COLUMN_GAP:
                yield _curve(box, end)


def _curve(start: _Box, end: _Box) -> Markup:
    x1, y1 = start.x + start.width, start.y + start.height / 2
    x2, y2 = end.x, end.y + end.height / 2
    bend = COLUMN_GAP * 0.6
    kind = "way escalates" if (start.place.tier, end.place.tier) == ("worker", "reasoner") else "way"
    return Markup('<path class="{}" d="M{} {}C{} {} {} {} {} {}"/>').format(
        kind, x1, y1, x1 + bend, y1, x2 - bend, y2, x2, y2
    )


def _svg(kind: str, width: float, height: float, content: Markup) -> Markup:
    return Markup('<svg class="pipeline {}" viewBox="0 0 {} {}" role="group" aria-label="{}">{}</svg>').format(
        kind, round(width), round(height), escape(LABEL), content
    )
