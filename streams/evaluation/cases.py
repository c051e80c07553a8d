"""Prior cases: workers' answers, read from the audit, and whether they were right.

A case is one attempt at one event. Proofs and training count tasks, not cases: the same input is one task however often
it occurred and whether the cache or a model answered, because its answers are right or wrong together.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from importlib.resources import files
from typing import Any, Literal, Protocol, TypeVar

from streams.audit.grading import grader, markers_of, recorded_answer, right
from streams.audit.query import Audit
from streams.calling.confidence import VERIFIER
from streams.calling.task import Task
from streams.core.answer_comparison import Agree
from streams.core.errors import ConfigError
from streams.core.fingerprint import canonical, digest, draw
from streams.core.grading import Markers
from streams.core.messages import Attempt, Score
from streams.core.time_range import EARLIEST
from streams.models.verifier.example import Example
from streams.pipeline.handlers import Handler
from streams.pipeline.load import Pipeline

LabelsFrom = Literal["people", "reasoner", "panel"]
"""The source of truth: labels on the topic `labels`, the reasoner's answer to the same event, or panels' judgements."""
EVER = EARLIEST
MAX_CASES = 1_000_000
MAX_REASONS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One attempt of a worker at one event.

    `task` is the worker's input, `whole` all of the event. `calibration` decided at the time. `repeated`: the answer
    came from the cache. `propensity` is the chance that the reasoner was asked too, for an accepted answer that might
    have been explored. `correct`: the answer agrees with the label; `agrees`: with the reasoner's answer;
    `reasoner_correct`: the reasoner's answer agrees with the label; each None if one of the two is missing.
    `fingerprint` is the task's, if the audit does not hold the task itself because it was redacted or erased.
    `not_graded` and `not_compared` say why a comparison with the label, or the reasoner's answer, was impossible.
    `judged`: a panel found the answer right (panel_labels.py); None if none judged it or no panel was asked.
    """

    event_id: str
    event_time: datetime
    handler: str
    handler_version: str
    intent: str
    task: Task
    whole: Task
    attempt: Attempt
    calibration: str | None
    pipeline: str
    repeated: bool
    accepted: bool
    propensity: float | None
    correct: bool | None
    agrees: bool | None
    reasoner_correct: bool | None
    cost_usd: Decimal | None
    reasoner_cost_usd: Decimal | None
    fingerprint: str = ""
    not_graded: str = ""
    not_compared: str = ""
    judged: bool | None = None

    @property
    def task_id(self) -> str:
        """An id that cases with the same input to the worker share."""
        return self.fingerprint or content_id(self.task)


LabelledCase = tuple[Case, bool]
"""A case, and whether the answer was right."""


def content_id(task: Task) -> str:
    """Return an id that tasks share if they differ only in Unicode's form and outer white space."""
    return _content_id(task.text, task.image, canonical(dict(task.data)) if task.data else "")


