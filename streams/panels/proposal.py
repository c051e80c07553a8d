"""One changed setting of the pipeline that a panel's judgements speak for: a threshold, or a route."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from streams.calibration.risk_control import Target
from streams.core.messages import PanelAnswer, PanelCase
from streams.evaluation.tiers.sections import percent
from streams.panels.answer_calls import AnswerCall
from streams.panels.estimation.rates import RateInterval
from streams.panels.evidence import PanelEvidence, case_values, delivered_answer
from streams.panels.population import TIERS
from streams.panels.report.counted import CountedCases, Values, counted_cases, share_of, values_of
from streams.panels.report.words import level_of, range_of
from streams.pipeline.load import Pipeline
from streams.pipeline.spec import WorkerSpec

FIRST_SHARE: Final = 1 / 3
"""The share of a worker's judged answers, the most confident ones, in the first test of a threshold."""
TESTS: Final = 20
"""The most thresholds that are tested for a worker. Every further test may end the sequence early."""
LEAST_PAIRS: Final = 5
"""The fewest compared answers of an intent that its route is tested with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """One changed line of the pipeline file: `key` of `table` becomes `value`, which is written as TOML."""

    table: str
    key: str
    value: str
    before: str
    why: str

    @property
    def setting(self) -> str:
        """The setting as `escalon what-if --set` takes it."""
        value = self.value.strip('"')
        return f"{self.table}.{self.key}={value}"


@dataclass(frozen=True, slots=True)
class Proposals:
    """The proposals, the most important first, and in words why there are not more."""

    found: tuple[Proposal, ...] = ()
    not_found: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class ProposalRequest:
    """The evidence for proposals; `target` limits the share of a worker's accepted answers that may be wrong."""

    evidence: PanelEvidence
    answers: Mapping[str, AnswerCall]
    pipeline: Pipeline
    target: Target


@dataclass(slots=True)
class _Findings:
    found: list[Proposal] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    def add(self, one: Proposal | str) -> None:
        if isinstance(one, Proposal):
            self.found.append(one)
        else:
            self.reasons.append(one)


def propose(request: ProposalRequest) -> Proposals:
    """Return the changes that the panel's counted cases speak for.

    A route: an intent whose accepted worker's answers clearly lose against the reasoner's goes to the reasoner. With
    several intents the certainty is that of all tests together (Bonferroni 1936). A threshold: the loosest one that
    fixed-sequence testing reaches from strict to loose ones, each test by the upper bound of the weighted error.
    """
    findings = _Findings()
    counted = counted_cases(request.evidence)
    for one in (*_routes(request, counted), *_thresholds(request, counted)):
        findings.add(one)
    return Proposals(tuple(findings.found), tuple(findings.reasons))


def _routes(request: ProposalRequest, counted: CountedCases) -> Iterator[Proposal | str]:
    options = request.evidence.panel.options
    if len(options) > 1 and options != TIERS:
        yield f"Routes: the panel compares runs; the pipeline of {options[1]} is itself the candidate."
        return
    by_intent = dict(_compared(request, counted))
    if not by_intent:
        yield (
            f"Routes: no intent has {LEAST_PAIRS} judged cases in which the worker's answer was delivered and the "
            "reasoner answered as well. Set explore on the worker, and make a panel with --compare worker,reasoner."
        )
    for intent, (some, wins) in by_intent.items():
        rate = share_of(some, wins, 1 - (1 - request.target.certainty) / len(by_intent))
        yield _route(request, intent, some, rate)


def _route(request: ProposalRequest, intent: str, some: CountedCases, rate: RateInterval) -> Proposal | str:
    answers = [_option(case, "reasoner") for case in some.cases]
    names = {one.handler for one in answers if one is not None} & request.pipeline.reasoners.keys()
    wins = range_of(rate.low, rate.high)
    won = f"of {rate.cases} compared answers to {intent!r} the reasoner's wins {wins}, a tie as half"
    if rate.low <= 0.5 or not names:
        return f"The route of {intent!r} stays: {won}."
    spec = request.pipeline.spec.routes
    return Proposal(
        table="routes",
        key=intent,
        value=f'"reasoners.{min(names)}"',
        before=spec.get(intent, "the route of unsure"),
        why=f"The worker loses clearly: {won}.",
    )


