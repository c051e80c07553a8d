"""Text that came from outside, made fit for a terminal."""

from __future__ import annotations

import io
import re
import unicodedata
from collections.abc import Iterable
from typing import TextIO, cast

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.control import Control
from rich.segment import Segment

# Line separators and what turns the direction of writing; control characters go by their category.
_UNSEEN = {"\u2028", "\u2029", "\u202a", "\u202b", "\u202c", "\u202d", "\u202e", "\u2066", "\u2067", "\u2068", "\u2069"}
_MARKS = {"\n": "⏎", "\r": "␍", "\t": " "}
_STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""The same characters but for line ends and tabs."""


def one_line(text: str, limit: int | None = None) -> str:
    """The text in one line without control characters, cut to `limit` characters with what is left out told."""
    shown = text if limit is None else text[:limit]
    safe = "".join(_MARKS.get(char) or (_spelt(char) if unseen(char) else char) for char in shown)
    return safe if len(shown) == len(text) else f"{safe}… (+{len(text) - len(shown)})"


def lines(text: str) -> str:
    """The whole text with its line ends and without other control characters."""
    return "\n".join(one_line(line) for line in text.split("\n"))


def unseen(char: str) -> bool:
    """Whether a character would steer the terminal instead of being shown."""
    return char in _UNSEEN or unicodedata.category(char) in ("Cc", "Cs")


def harmless(text: str) -> str:
    """The text with what would steer a terminal spelt out, as JSON would; line ends and tabs stay."""
    return _STEERING.sub(lambda found: _spelt(found[0]), text)


def _spelt(char: str) -> str:
    return f"\\u{ord(char):04x}"


class _Terminal(io.TextIOBase):
    """Writes harmless text to a terminal."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> int:
        """Write it; returns how many characters of it."""
        self._file.write(harmless(text))
        return len(text)


def shown(file: TextIO) -> TextIO:
    """A file to write foreign text to: as it is, unless somebody sits before it."""
    return cast(TextIO, _Terminal(file)) if file.isatty() else file


class Harmless(RenderHook):
    """Makes harmless whatever a console is given to print, whoever wrote it; what Rich itself steers with stays."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """Each of them, to be looked at as it is drawn."""
        return [one if isinstance(one, Control) else _Drawn(one) for one in renderables]


class _Drawn:
    """A renderable whose segments are made harmless."""

    def __init__(self, inner: ConsoleRenderable) -> None:
        self._inner = inner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        drawn: Iterable[Segment] = console.render(self._inner, options)
        for one in drawn:
            yield one if one.control else Segment(harmless(one.text), one.style)
