"""A model as judge, measured against people on the cases that both judged."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from streams.core.messages import Judgement
from streams.evaluation.tiers.estimates import Share
from streams.panels.estimation.rates import RateInterval
from streams.panels.evidence import (
    DELIVERED,
    CaseValue,
    PanelEvidence,
    case_values,
    delivered_answer,
    ratings_of,
)
from streams.panels.judge.position import BothOrders, both_orders
from streams.panels.judge.verdicts import SWAPPED
from streams.panels.report.counted import CountedCases, Values, share_of, values_of
from streams.panels.report.raters import left_share
from streams.panels.rubric import Question


@dataclass(frozen=True, slots=True)
class MeanInterval:
    """A mean difference from so many cases, with its interval by Student's t."""

    value: float
    low: float
    high: float
    cases: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeResult:
    """A model's verdicts on one question against people's, reweighted to the stream."""

    judge: str
    question: str
    agreement: RateInterval
    """The chance that a person, drawn from a case's raters, gave the model's verdict."""
    true_positive: RateInterval | None
    """Of the answers that people find right, the share that the model finds right."""
    true_negative: RateInterval | None
    """Of the answers that people find wrong, the share that the model finds wrong."""
    left: Share | None
    """Of a comparison: the share that the answer on the left won, without ties."""
    orders: BothOrders | None
    """Of a comparison: the choices on pairs that the model saw in both orders; None without such pairs."""
    length_bias: MeanInterval | None
    """By how much more than people the model favours the longer answers; 0.1 is 10 points. None if unknown."""


def models_of(evidence: PanelEvidence) -> tuple[str, ...]:
    """Return the names of the models that judged cases."""
    names = {one.judge for one in evidence.judgements if one.judge_kind == "model"}
    return tuple(sorted(name for name in names if not name.endswith(SWAPPED)))


def judge_results(
    evidence: PanelEvidence, counted: CountedCases, lengths: Mapping[str, int], certainty: float
) -> tuple[JudgeResult, ...]:
    """Return each model's results on each question. `lengths` has the answers' characters by call id."""
    return tuple(
        _result(evidence, counted, lengths, certainty, judge, question)
        for judge in models_of(evidence)
        for question in evidence.rubric.questions
        if any(one.judge == judge and one.question == question.name for one in evidence.judgements)
    )


def _result(
    evidence: PanelEvidence,
    counted: CountedCases,
    lengths: Mapping[str, int],
    certainty: float,
    judge: str,
    question: Question,
) -> JudgeResult:
    option = evidence.panel.options[-1] if question.type == "pick" else DELIVERED
    people = case_values(evidence, question, option)
    models = case_values(evidence, question, option, judge=judge)
    both = _Both.of(counted, people, models)
    asked = [one for one in evidence.judgements if one.question == question.name]
    own = [one for one in asked if one.judge == judge]
    right = bool(question.means_right)
    return JudgeResult(
        judge=judge,
        question=question.name,
        agreement=_agreement(evidence, counted, question, option, judge, certainty),
        true_positive=both.rate(both.people < 0.5, 1 - both.models, certainty) if right else None,
        true_negative=both.rate(both.people > 0.5, both.models, certainty) if right else None,
        left=left_share(evidence, own, certainty) if question.type == "pick" else None,
        orders=_orders(asked, judge),
        length_bias=_length_bias(evidence, both, question, lengths, certainty),
    )


def _orders(asked: Sequence[Judgement], judge: str) -> BothOrders | None:
    found = both_orders(asked, judge)
    return found if found.pairs else None


