"""Read the attempts of workers and reasoners, and whether each source of truth holds their answers for right."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, Literal

from streams.audit.grading import grader, markers_of, recorded_answer, right
from streams.audit.query import Audit
from streams.calling.task import Task
from streams.core.answer_comparison import Agree
from streams.core.errors import ConfigError
from streams.core.grading import Grader, Markers
from streams.core.messages import Attempt
from streams.evaluation.cases import MAX_CASES, content_id
from streams.evaluation.tiers.truth import AnswerValues, EvaluatedPart, EventLabels, TruthSource
from streams.pipeline.handlers import Handler
from streams.pipeline.load import Pipeline

AnsweringTier = Literal["worker", "reasoner"]
Agrees = Mapping[tuple[str, str], Agree]
"""By tier and handler, the rule that compares two answers."""
NO_RIGHTS: Mapping[TruthSource, bool] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class TierAttempt:
    """The last attempt of a worker or a reasoner at one event.

    `delivered`: its answer left the stream. `chance` is the probability with which the reasoner was asked about the
    event; None if it could not be. `usd` is the cost of all calls of its tier for the event if live; None if unknown.
    `right` holds the sources that know whether the answer is right. `not_graded`: a label exists with which the answer
    cannot be compared.
    """

    event_id: str
    event_time: datetime
    tier: AnsweringTier
    handler: str
    handler_version: str
    pipeline: str
    intent: str
    task_id: str
    attempt: Attempt
    delivered: bool
    chance: float | None
    usd: float | None
    right: Mapping[TruthSource, bool]
    not_graded: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TieredEvent:
    """One event at the worker, at the reasoner, or at both; `agrees` compares both answers, if both answered."""

    worker: TierAttempt | None
    reasoner: TierAttempt | None
    agrees: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TierAttempts:
    """All events of a part, oldest first. `unknown` counts attempts of handlers that the pipeline has not."""

    events: Sequence[TieredEvent]
    unknown: Mapping[tuple[str, str], int]


def read_attempts(
    audit: Audit, pipeline: Pipeline, agrees: Agrees, part: EvaluatedPart, labels: EventLabels, judged: AnswerValues
) -> TierAttempts:
    """Read the attempts at the events of a part. Raises ConfigError if there are more than MAX_CASES."""
    sql = files("streams.evaluation.tiers").joinpath("attempts.sql").read_text("utf-8")
    rows = audit.query(sql, part.parameters()).records()
    if len(rows) >= MAX_CASES:
        raise ConfigError(f"there are more than {MAX_CASES:,} attempts.", "Choose a later --since.", "since")
    pairs: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    unknown: Counter[tuple[str, str]] = Counter()
    for row in sorted(rows, key=lambda row: (row["event_time"], row["call_id"])):
        if row["handler"] in _handlers(pipeline, row["tier"]):
            pairs.setdefault((row["event_id"], row["content_digest"]), {})[row["tier"]] = row
        else:
            unknown[row["tier"], row["handler"]] += 1
    reader = _Reader(pipeline, agrees, markers_of(pipeline), labels, judged)
    return TierAttempts(events=[reader.event(pair) for pair in pairs.values()], unknown=unknown)


def _handlers(pipeline: Pipeline, tier: str) -> Mapping[str, Handler]:
    return pipeline.workers if tier == "worker" else pipeline.reasoners


@dataclass(frozen=True, slots=True)
class _Reader:
    pipeline: Pipeline
    agrees: Agrees
    markers: Markers
    labels: EventLabels
    judged: AnswerValues

    def event(self, pair: Mapping[str, Mapping[str, Any]]) -> TieredEvent:
        worked, thought = pair.get("worker"), pair.get("reasoner")
        # The worker's task is the same at the reasoner, so the worker's rule compares the reasoner's answer as well.
        rule = self.agrees["worker", worked["handler"]] if worked else None
        worker = self._attempt(worked, rule, both=thought is not None) if worked else None
        reasoner = self._attempt(thought, rule, both=worked is not None) if thought else None
        agrees = None
        if worked and worker and reasoner and rule:
            grade = grader(self.pipeline.workers[worked["handler"]], rule, self.markers)
            agrees = right(grade, worker.attempt.answer, reasoner.attempt.answer)[0]
        return TieredEvent(worker=worker, reasoner=reasoner, agrees=agrees)

    def _attempt(self, row: Mapping[str, Any], rule: Agree | None, *, both: bool) -> TierAttempt:
        handler = _handlers(self.pipeline, row["tier"])[row["handler"]]
        labels = self.labels.get(row["event_id"], {})
        answered = row["status"] == "answered"
        wanted = answered and (both or bool(labels))  # other answers are compared with nothing
        answer = recorded_answer(handler, row["response"], row["finish_reason"]) if wanted else None
        grade = grader(handler, rule or self.agrees[row["tier"], row["handler"]], self.markers)
        by_label, not_graded = _by_label(grade, answer, labels)
        return TierAttempt(
            event_id=row["event_id"],
            event_time=row["event_time"].replace(tzinfo=UTC),  # the driver leaves the zone out
            tier=row["tier"],
            handler=row["handler"],
            handler_version=row["handler_version"],
            pipeline=row["pipeline"],
            intent=next(iter(row["intents"]), ""),
            task_id=self._task_id(row, handler),
            attempt=_core_attempt(row, answer),
            delivered=answered and row["decision"] == "accepted",
            chance=_chance(row),
            usd=row["usd"],
            right={**by_label, **(self.judged.by_call.get(row["call_id"], NO_RIGHTS) if answered else NO_RIGHTS)},
            not_graded=not_graded,
        )

    def _task_id(self, row: Mapping[str, Any], handler: Handler) -> str:
        """Return an id that events with the same input to the handler share: by its fingerprint if that was hidden."""
        if not (row["text"] or row["data"] or row["image"]) or self.markers.hide(row["text"], row["data"] or ""):
            return str(row["fingerprint"] or row["event_id"])
        return content_id(
            Task(
                text=row["text"] if "text" in handler.inputs else "",
                data=json.loads(row["data"]) if row["data"] and "data" in handler.inputs else {},
                image=row["image"] if "image" in handler.inputs else None,
            )
        )


def _by_label(
    grade: Grader, answer: str | None, labels: Mapping[TruthSource, str]
) -> tuple[dict[TruthSource, bool], str]:
    found: dict[TruthSource, bool] = {}
    why = ""
    for source, label in labels.items():
        is_right, reason = right(grade, answer, label)
        why = why or reason
        if is_right is not None:
            found[source] = is_right
    return found, why


def _core_attempt(row: Mapping[str, Any], answer: str | None) -> Attempt:
    return Attempt(
        tier=row["tier"],
        handler=row["handler"],
        status=row["status"],
        answer=answer,
        refusal_class=row["refusal_class"],
        confidence=row["confidence"],
        call_id=row["call_id"],
    )


def _chance(row: Mapping[str, Any]) -> float | None:
    """Return the chance that the reasoner was asked: 1 for an escalated attempt, that of exploration otherwise."""
    if row["tier"] == "reasoner" or row["decision"] == "escalated":
        return 1.0
    propensity: float | None = row["propensity"]
    return propensity


def not_graded(attempts: Iterable[TierAttempt]) -> list[str]:
    """Report the answers that could not be compared with their labels: a sentence for each tier and reason."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for one in attempts:
        if one.not_graded:
            reasons.setdefault((one.tier, one.not_graded), []).append(one.event_id)
    return [
        f"{len(ids):,} answers of {tier}s count as neither right nor wrong, because they cannot be compared with a "
        f"label: {reason} (for example, event {ids[0]})."
        for (tier, reason), ids in sorted(reasons.items(), key=lambda one: -len(one[1]))[:5]
    ]
