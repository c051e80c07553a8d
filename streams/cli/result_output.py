"""Results of audit queries: a table for people, CSV and JSON lines for programs."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TextIO

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from streams.audit.query import QueryResult
from streams.cli.printable import harmless, one_line

CELL_CHARACTERS = 160
"""The most characters of a cell that a table shows by default."""
LEAST_AMOUNT = Decimal("0.000001")
Write = Callable[[QueryResult, TextIO], None]


def as_table(answer: QueryResult, limit: int | None = CELL_CHARACTERS) -> Table:
    """Return the rows as a table, with numbers aligned right and NULL as a dash."""
    shown = Table(header_style="dim", box=None, padding=(0, 1, 0, 0))
    for place, column in enumerate(answer.columns):
        numeric = any(isinstance(row[place], (int, float, Decimal)) for row in answer.rows)
        shown.add_column(escape(one_line(column)), justify="right" if numeric else "left", overflow="fold")
    for row in answer.rows:
        shown.add_row(*(cell(value, limit) for value in row))
    return shown


def print_table(answer: QueryResult, out: Console, limit: int | None = CELL_CHARACTERS) -> None:
    """Print a table if it fits the width; otherwise one block a row."""
    made = as_table(answer, limit)
    room = out.measure(made).minimum if answer.rows else 0
    if len(answer.columns) <= 1 or (_least(made, out) <= out.width and room <= out.width):
        out.print(made)
        return
    width = max(len(column) for column in answer.columns)
    for number, row in enumerate(answer.rows, 1):
        out.print(f"row {number}", style="dim")
        for column, value in zip(answer.columns, row, strict=True):
            out.print(f"  {escape(one_line(column)):<{width}}  {cell(value, limit)}", highlight=False)


def _least(made: Table, out: Console) -> int:
    """Return the least width that keeps every header and every short cell on one line."""
    wide = 0
    for column in made.columns:
        cells = [str(column.header), *(str(text) for text in column.cells)]
        wide += max(min(out.measure(text).maximum, 18) for text in cells) + 1
    return wide


def cell(value: Any, limit: int | None = CELL_CHARACTERS) -> str:
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


def text_of(value: Any) -> str:
    """Return a value as text; a nested value as JSON."""
    simple = plain(value)
    return simple if isinstance(simple, str) else json.dumps(simple, ensure_ascii=False)


def plain(value: Any) -> Any:
    """Convert a value for JSON: decimals to strings, times to ISO 8601, NaN and infinity to null."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, Mapping):
        return {text_of(name): plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(one) for one in value]
    return str(value)


def write_json(answer: QueryResult, file: TextIO) -> None:
    """Write one JSON object a row."""
    for record in answer.records():
        file.write(harmless(json.dumps(plain(record), ensure_ascii=False)) + "\n")


def write_csv(answer: QueryResult, file: TextIO) -> None:
    """Write a header and one line a row; NULL is empty, a nested value is JSON."""
    writer = csv.writer(file)
    writer.writerow(answer.columns)
    writer.writerows(["" if value is None else text_of(value) for value in row] for row in answer.rows)
