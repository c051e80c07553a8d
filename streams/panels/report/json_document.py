"""A panel's results as one JSON document, with the words of the report."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from streams.panels.report.results import PanelResults
from streams.panels.report.words import cautions, conclusion


def document(found: PanelResults) -> dict[str, Any]:
    """Return the document. Shares and rates are from 0 to 1, the points of a scale from 1."""
    made = asdict(found)
    for written, one in zip(made["questions"], found.questions, strict=True):
        question = written.pop("question")
        written |= {name: question[name] for name in ("name", "ask", "type")}
        written["raters"] = {str(raters): cases for raters, cases in one.raters.items()}
    made["further_minutes"] = found.further_minutes
    return {"conclusion": conclusion(found), "cautions": list(cautions(found)), **made.pop("scope"), **made}
