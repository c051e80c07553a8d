"""A panel's results as tables of text, for the terminal and the page alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isnan

from streams.evaluation.tiers.estimates import Share
from streams.evaluation.tiers.sections import UNKNOWN, percent
from streams.panels.estimation.agreement import Coefficient
from streams.panels.estimation.rates import RateInterval
from streams.panels.estimation.strengths import Strength
from streams.panels.report.error_rates import DeliveredErrorRate
from streams.panels.report.judges import JudgeResult
from streams.panels.report.questions import QuestionFigure, QuestionResult
from streams.panels.report.raters import RaterResult
from streams.panels.report.results import PanelResults
from streams.panels.report.words import level_of, range_of


@dataclass(frozen=True, slots=True)
class ReportTable:
    """A titled table. `numeric` holds the places of columns of numbers, `note` says how to read it."""

    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[int, ...] = ()


def report_tables(found: PanelResults) -> Iterator[ReportTable]:
    """Yield the tables of a panel's results that have rows."""
    level = f"{level_of(found.certainty)} interval"
    tables = (
        _errors(found, level),
        _questions(found, level),
        *(_strengths(one, level) for one in found.questions),
        _agreement(found, level),
        _raters(found),
        _checks(found, level),
        _judges(found, level),
    )
    yield from (one for one in tables if one.rows)


def _errors(found: PanelResults, level: str) -> ReportTable:
    columns = ["answers of", "tasks", "cases", "wrong", level]
    if found.claim is not None:
        columns.append("at any moment")
    assisted = any(one.assisted is not None for one in found.errors)
    if assisted:
        columns.append(f"with {found.assistant}")
    return ReportTable(
        "Wrong answers",
        "Estimates for the whole stream: each case counts for the tasks that it stands for.",
        tuple(columns),
        tuple(_error(one, found.claim is not None, assisted) for one in found.errors),
        (1, 2, 3),
    )


def _error(one: DeliveredErrorRate, stop: bool, assisted: bool) -> tuple[str, ...]:
    row = [one.part, f"{one.tasks:,}", f"{one.cases:,}", percent(one.people.value), _interval(one.people)]
    if stop:
        row.append(range_of(*one.at_any_moment) if one.at_any_moment else UNKNOWN)
    if assisted:
        row.append(_interval(one.assisted))
    return tuple(row)


def _questions(found: PanelResults, level: str) -> ReportTable:
    rows = []
    for one in found.questions:
        figures = [*one.figures, *([one.win_rate] if one.win_rate else [])]
        rows += [(f"{one.question.name}: {figure.name}", *_figure(figure)) for figure in figures]
    note = "Reweighted to the stream. Points of a scale are counted from 1."
    return ReportTable("Questions", note, ("question", "cases", "estimate", level), tuple(rows), (1, 2))


def _strengths(one: QuestionResult, level: str) -> ReportTable:
    found = one.strengths.handlers if one.strengths else ()
    rows = [
        (
            of.handler,
            f"{of.comparisons:,}",
            f"{of.value:+.2f}",
            f"{of.low:+.2f} to {of.high:+.2f}",
            _beats_next(found, place),
        )
        for place, of in enumerate(found)
    ]
    return ReportTable(
        f"Strengths of the handlers: {one.question.name}",
        "By the model of Bradley and Terry, with mean 0. The last column is the chance of winning against the next.",
        ("handler", "comparisons", "strength", level, "against the next"),
        tuple(rows),
        (1, 2, 4),
    )


def _beats_next(found: tuple[Strength, ...], place: int) -> str:
    return percent(found[place].beats(found[place + 1])) if place + 1 < len(found) else UNKNOWN


def _figure(one: QuestionFigure) -> tuple[str, str, str]:
    rate = one.interval
    if rate.value is None:
        return "0", UNKNOWN, UNKNOWN
    if one.is_share:
        return f"{rate.cases:,}", percent(rate.value), range_of(rate.low, rate.high)
    return f"{rate.cases:,}", f"{rate.value:.2f}", f"{rate.low:.2f} to {rate.high:.2f}"