@dataclass(frozen=True, slots=True, eq=False)
class _Both:
    """The counted cases with a value by people and by the model, shape (cases,)."""

    counted: CountedCases
    people: Values
    models: Values

    @classmethod
    def of(cls, counted: CountedCases, people: list[CaseValue], models: list[CaseValue]) -> _Both:
        theirs = {one.case.case_id: one.value for one in models}
        some, values = values_of(counted, people)
        guesses = np.array([theirs.get(case.case_id) for case in some.cases], dtype=np.float64)  # None becomes NaN
        known = ~(np.isnan(values) | np.isnan(guesses))
        ids = {case.case_id for case, one in zip(some.cases, known, strict=True) if one}
        return cls(some.where(lambda case: case.case_id in ids), values[known], guesses[known])

    def rate(self, keep: np.typing.NDArray[np.bool_], values: Values, certainty: float) -> RateInterval:
        ids = {case.case_id for case, one in zip(self.counted.cases, keep, strict=True) if one}
        return share_of(self.counted.where(lambda case: case.case_id in ids), values[keep], certainty)


def _agreement(
    evidence: PanelEvidence, counted: CountedCases, question: Question, option: str, judge: str, certainty: float
) -> RateInterval:
    people, models = (ratings_of(evidence, question, option, judge=name) for name in ("", judge))
    same = {
        case_id: fmean(verdict == models[case_id][judge] for verdict in verdicts.values())
        for case_id, verdicts in people.items()
        if case_id in models
    }
    some = counted.where(lambda case: case.case_id in same)
    return share_of(some, np.array([same[case.case_id] for case in some.cases], dtype=np.float64), certainty)


def _length_bias(
    evidence: PanelEvidence, both: _Both, question: Question, lengths: Mapping[str, int], certainty: float
) -> MeanInterval | None:
    if question.type == "pick":
        return _mean([*_for_the_longer(evidence, both, lengths)], certainty)
    if not question.means_right:
        return None
    known = [
        (lengths[answer.call_id], people - model)
        for case, people, model in zip(both.counted.cases, both.people, both.models, strict=True)
        if (answer := delivered_answer(case, evidence.panel)) is not None and answer.call_id in lengths
    ]
    return _between_halves(known, certainty)


def _for_the_longer(evidence: PanelEvidence, both: _Both, lengths: Mapping[str, int]) -> Iterator[float]:
    """Yield by how much more than people the model favours the longer of two answers, from -1 to 1."""
    favoured = evidence.panel.options[-1]
    for case, people, model in zip(both.counted.cases, both.people, both.models, strict=True):
        sizes = {one.option: lengths.get(one.call_id) for one in case.answers}
        other = next((size for option, size in sizes.items() if option != favoured), None)
        own = sizes.get(favoured)
        if own is not None and other is not None and own != other:
            yield float(model - people) * (1 if own > other else -1)


def _mean(values: Sequence[float], certainty: float) -> MeanInterval | None:
    if len(values) < 2:
        return None
    half = _student(len(values) - 1, certainty) * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    mean = fmean(values)
    return MeanInterval(mean, mean - half, mean + half, len(values))


def _between_halves(known: Sequence[tuple[int, float]], certainty: float) -> MeanInterval | None:
    """Return the mean of the longer half minus that of the shorter half (Welch 1947)."""
    if len(known) < 4:
        return None
    middle = float(np.median([length for length, _ in known]))
    longer = [value for length, value in known if length > middle]
    shorter = [value for length, value in known if length <= middle]
    if len(longer) < 2 or len(shorter) < 2:
        return None
    parts = [float(np.var(some, ddof=1)) / len(some) for some in (longer, shorter)]
    spread = sum(parts)
    down = sum(part**2 / (len(some) - 1) for part, some in zip(parts, (longer, shorter), strict=True))
    half = _student(spread**2 / down, certainty) * math.sqrt(spread) if spread > 0 else 0.0
    value = fmean(longer) - fmean(shorter)
    return MeanInterval(value, value - half, value + half, len(known))


def _student(freedom: float, certainty: float) -> float:
    from scipy.stats import t  # type: ignore[import-untyped]

    return float(t.ppf((1 + certainty) / 2, freedom))
