"""Results of audit queries: a table for people, JSON lines for programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from streams.audit.query import QueryResult
from streams.audit.result_text import plain
from streams.cli.console import cell, table
from streams.core.harmless import harmless, one_line

CELL_CHARACTERS = 160
"""The most characters of a cell that a table shows by default."""
Write = Callable[[QueryResult, TextIO], None]


def print_table(answer: QueryResult, out: Console, limit: int | None = CELL_CHARACTERS) -> None:
    """Print a table if it fits the width; otherwise one block a row."""
    made = table(answer.columns, answer.rows, limit=limit)
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


def write_json(answer: QueryResult, file: TextIO) -> None:
    for record in answer.records():
        file.write(harmless(json.dumps(plain(record), ensure_ascii=False)) + "\n")
