"""An evaluation on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from streams.cli.console import cell
from streams.core.harmless import one_line
from streams.evaluation.tiers.evaluation import TierEvaluation
from streams.evaluation.tiers.sections import EvaluationTable
from streams.evaluation.tiers.tables import headline, sections

MAX_ROWS = 25
"""Rows of a table that are shown."""
MAX_CELL = 60
GAP = 2
"""Spaces between columns."""


def print_evaluation(made: TierEvaluation, out: Console) -> None:
    """Print what was evaluated, the cautions, and the tables of each tier."""
    out.print(headline(made), style="bold", markup=False, highlight=False)
    for caution in made.cautions:
        out.print(f"- {caution}", markup=False, highlight=False)
    found = sections(made)
    shared = _only_source([table for section in found for table in section.tables])
    for section in found:
        out.print()
        out.rule(section.title, align="left", style="dim")
        for sentence in section.sentences:
            out.print(sentence, markup=False, highlight=False)
        for table in section.tables:
            out.print()
            print_evaluation_table(table, out, None if section is found[0] else shared)


def _only_source(tables: Sequence[EvaluationTable]) -> str | None:
    """Return the source of all rows of all tables; None if there are several."""
    names = {row[one.columns.index("source")] for one in tables if "source" in one.columns for row in one.rows}
    return names.pop() if len(names) == 1 else None


def print_evaluation_table(made: EvaluationTable, out: Console, shared: str | None = None) -> None:
    """Print a table if it fits the width; otherwise one block a row. `shared` is a source that need not be named."""
    table = _by_source(made, shared)
    out.print(table.title, style="bold", markup=False, highlight=False)
    shown = Table(box=None, header_style="dim", padding=(0, GAP, 0, 0), pad_edge=False)
    for place, column in enumerate(table.columns):
        right = place in table.numeric
        shown.add_column(escape(column), justify="right" if right else "left", overflow="fold")
    for row in table.rows[:MAX_ROWS]:
        shown.add_row(*(cell(value, MAX_CELL) for value in row))
    if _fit(shown, out.width - GAP * (len(table.columns) - 1), out):
        out.print(shown)
    else:
        _print_blocks(table, out)
    if len(table.rows) > MAX_ROWS:
        out.print(f"and {len(table.rows) - MAX_ROWS:,} more rows; --html and --json have all", style="dim")
    if table.note:
        out.print(table.note, style="dim", markup=False, highlight=False)


def _fit(shown: Table, room: int, out: Console) -> bool:
    """Narrow the widest columns until the table fits, without breaking a word; return False if it cannot."""
    needs = [[out.measure(text) for text in (column.header, *column.cells)] for column in shown.columns]
    widths = [max(one.maximum for one in needed) for needed in needs]
    least = [max(one.minimum for one in needed) for needed in needs]
    while sum(widths) > room:
        wide = [place for place, width in enumerate(widths) if width > least[place]]
        if not wide:
            return False
        widths[max(wide, key=widths.__getitem__)] -= 1
    for column, width in zip(shown.columns, widths, strict=True):
        column.width = width
    return True


def _print_blocks(table: EvaluationTable, out: Console) -> None:
    width = max(map(len, table.columns))
    for row in table.rows[:MAX_ROWS]:
        for place, (column, value) in enumerate(zip(table.columns, row, strict=True)):
            mark = "-" if place == 0 else " "
            out.print(f"{mark} {column:<{width}}  {one_line(value, MAX_CELL)}", markup=False, highlight=False)


def _by_source(table: EvaluationTable, shared: str | None) -> EvaluationTable:
    """Name the source in the title instead of a column, if all rows have the same one; a shared one not at all."""
    if "source" not in table.columns or (len(table.rows) < 2 and shared is None):
        return table
    place = table.columns.index("source")
    sources = {row[place] for row in table.rows}
    if len(sources) > 1:
        return table
    return replace(
        table,
        title=table.title if shared is not None else f"{table.title} (source: {sources.pop()})",
        columns=_without(table.columns, place),
        rows=tuple(_without(row, place) for row in table.rows),
        numeric=tuple(one - (one > place) for one in table.numeric if one != place),
    )


def _without(row: tuple[str, ...], place: int) -> tuple[str, ...]:
    return row[:place] + row[place + 1 :]