def _compared(request: ProposalRequest, counted: CountedCases) -> Iterator[tuple[str, tuple[CountedCases, Values]]]:
    """Yield each intent that goes to a worker with its cases, and how far the reasoner's answer is better (0 to 1)."""
    evidence = request.evidence
    if evidence.panel.options != TIERS:
        return
    known = _wins(evidence)
    intents: dict[str, set[str]] = {}
    for case in counted.cases:
        worker = _option(case, "worker")
        found = request.answers.get(worker.call_id) if worker is not None else None
        if worker is not None and worker.delivered and found is not None and known.get(case.case_id) is not None:
            intents.setdefault(found.intent, set()).add(case.case_id)
    for intent, ids in sorted(intents.items()):
        route = request.pipeline.routes.get(intent) or request.pipeline.routes["unsure"]
        if route.action == "work" and intent and len(ids) >= LEAST_PAIRS:
            some = counted.where(lambda case: case.case_id in ids)  # noqa: B023 - used at once
            yield intent, (some, np.array([known[case.case_id] for case in some.cases], dtype=np.float64))


def _wins(evidence: PanelEvidence) -> dict[str, float | None]:
    """Return how far the reasoner's answer is better, by case: by the comparison, else by which answer is right."""
    pick = next((one for one in evidence.rubric.questions if one.type == "pick"), None)
    if pick is not None:
        return {one.case.case_id: one.value for one in case_values(evidence, pick, "reasoner")}
    right = evidence.rubric.right_question
    if right is None:
        return {}
    wrong = {one.case.case_id: one.value for one in case_values(evidence, right, "worker")}
    return {
        one.case.case_id: (1 + before - one.value) / 2
        for one in case_values(evidence, right, "reasoner")
        if one.value is not None and (before := wrong.get(one.case.case_id)) is not None
    }


def _thresholds(request: ProposalRequest, counted: CountedCases) -> Iterator[Proposal | str]:
    if request.evidence.rubric.right_question is None:
        yield "Thresholds: no question of the rubric has means_right, so no answer is known to be right."
        return
    for name, spec in request.pipeline.spec.workers.items():
        cases, judged = _worker_cases(request, counted, name), _judged(request.evidence, counted, name)
        if judged and spec.calibration is not None:
            yield (
                f"The threshold of {name} comes from its calibration. Make a new one: escalon calibrate "
                f"--handler {name} --labels panel --max-error {request.target.max_error:g}"
            )
        elif judged and not len(cases.confidences):
            yield f"The threshold of {name}: no judged answer of it has a confidence."
        elif judged:
            yield _threshold(request, name, spec, cases)


def _judged(evidence: PanelEvidence, counted: CountedCases, worker: str) -> bool:
    return any(_of_worker(case, evidence, worker) is not None for case in counted.cases)


def _of_worker(case: PanelCase, evidence: PanelEvidence, worker: str) -> PanelAnswer | None:
    """Return the answer of a worker that the panel judges in a case, if there is one."""
    compared = "worker" in evidence.panel.options
    answer = _option(case, "worker") if compared else delivered_answer(case, evidence.panel)
    return answer if answer is not None and (answer.tier, answer.handler) == ("worker", worker) else None


