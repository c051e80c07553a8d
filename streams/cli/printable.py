"""Text from outside, made safe for a terminal: characters that could control it are escaped."""

from __future__ import annotations

import io
import re
import unicodedata
from collections.abc import Iterable
from typing import TextIO, cast

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.control import Control
from rich.segment import Segment

# Line separators and changes of writing direction; control characters are found by their category.
_UNSEEN = {"\u2028", "\u2029", "\u202a", "\u202b", "\u202c", "\u202d", "\u202e", "\u2066", "\u2067", "\u2068", "\u2069"}
_MARKS = {"\n": "⏎", "\r": "␍", "\t": " "}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""The same characters, but without line ends and tabs."""


def one_line(text: str, limit: int | None = None) -> str:
    """Return the text in one line without control characters, cut to `limit` characters and a count of the rest."""
    shown = text if limit is None else text[:limit]
    safe = "".join(_MARKS.get(char) or (_escaped(char) if unseen(char) else char) for char in shown)
    return safe if len(shown) == len(text) else f"{safe}… (+{len(text) - len(shown)})"


def lines(text: str) -> str:
    """Return the whole text with its line ends and without other control characters."""
    return "\n".join(one_line(line) for line in text.split("\n"))


def unseen(char: str) -> bool:
    """True if a character would control the terminal instead of being shown."""
    return char in _UNSEEN or unicodedata.category(char) in ("Cc", "Cs")


def harmless(text: str) -> str:
    """Escape control characters as JSON does; line ends and tabs stay."""
    return _CONTROL.sub(lambda found: _escaped(found[0]), text)


def _escaped(char: str) -> str:
    return f"\\u{ord(char):04x}"


class _Terminal(io.TextIOBase):
    """A terminal that gets escaped text."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> int:
        self._file.write(harmless(text))
        return len(text)


def shown(file: TextIO) -> TextIO:
    """Return a file for foreign text, which is escaped only if the file is a terminal."""
    return cast(TextIO, _Terminal(file)) if file.isatty() else file


class Harmless(RenderHook):
    """Escapes everything that a console prints, but not the control codes of Rich itself."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [one if isinstance(one, Control) else _Escaped(one) for one in renderables]


class _Escaped:
    """A renderable whose segments are escaped as they are drawn."""

    def __init__(self, inner: ConsoleRenderable) -> None:
        self._inner = inner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        drawn: Iterable[Segment] = console.render(self._inner, options)
        for one in drawn:
            yield one if one.control else Segment(harmless(one.text), one.style)
