"""Figures of panels, as the evaluation of tiers shows them beside those by labels."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files

from streams.audit.query import Audit
from streams.evaluation.tiers.truth import AnswerValue, EvaluatedPart, TruthSource


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelRate:
    """The share of delivered answers that are right by a panel's people or by one model, over the panel's population.

    `tier` is empty for all tiers. The share is reweighted by the chances with which the cases were drawn.
    """

    panel: str
    source: TruthSource
    tier: str
    tasks: int
    since: datetime | None
    until: datetime
    cases: int
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelPreference:
    """The rate at which a panel prefers the answer of `b` to that of `a`; reweighted, with a tie as half a win."""

    panel: str
    source: TruthSource
    question: str
    a: str
    b: str
    cases: int
    wins: int
    ties: int
    losses: int
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictCount:
    """The number of times that judges of one kind gave a verdict. `panel` is empty outside of panels."""

    panel: str
    question: str
    judges: str
    option: str
    verdict: str
    judgements: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelFigures:
    """The figures of all panels of one run."""

    answers: tuple[AnswerValue, ...] = ()
    rates: tuple[PanelRate, ...] = ()
    preferences: tuple[PanelPreference, ...] = ()
    verdicts: tuple[VerdictCount, ...] = ()


def read_other_verdicts(audit: Audit, part: EvaluatedPart) -> tuple[VerdictCount, ...]:
    """Count the judgements outside of panels about the events of a part. Of one judge the latest counts."""
    sql = files("streams.evaluation.tiers").joinpath("other_judgements.sql").read_text("utf-8")
    return tuple(VerdictCount(panel="", option="", **row) for row in audit.query(sql, part.parameters()).records())
