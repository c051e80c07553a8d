"""An evaluation on a terminal."""

from __future__ import annotations

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
            _print_table(table, out)


def _print_table(table: EvaluationTable, out: Console) -> None:
    out.print(table.title, style="bold", markup=False, highlight=False)
    shown = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for place, column in enumerate(table.columns):
        shown.add_column(escape(column), justify="right" if place in table.numeric else "left", overflow="fold")
    for row in table.rows[:MAX_ROWS]:
        shown.add_row(*(cell(value, MAX_CELL) for value in row))
    out.print(shown)
    if len(table.rows) > MAX_ROWS:
        out.print(f"and {len(table.rows) - MAX_ROWS:,} more rows; --html and --json have all", style="dim")
    if table.note:
        out.print(table.note, style="dim", markup=False, highlight=False)
