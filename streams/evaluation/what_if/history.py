"""Read from the audit what deciding past events again needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any

from streams.audit.grading import grader, markers_of, recorded_answer, right
from streams.audit.query import Audit
from streams.core.answer_comparison import Agree
from streams.core.errors import ConfigError
from streams.core.grading import Markers
from streams.core.messages import Action, Attempt, Decision
from streams.core.routing import UNSURE
from streams.evaluation.cases import MAX_CASES, AuditPart, LabelsFrom
from streams.evaluation.what_if.change import SettingChange
from streams.pipeline.handlers import Handler
from streams.pipeline.load import Pipeline


@dataclass(frozen=True, slots=True, kw_only=True)
class PastEvent:
    """One past event, its decisions, and the known truth of its answers.

    `handler` is the worker or reasoner that it was routed to, empty if it was ignored. `attempt` is the worker's,
    `decision` the one about it: accepted, escalated, or failed if there was no reasoner. `propensity` is the chance
    that the reasoner was asked about an accepted answer. `reasoner` was asked and finished; empty for none.
    `worker_right` and `reasoner_right` are by the label, or the reasoner's answer; None if unknown. `stored`: the
    worker's answer came from the cache, as the reasoner's would have. Events with the same content share `task`; it is
    empty if unknown. `not_graded`: an answer cannot be compared with the truth.
    """

    event_id: str
    intent: str
    action: Action
    handler: str
    pipeline: str
    attempt: Attempt | None = None
    decision: Decision | None = None
    propensity: float | None = None
    explored: bool = False
    reasoner: str = ""
    worker_right: bool | None = None
    reasoner_right: bool | None = None
    worker_usd: float | None = None
    reasoner_usd: float | None = None
    stored: bool = False
    task: str = ""
    not_graded: bool = False

    @property
    def asked(self) -> float:
        """The chance that the reasoner was asked, by the decision at the time."""
        if self.action == "reason" or (self.action == "work" and self.decision == "escalated"):
            return 1.0
        return (self.propensity or 0.0) if self.decision == "accepted" else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The events that a change concerns, and the numbers of those left out.

    `other_versions` were answered by another version of the worker than the pipeline file describes, `unfinished` are
    with a handler that has not finished.
    """

    events: Sequence[PastEvent]
    other_versions: int = 0
    unfinished: int = 0


@dataclass(frozen=True, slots=True)
class NewestEvents:
    """The time of the newest events that were routed to a worker, from `since` to `latest`, and their number."""

    since: datetime
    latest: datetime
    events: int

    @property
    def a_day(self) -> float | None:
        """Events a day at the rate of that time; None for fewer than two moments."""
        days = (self.latest - self.since) / timedelta(days=1)
        return self.events / days if days > 0 else None


def newest_events(audit: Audit, run: str, worker: str, count: int) -> NewestEvents | None:
    """Find the time of at most `count` newest events of a worker; None if it has none."""
    sql = """
        SELECT min(event_time) AS since, max(event_time) AS latest, count() AS events
        FROM (
            SELECT event_time FROM verdicts
            WHERE run = {run:String} AND action = 'work' AND handler = {worker:String}
            ORDER BY event_time DESC
            LIMIT {count:UInt32}
        )
    """
    (row,) = audit.query(sql, {"run": run, "worker": worker, "count": count}).records()
    if not row["events"]:
        return None
    return NewestEvents(row["since"].replace(tzinfo=UTC), row["latest"].replace(tzinfo=UTC), row["events"])


def read_history(
    audit: Audit,
    pipeline: Pipeline,
    agrees: Mapping[str, Agree],
    change: SettingChange,
    part: AuditPart,
    labels: LabelsFrom,
) -> History:
    """Read the past events that a change concerns, oldest first. `agrees` compares each handler's answers."""
    parameters = {
        "run": part.run,
        "base": part.base,
        "since": part.since,
        "workers": list(change.workers),
        "intents": [intent for intent in change.routes if intent != UNSURE],
        "unsure": UNSURE in change.routes,
        "routed": [intent for intent in (*pipeline.routes, *change.routes) if intent != UNSURE],
    }
    sql = files("streams.evaluation.what_if").joinpath("history.sql").read_text("utf-8")
    rows = audit.query(sql, parameters).records()
    markers = markers_of(pipeline)
    if len(rows) >= MAX_CASES:
        raise ConfigError(f"there are more than {MAX_CASES} events.", "Choose a later --since.", "since")
    return _history(rows, pipeline, agrees, labels, markers)


def _history(
    rows: Iterable[Mapping[str, Any]],
    pipeline: Pipeline,
    agrees: Mapping[str, Agree],
    labels: LabelsFrom,
    markers: Markers,
) -> History:
    events: list[PastEvent] = []
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
) -> PastEvent:
    reasoner = pipeline.reasoners.get(row["reasoner"] or "")
    worker_right, reasoner_right, not_graded = truth.of(row, handler, reasoner)
    return PastEvent(
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
    """Judges answers by labels or by the reasoner."""

    agrees: Mapping[str, Agree]
    labels: LabelsFrom
    markers: Markers

    def of(
        self, row: Mapping[str, Any], worker: Handler | None, reasoner: Handler | None
    ) -> tuple[bool | None, bool | None, bool]:
        """Return whether worker and reasoner were right (None if unknown), and if a comparison was impossible."""
        answer = recorded_answer(worker, row["response"], row["finish_reason"]) if row["status"] == "answered" else None
        answered = row["reasoner_status"] == "answered"
        reasoner_answer = (
            recorded_answer(reasoner, row["reasoner_response"], row["reasoner_finish_reason"]) if answered else None
        )
        by = worker or reasoner
        if by is None:
            return None, None, False
        rule = self.agrees[by.name]
        if self.labels == "reasoner":
            own, odd = self._right(worker, rule, answer, reasoner_answer)
            return own, None if reasoner_answer is None else True, bool(odd)
        own, odd = self._right(worker, rule, answer, row["label"])
        theirs, strange = self._right(reasoner, rule, reasoner_answer, row["label"])
        failed = row["label"] is not None and bool(row["reasoner"]) and reasoner_answer is None
        return own, False if failed else theirs, bool(odd or strange)

    def _right(
        self, handler: Handler | None, rule: Agree, answer: str | None, truth: str | None
    ) -> tuple[bool | None, str]:
        return right(grader(handler, rule, self.markers), answer, truth) if handler else (None, "")


def _attempt(row: Mapping[str, Any]) -> Attempt:
    """Return the parts of the attempt that the decision depends on."""
    return Attempt(
        tier="worker",
        handler=row["handler"],
        status=row["status"],
        raw_confidence=row["raw_confidence"],
        confidence=row["confidence"],
        call_id=row["call_id"],
    )
