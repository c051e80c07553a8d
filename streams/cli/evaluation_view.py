"""An evaluation on a terminal."""

from __future__ import annotations

from dataclasses import replace

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from streams.cli.console import cell
from streams.evaluation.tiers.evaluation import TierEvaluation
from streams.evaluation.tiers.sections import EvaluationTable
from streams.evaluation.tiers.tables import headline, sections

MAX_ROWS = 25
"""Rows of a table that are shown."""
MAX_CELL = 60


def print_evaluation(made: TierEvaluation, out: Console) -> None:
    """Print what was evaluated, the cautions, and the tables of each tier."""
    out.print(headline(made), style="bold", markup=False, highlight=False)
    for caution in made.cautions:
        out.print(f"- {caution}", markup=False, highlight=False)
    for section in sections(made):
        out.print()
        out.rule(section.title, align="left", style="dim")
        for sentence in section.sentences:
            out.print(sentence, markup=False, highlight=False)
        for table in section.tables:
            out.print()
            print_evaluation_table(table, out)


def print_evaluation_table(made: EvaluationTable, out: Console) -> None:
    table = _by_source(made)
    out.print(table.title, style="bold", markup=False, highlight=False)
    shown = Table(box=None, header_style="dim", padding=(0, 2, 0, 0), pad_edge=False)
    for place, column in enumerate(table.columns):
        right = place in table.numeric
        shown.add_column(escape(column), justify="right" if right else "left", overflow="fold", no_wrap=right)
    for row in table.rows[:MAX_ROWS]:
        shown.add_row(*(cell(value, MAX_CELL) for value in row))
    out.print(shown)
    if len(table.rows) > MAX_ROWS:
        out.print(f"and {len(table.rows) - MAX_ROWS:,} more rows; --html and --json have all", style="dim")
    if table.note:
        out.print(table.note, style="dim", markup=False, highlight=False)


def _by_source(table: EvaluationTable) -> EvaluationTable:
    """Name the source in the title instead of a column, if all rows have the same one."""
    if "source" not in table.columns or len(table.rows) < 2:
        return table
    place = table.columns.index("source")
    sources = {row[place] for row in table.rows}
    if len(sources) > 1:
        return table
    return replace(
        table,
        title=f"{table.title} (source: {sources.pop()})",
        columns=_without(table.columns, place),
        rows=tuple(_without(row, place) for row in table.rows),
        numeric=tuple(one - (one > place) for one in table.numeric if one != place),
    )


def _without(row: tuple[str, ...], place: int) -> tuple[str, ...]:
    return row[:place] + row[place + 1 :]
