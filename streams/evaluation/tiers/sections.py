"""Sections, tables and figures of an evaluation as plain text, for the terminal and the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from streams.evaluation.tiers.estimates import Share
from streams.evaluation.tiers.truth import SourceKind

UNKNOWN: Final = "–"
ALL: Final = "(all)"
KIND_WORDS: Final[dict[SourceKind, str]] = {
    "people": "people",
    "system": "downstream system",
    "label": "label",
    "panel": "panel of people",
    "judge": "model as judge",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationTable:
    """One table. `numeric` holds the places of columns of numbers; `note` explains it in a sentence or two."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[int, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class EvaluationSection:
    """A heading, sentences, and the tables that have rows."""

    title: str
    sentences: tuple[str, ...]
    tables: tuple[EvaluationTable, ...]


def section(title: str, sentences: tuple[str, ...], tables: tuple[EvaluationTable, ...]) -> EvaluationSection:
    """Return a section without its empty tables."""
    return EvaluationSection(title, sentences, tuple(one for one in tables if one.rows))


def number(value: int) -> str:
    return f"{value:,}"


def percent(value: float | None) -> str:
    """Format a share to a tenth of a percent."""
    return UNKNOWN if value is None else f"{100 * value:.1f} %"


def with_interval(value: float | None, low: float | None, high: float | None) -> str:
    """Format a share with its interval, in percent."""
    if value is None or low is None or high is None:
        return UNKNOWN
    return f"{100 * value:.1f} % ({100 * low:.1f}–{100 * high:.1f})"


def shown(one: Share) -> str:
    """Format a share with its interval."""
    return with_interval(one.value, one.low, one.high)


def counted(one: Share) -> str:
    """Format a share with its interval and the number of its cases."""
    return f"{shown(one)} of {one.n:,}" if one.n else UNKNOWN
