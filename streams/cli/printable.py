"""Terminals and consoles that escape the foreign text that is written to them."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import TextIO, cast

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.control import Control
from rich.segment import Segment

from streams.core.harmless import harmless


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
