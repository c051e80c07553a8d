"""Each rater's pace, consistency and accuracy, and the effect of an answer's side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from streams.core.messages import Judgement
from streams.evaluation.tiers.estimates import Share, share
from streams.panels.evidence import PanelEvidence, delivered_answer


@dataclass(frozen=True, slots=True, kw_only=True)
class RaterResult:
    """One rater's work. Shares of a few cases have wide intervals: they say little alone."""

    name: str
    cases: int
    """Drawn cases that the rater judged."""
    skipped: int
    seconds: float | None
    """The median time for a case; None if unknown."""
    gold: Share
    """Gold cases judged as expected."""
    repeats: Share
    """Verdicts given again when the same case came a second time, over all questions."""
    left: Share
    """Comparisons decided for the answer on the left, without ties."""


def rater_results(evidence: PanelEvidence, certainty: float) -> tuple[RaterResult, ...]:
    """Return the results of every person who rated or skipped a case, by name."""
    own: dict[str, list[Judgement]] = defaultdict(list)
    for one in evidence.judgements:
        if one.judge_kind == "person" and one.kind != "adjudication":
            own[one.judge].append(one)
    return tuple(_rater(name, own[name], evidence, certainty) for name in sorted(own))


def left_share(evidence: PanelEvidence, judgements: Iterable[Judgement], certainty: float) -> Share:
    """Return how often the answer on the left won a comparison, without ties.

    A half is expected: the sides are balanced within the panel and turned for every second rater.
    """
    picks = {one.name for one in evidence.rubric.questions if one.type == "pick"}
    options = evidence.panel.options
    decided = [one for one in judgements if one.question in picks and one.left and one.verdict in options]
    return share(sum(one.verdict == one.left for one in decided), len(decided), certainty)


def median_seconds(judgements: Iterable[Judgement]) -> float | None:
    """Return the median time that a person took for a case; None if unknown.

    Each judgement of a case has the whole time of the case's page.
    """
    times = {(one.case_id, one.judge): one.seconds for one in judgements if one.judge_kind == "person"}
    known = [one for one in times.values() if one is not None]
    return median(known) if known else None


def _rater(name: str, own: Sequence[Judgement], evidence: PanelEvidence, certainty: float) -> RaterResult:
    drawn = {case.case_id for case in evidence.sample}
    rated = [one for one in own if one.kind == "rating"]
    return RaterResult(
        name=name,
        cases=len({one.case_id for one in rated if one.case_id in drawn}),
        skipped=len({one.case_id for one in own if one.kind == "skip"}),
        seconds=median_seconds(own),
        gold=_gold(rated, evidence, certainty),
        repeats=_repeats(rated, evidence, certainty),
        left=left_share(evidence, rated, certainty),
    )


def _gold(rated: Sequence[Judgement], evidence: PanelEvidence, certainty: float) -> Share:
    question = evidence.rubric.right_question
    gold = {case.case_id: case for case in evidence.cases if case.purpose == "gold"}
    hits = []
    for one in rated:
        case = gold.get(one.case_id)
        if question is not None and case is not None and one.question == question.name:
            answer = delivered_answer(case, evidence.panel)
            if answer is not None and answer.option == one.option:
                hits.append(one.verdict == case.expected)
    return share(sum(hits), len(hits), certainty)


def _repeats(rated: Sequence[Judgement], evidence: PanelEvidence, certainty: float) -> Share:
    first = {(one.case_id, one.question, one.option): one.verdict for one in rated}
    of = {case.case_id: case.repeats for case in evidence.cases if case.purpose == "repeat"}
    again = [(first.get((of[one.case_id], one.question, one.option)), one) for one in rated if one.case_id in of]
    same = [verdict == one.verdict for verdict, one in again if verdict is not None]
    return share(sum(same), len(same), certainty)