@dataclass(frozen=True, slots=True, eq=False)
class _WorkerCases:
    """A worker's judged answers, the most confident first: shape (cases,); wrong is NaN where the case was skipped."""

    counted: CountedCases
    confidences: Values
    wrong: Values

    def error(self, cases: int, certainty: float) -> RateInterval:
        """Return the error of the first cases, whose upper end alone has the certainty."""
        ids = {case.case_id for case in self.counted.cases[:cases]}
        return share_of(self.counted.where(lambda case: case.case_id in ids), self.wrong[:cases], 2 * certainty - 1)

    def coverage(self, cases: int) -> float:
        """Return the share of the worker's answers that the first cases stand for."""
        inverse = 1 / self.counted.probabilities
        return float(inverse[:cases].sum() / inverse.sum())


def _worker_cases(request: ProposalRequest, counted: CountedCases, worker: str) -> _WorkerCases:
    """Return the judged answers of a worker: accepted ones, and escalated ones where the panel compares."""
    evidence, question = request.evidence, request.evidence.rubric.right_question
    compared = "worker" in evidence.panel.options
    values = case_values(evidence, question, *(["worker"] if compared else [])) if question else []
    own = {}
    for case in counted.cases:
        answer = _of_worker(case, evidence, worker)
        found = request.answers.get(answer.call_id) if answer is not None else None
        if found is not None and found.confidence is not None:
            own[case.case_id] = found.confidence
    some, wrong = values_of(counted.where(lambda case: case.case_id in own), values)
    confidences = np.array([own[case.case_id] for case in some.cases], dtype=np.float64)
    order = np.argsort(-confidences, kind="stable")
    cases = tuple(some.cases[place] for place in order)
    return _WorkerCases(CountedCases(cases, some.probabilities[order]), confidences[order], wrong[order])


def _threshold(request: ProposalRequest, name: str, spec: WorkerSpec, cases: _WorkerCases) -> Proposal | str:
    target, last = request.target, 0
    ends = _ends(cases.confidences)
    allowed = f"with certainty {level_of(target.certainty)}; {percent(target.max_error)} are allowed"
    for end in ends:
        if cases.error(end, target.certainty).high > target.max_error:
            break
        last = end
    if not last:
        first = cases.error(ends[0], target.certainty)
        return (
            f"The threshold of {name}: of its {ends[0]} most confident judged answers up to {percent(first.high)} may "
            f"be wrong, {allowed}."
        )
    value = _between(cases.confidences, last)
    now = spec.threshold
    if now is not None and _accepted(cases, now) == last:
        return f"The threshold of {name} stays at {now:g}: it accepts as much as the target allows."
    error = cases.error(last, target.certainty)
    was = "no threshold" if now is None else f"{percent(cases.coverage(_accepted(cases, now)))} with {now:g}"
    return Proposal(
        table=f"workers.{name}",
        key="threshold",
        value=value,
        before="none" if now is None else f"{now:g}",
        why=(
            f"It accepts {percent(cases.coverage(last))} of the worker's judged answers ({was}), of which at most "
            f"{percent(error.high)} are wrong, {allowed}."
        ),
    )


def _accepted(cases: _WorkerCases, threshold: float) -> int:
    return int((cases.confidences >= threshold).sum())


def _ends(confidences: Values) -> list[int]:
    """Return the numbers of the most confident answers in each test, ascending; equal confidences stay together."""
    count = len(confidences)
    wanted = np.linspace(max(1, FIRST_SHARE * count), count, TESTS).astype(int)
    return sorted({int((confidences >= confidences[end - 1]).sum()) for end in wanted})


def _between(confidences: Values, count: int) -> str:
    """Return the shortest decimal that accepts the first answers and no further one."""
    least = float(confidences[count - 1])
    above = float(confidences[count]) if count < len(confidences) else -1.0
    for digits in range(2, 17):
        step = 10.0**-digits
        for rounded in (round(least, digits), round(least - step, digits)):
            if above < rounded <= least and rounded >= 0:
                return f"{rounded:g}" if digits < 6 else repr(rounded)
    return repr(least)


def _option(case: PanelCase, option: str) -> PanelAnswer | None:
    return next((one for one in case.answers if one.option == option), None)
