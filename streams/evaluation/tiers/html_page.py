"""An evaluation as an HTML page."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files

from streams.evaluation.html_document import html_document, shown_text
from streams.evaluation.tiers.evaluation import TierEvaluation
from streams.evaluation.tiers.plots import plots
from streams.evaluation.tiers.sections import EvaluationSection, EvaluationTable
from streams.evaluation.tiers.tables import headline, sections

MAX_ROWS, MAX_CELL = 500, 200


def page(made: TierEvaluation) -> str:
    """Render the page, with at most MAX_ROWS rows of each table."""
    template = files("streams.evaluation.tiers").joinpath("page.html").read_text("utf-8")
    values = {
        "made": made,
        "headline": headline(made),
        "figures": plots(made),
        "sections": [_section(one) for one in sections(made)],
    }
    return html_document(template, values, title=f"Evaluation of the run {made.run}")


def _section(section: EvaluationSection) -> EvaluationSection:
    return replace(section, tables=tuple(_table(one) for one in section.tables))


def _table(table: EvaluationTable) -> EvaluationTable:
    rows = tuple(tuple(shown_text(cell, MAX_CELL) for cell in row) for row in table.rows[:MAX_ROWS])
    left_out = len(table.rows) - MAX_ROWS
    note = f"{table.note} {left_out:,} more rows are in the JSON." if left_out > 0 else table.note
    return replace(table, rows=rows, note=note)