@lru_cache(maxsize=65_536)
def _content_id(text: str, image: str | None, data: str) -> str:
    return digest("content", canonical(text), image, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPart:
    """The part of the audit to read. Labels of `base`, the run of live traffic, count as well."""

    run: str = "live"
    base: str = "live"
    since: datetime = EVER
    newest: int = MAX_CASES
    """The most cases to read."""
    labelled: bool = False
    """Read only the cases that have a label."""


def read_cases(
    audit: Audit, pipeline: Pipeline, agrees: Mapping[str, Agree], workers: Sequence[str], part: AuditPart
) -> list[Case]:
    """Read the cases of some workers, oldest first, of all versions. `agrees` compares each worker's answers."""
    sql = files("streams.evaluation").joinpath("cases.sql").read_text("utf-8")
    parameters = {"run": part.run, "since": part.since, "newest": part.newest, "labelled": part.labelled}
    answer = audit.query(sql, parameters | {"workers": list(workers)})
    if len(answer.rows) >= MAX_CASES:
        raise ConfigError(f"there are more than {MAX_CASES} cases.", "Choose a later --since.", "since")
    markers = markers_of(pipeline)
    return [_case(row, pipeline, agrees[row["handler"]], markers) for row in reversed(answer.records())]


def _case(row: Mapping[str, Any], pipeline: Pipeline, agree: Agree, markers: Markers) -> Case:
    handler = pipeline.workers[row["handler"]]
    grade = grader(handler, agree, markers)
    answer = recorded_answer(handler, row["response"], row["finish_reason"]) if row["status"] == "answered" else None
    reasoner = pipeline.reasoners.get(row["reasoner"] or "")
    reasoner_answer = recorded_answer(reasoner, row["reasoner_response"], row["reasoner_finish_reason"])
    task, whole = _task(row, handler.inputs), _task(row, ("text", "data", "image"))
    correct, not_graded = right(grade, answer, row["label"])
    agrees, not_compared = right(grade, answer, reasoner_answer)
    return Case(
        event_id=row["event_id"],
        event_time=row["event_time"].replace(tzinfo=UTC),  # the driver leaves the zone out
        handler=handler.name,
        handler_version=row["handler_version"],
        intent=next(iter(row["intents"]), ""),
        task=task,
        whole=whole,
        attempt=_attempt(row, handler, answer),
        calibration=row["calibration"],
        pipeline=row["pipeline"],
        repeated=row["cache_hit"],
        accepted=row["decision"] == "accepted",
        propensity=row["propensity"],
        correct=correct,
        agrees=agrees,
        reasoner_correct=right(grader(reasoner, agree, markers), reasoner_answer, row["label"])[0]
        if reasoner
        else None,
        cost_usd=row["cost_usd"],
        reasoner_cost_usd=row["reasoner_cost_usd"],
        fingerprint="" if _is_whole(whole, markers) else row["fingerprint"],
        not_graded=not_graded,
        not_compared=not_compared,
    )


def _is_whole(task: Task, markers: Markers) -> bool:
    return bool(task.text or task.data or task.image) and not markers.hide(task.text, task.data)


def _task(row: Mapping[str, Any], inputs: Sequence[str]) -> Task:
    return Task(
        text=row["text"] if "text" in inputs else "",
        data=json.loads(row["data"]) if row["data"] and "data" in inputs else {},
        image=row["image"] if "image" in inputs else None,
    )


def _attempt(row: Mapping[str, Any], handler: Handler, answer: str | None) -> Attempt:
    """Rebuild the attempt before any assessment: of its confidence sources, only the reply's own are kept."""
    config = handler.confidence
    judged = {VERIFIER, *(config.functions if config else ())}
    sources = tuple(
        Score(label=name, probability=value) for name, value in row["sources"].items() if name not in judged
    )
    return Attempt(
        tier="worker",
        handler=handler.name,
        status=row["status"],
        answer=answer,
        refusal_class=row["refusal_class"],
        sources=sources,
        raw_confidence=row["raw_confidence"],
        confidence=row["confidence"],
        call_id=row["call_id"],
    )


def labelled(cases: Sequence[Case], labels: LabelsFrom) -> list[LabelledCase]:
    """Return the answered cases whose truth is known, with it.

    Judged by the reasoner, the truth of accepted answers is known only for the explored share, that of escalated ones
    always. To get a fair sample of the tasks of all pipelines that explored, only the first case of each task is used,
    and cases are thinned to the least share (rejection sampling, von Neumann 1951): each is kept with the chance
    share / its own chance, by a draw that depends on its call alone. Raises ConfigError if no pipeline explored.
    Judged by panels, the cases were thinned to a uniform sample when they were read.
    """
    if labels == "panel":
        return [(case, case.judged) for case in cases if case.judged is not None]
    if labels == "people":
        return [(case, case.correct) for case in cases if case.correct is not None]
    explored = {case.pipeline: case.propensity for case in cases if case.propensity}
    firsts = first_of_each_task([case for case in cases if case.pipeline in explored])
    known = [(case, case.agrees) for case in firsts if case.agrees is not None]
    if not explored:
        what = "no accepted answer was ever sent to the reasoner as well, so the truth of those is unknown."
        raise ConfigError(what, "Set explore = 0.01 or more on the worker and wait, or publish labels.", "labels")
    share = min(explored.values())
    return [(case, right) for case, right in known if draw("thin", case.attempt.call_id) < share / _chance(case)]


def _chance(case: Case) -> float:
    """Return the chance that the reasoner was asked: 1 unless the worker's answer was accepted."""
    return case.propensity if case.accepted and case.propensity else 1.0


class TaskAttempt(Protocol):
    """An attempt at a task, which other attempts may share."""

    @property
    def task_id(self) -> str: ...
    @property
    def event_time(self) -> datetime: ...
    @property
    def attempt(self) -> Attempt: ...


AnyAttempt = TypeVar("AnyAttempt", bound=TaskAttempt)


def first_of_each_task(cases: Sequence[AnyAttempt]) -> list[AnyAttempt]:
    """Return the oldest case of each task, in the given order. The choice does not depend on the answer."""
    oldest: dict[str, tuple[datetime, str]] = {}
    for case in cases:
        at = case.event_time, case.attempt.call_id
        oldest[case.task_id] = min(at, oldest.get(case.task_id, at))
    found: dict[str, AnyAttempt] = {}
    for case in cases:
        if (case.event_time, case.attempt.call_id) == oldest[case.task_id]:
            found.setdefault(case.task_id, case)
    return list(found.values())


def one_of_each_task(known: Sequence[LabelledCase]) -> list[LabelledCase]:
    """Return each task once, in the given order, by the case that is worst for the worker.

    That is the wrong answer with the highest score, if there is one. A task with contradicting labels counts as wrong,
    so the share of wrong tasks is never understated.
    """
    found: dict[str, LabelledCase] = {}
    for one in known:
        known_before = found.get(one[0].task_id)
        if known_before is None or _against(one) > _against(known_before):
            found[one[0].task_id] = one
    return list(found.values())


def _against(one: LabelledCase) -> tuple[bool, float]:
    case, was_right = one
    score = case.attempt.raw_confidence
    return not was_right, -1.0 if was_right or score is None else score


def left_out(cases: Sequence[Case], labels: LabelsFrom) -> tuple[str, ...]:
    """Report the answers that could not be compared: a sentence for each reason, with an example."""
    if labels == "panel":
        return ()
    reasons: dict[str, list[str]] = {}
    for case in cases:
        if reason := case.not_graded if labels == "people" else case.not_compared:
            reasons.setdefault(reason, []).append(case.event_id)
    other = "the label" if labels == "people" else "the reasoner's answer"
    ordered = sorted(reasons.items(), key=lambda pair: (-len(pair[1]), pair[0]))
    return tuple(
        f"{len(ids)} answers count as neither right nor wrong, because they cannot be compared with {other}: "
        f"{reason} (for example, event {ids[0]})."
        for reason, ids in ordered[:MAX_REASONS]
    )


def read_ignored(audit: Audit, part: AuditPart) -> list[Example]:
    """Read the events that needed no handler, without duplicates."""
    sql = """
        SELECT text, data FROM verdicts
        WHERE run = {run:String} AND action = 'ignore' AND event_time >= {since:DateTime64(6, 'UTC')}
        ORDER BY event_time, event_id
    """
    rows = audit.query(sql, {"run": part.run, "since": part.since}).records()
    return [Example(text=row["text"], data=json.loads(row["data"] or "{}"), answer=None) for row in rows]


def of_this_version(cases: Sequence[Case], handler: Handler) -> Iterator[Case]:
    return (case for case in cases if case.handler == handler.name and case.handler_version == handler.version)


def set_aside(cases: Sequence[Case], salt: str, share: float) -> tuple[list[Case], list[Case]]:
    """Split the cases in two, the first part of about `share`, by a draw that depends on the task alone.

    A verifier is trained on the first part and a calibration made on the second. Tasks that the verifier was trained on
    would make it look better than it is.
    """
    parts: tuple[list[Case], list[Case]] = ([], [])
    for case in cases:
        parts[draw("aside", salt, content_id(case.task)) >= share].append(case)
    return parts
