"""Output of the commands: tables and colours for people, JSON for programs."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from streams.audit.result_text import plain, text_of
from streams.cli.printable import Harmless
from streams.core.harmless import harmless, one_line

out = Console()
err = Console(stderr=True)
for console in (out, err):
    console.push_render_hook(Harmless())

LEAST_AMOUNT = Decimal("0.000001")
TIER_COLOURS = {"listener": "cyan", "worker": "green", "reasoner": "magenta", "judge": "blue"}


def note(text: str) -> None:
    """Print a remark to standard error."""
    err.print(text, style="dim", markup=False, highlight=False)


def print_json(value: Any) -> None:
    """Print one JSON document on a line."""
    # JSON does not escape every character that can control a terminal; such characters occur only in its strings.
    sys.stdout.write(harmless(json.dumps(plain(value), ensure_ascii=False)) + "\n")
    sys.stdout.flush()


def cell(value: Any, limit: int | None = None) -> str:
    """Return a value as table text, escaped because it may come from an event."""
    if value is None:
        return "[dim]–[/dim]"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if math.isfinite(value) and 0 < abs(value) < 0.001 else f"{value:.3f}"
    if isinstance(value, Decimal):
        return _amount(value, limit)
    if isinstance(value, datetime):
        return value.isoformat(" ", "milliseconds")
    return escape(one_line(text_of(value), limit))


def _amount(value: Decimal, limit: int | None) -> str:
    """Format an exact number, rounded to six places if `limit` is set and the number is not smaller."""
    short = value.quantize(LEAST_AMOUNT) if limit is not None and abs(value) >= LEAST_AMOUNT else value
    return format(short.normalize(), "f")


def usd(value: Decimal | None) -> str:
    """Return an amount for people; None is unknown."""
    if value is None:
        return "unknown"
    sign, size = "-" if value < 0 else "", abs(value)
    return f"{sign}${size:.6f}" if size < 1 else f"{sign}${size:.2f}"


def table(
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    title: str | None = None,
    limit: int | None = None,
    right: Sequence[int] = (),
) -> Table:
    """Return a table with numbers aligned right and NULL as a dash; `limit` is the most characters of a cell.

    `right` holds the places of further columns to align right, such as numbers with a unit. An id is not wrapped, so
    that it can be copied.
    """
    shown = Table(
        title=None if title is None else Text(title, "bold", no_wrap=True, overflow="ignore"),
        title_justify="left",
        header_style="dim",
        box=None,
        padding=(0, 1, 0, 0),
    )
    for index, column in enumerate(columns):
        numeric = index in right or any(isinstance(row[index], (int, float, Decimal)) for row in rows)
        shown.add_column(
            escape(one_line(column)),
            justify="right" if numeric else "left",
            overflow="fold",
            no_wrap=column == "id" or column.endswith("_id"),
        )
    for row in rows:
        shown.add_row(*(cell(value, limit) for value in row))
    return shown
