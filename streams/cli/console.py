"""Output of the commands: tables and colours for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from streams.cli.printable import Harmless, harmless, one_line

out = Console()
err = Console(stderr=True)
for console in (out, err):
    console.push_render_hook(Harmless())

TIER_COLOURS = {"listener": "cyan", "worker": "green", "reasoner": "magenta"}


def note(text: str) -> None:
    """Print a remark to standard error."""
    err.print(text, style="dim", markup=False, highlight=False)


def print_json(value: Any) -> None:
    """Print one JSON document on a line."""
    # JSON does not escape every character that can control a terminal; such characters occur only in its strings.
    sys.stdout.write(harmless(json.dumps(value, default=jsonable, ensure_ascii=False)) + "\n")
    sys.stdout.flush()


def jsonable(value: Any) -> Any:
    """Convert a value for json.dumps: times to ISO 8601, decimals to strings, bytes to text."""
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def cell(value: Any) -> str:
    """Return a value as table text, escaped because it may come from an event."""
    if value is None:
        return "[dim]–[/dim]"
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    return escape(one_line(value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)))


def usd(value: Decimal | None) -> str:
    """Return an amount for people; None is unknown."""
    if value is None:
        return "unknown"
    sign, size = "-" if value < 0 else "", abs(value)
    return f"{sign}${size:.6f}" if size < 1 else f"{sign}${size:.2f}"


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]], title: str | None = None) -> Table:
    """Return a table with numbers aligned right."""
    shown = Table(
        title=title, title_justify="left", title_style="bold", header_style="dim", box=None, padding=(0, 1, 0, 0)
    )
    for index, column in enumerate(columns):
        numeric = any(isinstance(row[index], (int, float, Decimal)) for row in rows)
        shown.add_column(escape(column), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(cell(value) for value in row))
    return shown
