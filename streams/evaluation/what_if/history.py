"""What became of past events, as far as deciding them again needs it, read from the audit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from streams.audit.query import Audit
from streams.core.answer_comparison import Agree
from streams.core.errors import ConfigError
from streams.core.grading import Markers
from streams.core.messages import Action, Attempt, Decision
from streams.core.routing import UNSURE
from streams.evaluation.cases import MAX_CASES, LabelsFrom, Since, grader, markers_of, right
from streams.evaluation.what_if.change import SettingChange
from streams.pipeline.handlers import Handler
from streams.pipeline.load import Pipeline


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """One event, with what was decided and what is known of the answers."""

    event_id: str
    intent: str
    action: Action
    handler: str
    """The worker or reasoner it was routed to; empty where it was ignored."""
    pipeline: str
    attempt: Attempt | None = None
    """The worker's."""
    decision: Decision | None = None
    """About that attempt: accepted, escalated, or failed where there was no reasoner."""
    propensity: float | None = None
    """The chance that the reasoner was asked about an accepted answer."""
    explored: bool = False
    reasoner: str = ""
    """The reasoner that was asked and came to an end; empty for none."""
    worker_right: bool | None = None
    """By the label, or by the reasoner's answer; None where that is not known."""
    reasoner_right: bool | None = None
    worker_usd: float | None = None
    reasoner_usd: float | None = None
    stored: bool = False
    """Whether the worker's answer came from the store, as the reasoner's would then have."""
    task: str = ""
    """The same for events that say the same; empty where that is not known."""
    not_graded: bool = False
    """Whether an answer cannot be compared with what is true of the event."""

    @property
    def asked(self) -> float:
        """The chance with which the reasoner was asked, by what was decided then."""
        if self.action == "reason" or (self.action == "work" and self.decision == "escalated"):
            return 1.0
        return (self.propensity or 0.0) if self.decision == "accepted" else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The events a change concerns, and how many more there were."""

    events: Sequence[Past]
    other_versions: int = 0
    """Answered by another version of the worker than the pipeline file describes."""
    unfinished: int = 0
    """Routed to a handler that has not come to an end."""


def read_history(
    audit: Audit,
    pipeline: Pipeline,
    agrees: Mapping[str, Agree],
    change: SettingChange,
    part: Since,
    labels: LabelsFrom,
) -> History:
    """The past events that a change concerns, oldest first. `agrees` compares each handler's answers."""
    parameters = {
        "run": part.run,
        "base": part.base,
        "since": part.since,
        "workers": list(change.workers),
        "intents": [intent for intent in change.routes if intent != UNSURE],
        "unsure": UNSURE in change.routes,
        "routed": [intent for intent in (*pipeline.routes, *change.routes) if intent != UNSURE],
    }
    sql = files("streams.evaluation.what_if").joinpath("past.sql").read_text("utf-8")
    rows = audit.query(sql, parameters).records()
    markers = markers_of(pipeline)
    if len(rows) >= MAX_CASES:
        raise ConfigError(f"there are more than {MAX_CASES} events.", "Take a later --since.", "since")
    return _history(rows, pipeline, agrees, labels, markers)


def _history(
    rows: Iterable[Mapping[str, Any]],
    pipeline: Pipeline,
    agrees: Mapping[str, Agree],
    labels: LabelsFrom,
    markers: Markers,
) -> History:
    events: list[Past] = []
    other_versions = unfinished = 0
    for row in rows:
        handler = pipeline.workers.get(row["route_handler"]) if row["action"] == "work" else None
        ended = {"work": row["handler"], "reason": row["reasoner"], "ignore": ""}[row["action"]]
        if ended is None or (row["action"] == "work" and ended != row["route_handler"]):
            unfinished += 1
        elif row["action"] == "work" and (handler is None or row["handler_version"] != handler.version):
            other_versions += 1
        else:
            events.append(_past(row, handler, pipeline, _Truth(agrees, labels, markers)))
    return History(events=events, other_versions=other_versions, unfinished=unfinished)


def _past(
    row: Mapping[str, Any],
    handler: Handler | None,
    pipeline: Pipeline,
    truth: _Truth,
) -> Past:
    reasoner = pipeline.reasoners.get(row["reasoner"] or "")
    worker_right, reasoner_right, not_graded = truth.of(row, handler, reasoner)
    return Past(
        event_id=row["event_id"],
        intent=row["intent"],
        action=row["action"],
        handler=row["route_handler"],
        pipeline=row["pipeline"],
        attempt=_attempt(row) if handler else None,
        decision=row["decision"] if handler else None,
        propensity=row["propensity"],
        explored=bool(row["explored"]),
        reasoner=row["reasoner"] or "",
        worker_right=worker_right,
        reasoner_right=reasoner_right,
        worker_usd=row["worker_usd"],
        reasoner_usd=row["reasoner_usd"],
        stored=bool(row["stored"]),
        task=row["task"],
        not_graded=not_graded,
    )


@dataclass(frozen=True, slots=True)
class _Truth:
    """By what answers are right."""

    agrees: Mapping[str, Agree]
    labels: LabelsFrom
    markers: Markers

    def of(
        self, row: Mapping[str, Any], worker: Handler | None, reasoner: Handler | None
    ) -> tuple[bool | None, bool | None, bool]:
        """Whether the worker and the reasoner were right, None where that is not known, and whether an answer of
        either could not be compared."""
        said = _answer(worker, row["response"], row["finish_reason"]) if row["status"] == "answered" else None
        answered = row["reasoner_status"] == "answered"
        thought = _answer(reasoner, row["reasoner_response"], row["reasoner_finish_reason"]) if answered else None
        by = worker or reasoner
        if by is None:
            return None, None, False
        rule = self.agrees[by.name]
        if self.labels == "reasoner":
            own, odd = self._right(worker, rule, said, thought)
            return own, None if thought is None else True, bool(odd)
        own, odd = self._right(worker, rule, said, row["label"])
        theirs, strange = self._right(reasoner, rule, thought, row["label"])
        failed = row["label"] is not None and bool(row["reasoner"]) and thought is None
        return own, False if failed else theirs, bool(odd or strange)

    def _right(
        self, handler: Handler | None, rule: Agree, answer: str | None, truth: str | None
    ) -> tuple[bool | None, str]:
        return right(grader(handler, rule, self.markers), answer, truth) if handler else (None, "")


def _attempt(row: Mapping[str, Any]) -> Attempt:
    """As much of the attempt as the decision looks at."""
    return Attempt(
        tier="worker",
        handler=row["handler"],
        status=row["status"],
        raw_confidence=row["raw_confidence"],
        confidence=row["confidence"],
        call_id=row["call_id"],
    )


def _answer(handler: Handler | None, response: str | None, finish_reason: str | None) -> str | None:
    """The answer in a recorded response, read by the handler's contract."""
    if handler is None or response is None or handler.prompting is None:
        return response if handler else None
    return handler.prompting.contract.read(response, finish_reason or "", None).answer
