"""A panel's results as an HTML page."""

from __future__ import annotations

from importlib.resources import files

from streams.evaluation.html_document import html_document
from streams.panels.report.plots import plots
from streams.panels.report.results import PanelResults
from streams.panels.report.tables import report_tables
from streams.panels.report.words import cautions, conclusion, headline, standing


def page(found: PanelResults) -> str:
    """Render the page. It names raters and holds no text of events."""
    values = {
        "found": found,
        "headline": headline(found),
        "standing": standing(found),
        "conclusion": conclusion(found),
        "cautions": list(cautions(found)),
        "figures": plots(found),
        "tables": list(report_tables(found)),
    }
    return html_document(_part("page.html"), values, title=f"Panel {found.scope.panel}", style=_part("page.css"))


def _part(name: str) -> str:
    return files("streams.panels.report").joinpath(name).read_text("utf-8")
