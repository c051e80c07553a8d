"""Prior cases: what workers answered, read again from the audit, and whether it was right."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from importlib.resources import files
from typing import Any, Literal

from streams.audit.query import Audit
from streams.core.comparison import Agree, value_of
from streams.core.errors import ConfigError
from streams.core.fingerprint import draw
from streams.core.messages import Attempt, Score
from streams.models.verifier import Example
from streams.pipeline.handlers import Handler
from streams.pipeline.load import Pipeline
from streams.stages.assess import VERIFIER
from streams.stages.task import Task

LabelsFrom = Literal["people", "reasoner"]
"""Who says what is right: labels on the topic `labels`, or the reasoner's own answer to the same event."""
EVER = datetime(1970, 1, 1, tzinfo=UTC)
MAX_CASES = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One attempt of a worker at one event."""

    event_id: str
    event_time: datetime
    handler: str
    handler_version: str
    intent: str
    task: Task
    """What the worker saw."""
    whole: Task
    """All of the event."""
    attempt: Attempt
    calibration: str | None
    """The calibration that decided at the time."""
    pipeline: str
    repeated: bool
    """Whether the answer came from the store, for a task seen before."""
    accepted: bool
    propensity: float | None
    """The chance that the reasoner was asked about it, where it was accepted and might have been."""
    correct: bool | None
    """Whether the answer agrees with the label; None without an answer or a label."""
    agrees: bool | None
    """Whether it agrees with the reasoner's answer; None where the reasoner gave none."""
    reasoner_correct: bool | None
    """Whether the reasoner's answer agrees with the label."""
    cost_usd: Decimal | None
    reasoner_cost_usd: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """Which part of the audit to read. Past events also have the labels of `base`, the run of live traffic."""

    run: str = "live"
    base: str = "live"
    since: datetime = EVER


def read_cases(
    audit: Audit, pipeline: Pipeline, agrees: Mapping[str, Agree], workers: Sequence[str], part: Since
) -> list[Case]:
    """The cases of some workers, oldest first. `agrees` compares each worker's answers; all versions are included."""
    sql = files("streams.evaluation").joinpath("cases.sql").read_text("utf-8")
    answer = audit.query(sql, {"run": part.run, "since": part.since, "workers": list(workers)})
    if len(answer.rows) >= MAX_CASES:
        raise ConfigError(f"there are more than {MAX_CASES} cases.", "Take a later --since.", "since")
    return [_case(row, pipeline, agrees[row["handler"]]) for row in answer.records()]


def _case(row: Mapping[str, Any], pipeline: Pipeline, agree: Agree) -> Case:
    handler = pipeline.workers[row["handler"]]
    said = _answer(handler, row["response"], row["finish_reason"]) if row["status"] == "answered" else None
    reasoner = pipeline.reasoners.get(row["reasoner"] or "")
    thought = _answer(reasoner, row["reasoner_response"], row["reasoner_finish_reason"]) if reasoner else None
    return Case(
        event_id=row["event_id"],
        event_time=row["event_time"].replace(tzinfo=UTC),  # the driver leaves the zone out
        handler=handler.name,
        handler_version=row["handler_version"],
        intent=next(iter(row["intents"]), ""),
        task=_task(row, handler.spec.inputs),
        whole=_task(row, ("text", "data", "image")),
        attempt=_attempt(row, handler, said),
        calibration=row["calibration"],
        pipeline=row["pipeline"],
        repeated=row["cache_hit"],
        accepted=row["decision"] == "accepted",
        propensity=row["propensity"],
        correct=_same(agree, said, row["label"]),
        agrees=_same(agree, said, thought),
        reasoner_correct=_same(agree, thought, row["label"]),
        cost_usd=row["cost_usd"],
        reasoner_cost_usd=row["reasoner_cost_usd"],
    )


def _same(agree: Agree, answer: str | None, other: str | None) -> bool | None:
    return None if answer is None or other is None else bool(agree(value_of(answer), value_of(other)))


def _answer(handler: Handler, response: str | None, finish_reason: str | None) -> str | None:
    """The answer in a recorded response, read by the handler's contract as it was at the time."""
    if response is None or handler.prompting is None:
        return response
    return handler.prompting.contract.read(response, finish_reason or "", None).answer


def _task(row: Mapping[str, Any], inputs: Sequence[str]) -> Task:
    return Task(
        text=row["text"] if "text" in inputs else "",
        data=json.loads(row["data"]) if row["data"] and "data" in inputs else {},
        image=row["image"] if "image" in inputs else None,
    )


def _attempt(row: Mapping[str, Any], handler: Handler, answer: str | None) -> Attempt:
    """The attempt as it was before anything judged it: only what the reply itself says of its confidence is kept."""
    trust = handler.trust
    judged = {VERIFIER, *(trust.functions if trust else ())}
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


def labelled(cases: Sequence[Case], labels: LabelsFrom) -> list[tuple[Case, bool]]:
    """The answered cases whose truth is known, with it.

    By the reasoner's word, accepted answers are known only where they were explored, a known share of them, and
    escalated ones always. So that the cases are a fair sample of the events of all pipelines that explored, they are
    thinned to the least share (rejection sampling, von Neumann 1951): each is kept with the chance share / its own
    chance, by a draw that depends on its call alone. Raises ConfigError where no pipeline explored.
    """
    if labels == "people":
        return [(case, case.correct) for case in cases if case.correct is not None]
    explored = {case.pipeline: case.propensity for case in cases if case.propensity}
    known = [(case, case.agrees) for case in cases if case.agrees is not None and case.pipeline in explored]
    if not explored:
        what = "no accepted answer was ever sent to the reasoner as well, so nothing is known of those."
        raise ConfigError(what, "Set explore = 0.01 or more on the worker and wait, or give labels.", "labels")
    share = min(explored.values())
    return [(case, right) for case, right in known if draw("thin", case.attempt.call_id) < share / _chance(case)]


def _chance(case: Case) -> float:
    """The chance that the reasoner was asked: always, where the worker's answer was not accepted."""
    return case.propensity if case.accepted and case.propensity else 1.0


def read_ignored(audit: Audit, part: Since) -> list[Example]:
    """The events that needed no handler, duplicates left out."""
    sql = """
        SELECT text, data FROM verdicts
        WHERE run = {run:String} AND action = 'ignore' AND event_time >= {since:DateTime64(6, 'UTC')}
        ORDER BY event_time, event_id
    """
    rows = audit.query(sql, {"run": part.run, "since": part.since}).records()
    return [Example(text=row["text"], data=json.loads(row["data"] or "{}"), answer=None) for row in rows]


def of_this_version(cases: Sequence[Case], handler: Handler) -> Iterator[Case]:
    """The cases of a handler as it is now."""
    return (case for case in cases if case.handler == handler.name and case.handler_version == handler.version)


def set_aside(cases: Sequence[Case], salt: str, share: float) -> tuple[list[Case], list[Case]]:
    """The cases in two parts, the first of about `share`, by a draw that depends on the event alone.

    A verifier learns from the first part and a calibration is made on the second: cases that the verifier has learnt
    by heart would flatter it.
    """
    parts: tuple[list[Case], list[Case]] = ([], [])
    for case in cases:
        parts[draw("aside", salt, case.event_id) >= share].append(case)
    return parts
