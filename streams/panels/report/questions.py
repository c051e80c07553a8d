"""The people's answers to each question, reweighted to the stream, and how far they agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from streams.panels.estimation.agreement import Agreement, rater_agreement
from streams.panels.estimation.rates import RateInterval
from streams.panels.estimation.strengths import Strengths
from streams.panels.evidence import DELIVERED, UNDECIDED, PanelEvidence, case_values, ratings_of
from streams.panels.report.counted import CountedCases, options_of, share_of, values_of
from streams.panels.report.handler_strengths import handler_strengths
from streams.panels.rubric import Question


@dataclass(frozen=True, slots=True)
class QuestionFigure:
    """One figure of a question, an estimate for the whole stream with its interval.

    A share is from 0 to 1; a mean of a scale is in its points, from 1.
    """

    name: str
    interval: RateInterval
    is_share: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionResult:
    """The people's answers to one question."""

    question: Question
    raters: Mapping[int, int]
    """The number of cases, or of judged answers, by how many people rated them."""
    agreement: Agreement
    figures: tuple[QuestionFigure, ...]
    win_rate: QuestionFigure | None
    """Of a comparison: how often the second option wins, a tie as half a win."""
    strengths: Strengths | None
    """Of a comparison: the handlers' strengths; None if fewer than three were compared."""


def question_results(evidence: PanelEvidence, counted: CountedCases, certainty: float) -> tuple[QuestionResult, ...]:
    """Return the results of each question of the rubric."""
    return tuple(_result(evidence, counted, question, certainty) for question in evidence.rubric.questions)


def _result(evidence: PanelEvidence, counted: CountedCases, question: Question, certainty: float) -> QuestionResult:
    options = options_of(evidence, question)
    compares = question.type == "pick" and bool(options)
    items = _items(evidence, question)
    return QuestionResult(
        question=question,
        raters=dict(sorted(Counter(len(verdicts) for _, verdicts in items).items())),
        agreement=rater_agreement(
            [verdicts for _, verdicts in items],
            choices_of(evidence, question),
            ordered=question.type == "scale",
            cases=[case_id for case_id, _ in items],
            certainty=certainty,
            seed=evidence.panel.seed,
        ),
        figures=tuple(_figures(evidence, counted, question, options, certainty)),
        win_rate=_win_rate(evidence, counted, question, certainty) if compares else None,
        strengths=handler_strengths(evidence, counted, question, certainty) if compares else None,
    )


def choices_of(evidence: PanelEvidence, question: Question) -> tuple[str, ...]:
    """Return all verdicts that a judge could give, as judgements have them."""
    if question.type == "pick":
        return (*evidence.panel.options, *UNDECIDED)
    return tuple(choice.key for choice in question.choices)


def _items(evidence: PanelEvidence, question: Question) -> list[tuple[str, Mapping[str, str]]]:
    """Return each judged answer or comparison as its case and the verdicts by rater, all drawn cases included."""
    options = options_of(evidence, question)
    apart = [one for one in options if one != DELIVERED] or options
    return [item for option in apart for item in ratings_of(evidence, question, option).items()]


def _figures(
    evidence: PanelEvidence, counted: CountedCases, question: Question, options: Sequence[str], certainty: float
) -> Iterator[QuestionFigure]:
    if question.type == "pick":
        yield from _shares(evidence, counted, question, certainty)
        return
    for option in options:
        if option == DELIVERED and question.means_right:
            continue  # the error rates say it, and use the predictions too
        some = counted if option == DELIVERED else counted.where(lambda case: len(case.answers) > 1)
        name = "delivered answers" if option == DELIVERED else f"{option}, where both answered"
        kept, values = values_of(some, case_values(evidence, question, option))
        top = len(question.choices) - 1
        if question.type == "scale":
            yield QuestionFigure(name, _in_points(share_of(kept, (values - 1) / top, certainty), top), is_share=False)
        else:
            yield QuestionFigure(f"{name}: {_what(question)}", share_of(kept, values, certainty), is_share=True)


def _shares(
    evidence: PanelEvidence, counted: CountedCases, question: Question, certainty: float
) -> Iterator[QuestionFigure]:
    for option in options_of(evidence, question):
        found = {one.case.case_id: one.verdicts for one in case_values(evidence, question, option)}
        some = counted.where(lambda case: bool(found.get(case.case_id)))  # noqa: B023 - used at once
        for verdict in choices_of(evidence, question):
            values = np.array([_mean_of(verdict, found[case.case_id]) for case in some.cases], dtype=np.float64)
            yield QuestionFigure(verdict, share_of(some, values, certainty), is_share=True)


def _mean_of(verdict: str, verdicts: Sequence[str]) -> float:
    return verdicts.count(verdict) / len(verdicts)


def _win_rate(evidence: PanelEvidence, counted: CountedCases, question: Question, certainty: float) -> QuestionFigure:
    winner = evidence.panel.options[1]
    some, values = values_of(counted, case_values(evidence, question, winner))
    return QuestionFigure(f"{winner} wins, ties as half", share_of(some, values, certainty), is_share=True)


def _what(question: Question) -> str:
    return "wrong" if question.means_right else question.choices[0].words.lower()


def _in_points(share: RateInterval, top: int) -> RateInterval:
    value = None if share.value is None else 1 + top * share.value
    return replace(share, value=value, low=1 + top * share.low, high=1 + top * share.high)
