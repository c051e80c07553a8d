"""A panel's results as one JSON document, with the words of the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from streams.panels.report.raters import RaterShare
from streams.panels.report.results import PanelResults
from streams.panels.report.words import cautions, conclusion


def document(found: PanelResults) -> dict[str, Any]:
    """Return the document. Shares and rates are from 0 to 1, the points of a scale from 1."""
    made = asdict(found)
    for written, one in zip(made["questions"], found.questions, strict=True):
        question = written.pop("question")
        written |= {name: question[name] for name in ("name", "ask", "type")}
        written["raters"] = {str(raters): cases for raters, cases in one.raters.items()}
    for written, rater in zip(made["raters"], found.raters, strict=True):
        written |= {"gold": _share(rater.gold), "repeats": _share(rater.repeats), "left": _share(rater.left)}
    for written, judge in zip(made["judges"], found.judges, strict=True):
        written["left"] = None if judge.left is None else _share(judge.left)
    made["left"] = _share(found.left)
    made["further_minutes"] = found.further_minutes
    return {"conclusion": conclusion(found), "cautions": list(cautions(found)), **made.pop("scope"), **made}


def _share(one: RaterShare) -> Mapping[str, Any]:
    return asdict(one) | {"value": one.value}