def _agreement(found: PanelResults, level: str) -> ReportTable:
    why_not = " ".join(
        f"{one.question.name}: {one.agreement.why_not}" for one in found.questions if one.agreement.why_not
    )
    return ReportTable(
        "Agreement of the raters",
        f"1 is full agreement, 0 is chance. Alpha is low where one verdict dominates, AC2 is not. {why_not}".strip(),
        ("question", "cases", "raters", "alpha", level, "AC2", level),
        tuple(_agreeing(one) for one in found.questions),
        (1, 2, 3, 5),
    )


def _agreeing(one: QuestionResult) -> tuple[str, ...]:
    found = one.agreement
    cells = [cell for measure in (found.alpha, found.ac2) for cell in _coefficient(measure)]
    several = [raters for raters in one.raters if raters > 1]
    raters = f"{min(several)} to {max(several)}" if len(several) > 1 else "".join(map(str, several)) or UNKNOWN
    return one.question.name, f"{found.cases:,}", raters, *cells


def _coefficient(one: Coefficient | None) -> tuple[str, str]:
    if one is None:
        return UNKNOWN, UNKNOWN
    return f"{one.value:.2f}", UNKNOWN if isnan(one.low) else f"{one.low:.2f} to {one.high:.2f}"


def _interval(rate: RateInterval | None) -> str:
    return UNKNOWN if rate is None or rate.value is None else range_of(rate.low, rate.high)


def _raters(found: PanelResults) -> ReportTable:
    return ReportTable(
        "Raters",
        "Seconds are the median for a case.",
        ("rater", "cases", "skipped", "seconds"),
        tuple(_rater(one) for one in found.raters),
        (1, 2, 3),
    )


def _rater(one: RaterResult) -> tuple[str, ...]:
    seconds = UNKNOWN if one.seconds is None else f"{one.seconds:.0f}"
    return one.name, f"{one.cases:,}", f"{one.skipped:,}", seconds


def _checks(found: PanelResults, level: str) -> ReportTable:
    rows = [
        (f"{one.name}: {what}", *_share(share))
        for one in found.raters
        for what, share in (
            ("gold cases as expected", one.gold),
            ("repeats with the same verdict", one.repeats),
            ("the left answer wins", one.left),
        )
        if share.n
    ]
    if found.left.n and len(found.raters) > 1:
        rows.append(("all: the left answer wins", *_share(found.left)))
    return ReportTable(
        "Checks of the raters",
        "These are of the judged cases alone, not reweighted. A half of the comparisons should go to the left answer.",
        ("check", "cases", "share", level),
        tuple(rows),
        (1, 2),
    )


def _share(one: Share) -> tuple[str, str, str]:
    return f"{one.n:,}", percent(one.value), range_of(one.low, one.high)


def _judges(found: PanelResults, level: str) -> ReportTable:
    rows = [(f"{one.judge}, {one.question}: {what}", *cells) for one in found.judges for what, *cells in _judge(one)]
    return ReportTable(
        "Models as judges",
        "Against people on the same cases. Right found right is the true positive rate, wrong found wrong the true "
        "negative rate. The longer answer: by how many points more than people the model favours it.",
        ("model and question", "cases", "estimate", level),
        tuple(rows),
        (1, 2),
    )


def _judge(one: JudgeResult) -> Iterator[tuple[str, str, str, str]]:
    rates = {
        "same verdict as a person": one.agreement,
        "right answers found right": one.true_positive,
        "wrong answers found wrong": one.true_negative,
    }
    for what, rate in rates.items():
        if rate is not None and rate.value is not None:
            yield what, f"{rate.cases:,}", percent(rate.value), range_of(rate.low, rate.high)
    if one.left is not None and one.left.n:
        yield "the left answer wins", *_share(one.left)
    if one.orders is not None:
        yield (
            "same choice with swapped sides",
            f"{one.orders.pairs:,}",
            percent(one.orders.alike / one.orders.pairs),
            "",
        )
    if one.length_bias is not None:
        value, low, high = (
            f"{100 * end:+.1f}" for end in (one.length_bias.value, one.length_bias.low, one.length_bias.high)
        )
        yield "favours the longer answer", f"{one.length_bias.cases:,}", value, f"{low} to {high}"
