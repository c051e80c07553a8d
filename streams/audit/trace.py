"""Everything that the audit holds about one event, as a tree of calls."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from streams.audit.query import Audit
from streams.audit.trace_labels import Row, TraceLabel, compare_labels
from streams.core.errors import MissingError
from streams.pipeline.load import Pipeline

_PARTS: Mapping[str, str] = {
    "verdict": "SELECT * FROM verdicts WHERE run = {run:String} AND event_id = {event_id:String} ORDER BY decided_at",
    "calls": "SELECT * REPLACE (toString(call_id) AS call_id) FROM calls"
    " WHERE run = {run:String} AND event_id = {event_id:String}"
    " ORDER BY indexOf(['listener', 'worker', 'reasoner', 'judge'], tier), started_at, attempt, sample, call_id",
    "outcome": "SELECT * FROM outcomes WHERE run = {run:String} AND event_id = {event_id:String} ORDER BY settled_at",
    "dead_letters": "SELECT * EXCEPT payload REPLACE (toString(dead_letter_id) AS dead_letter_id) FROM dead_letters"
    " WHERE run = {run:String} AND event_id = {event_id:String} ORDER BY event_time, dead_letter_id",
    "labels": "SELECT * FROM labels WHERE run IN ({run:String}, 'live') AND event_id = {event_id:String}"
    " ORDER BY labelled_at, source, label",
    "judgements": "SELECT * FROM judgements WHERE run IN ({run:String}, 'live') AND event_id = {event_id:String}"
    " ORDER BY judged_at, judge, question",
}
_RUNS = """
    SELECT run FROM (
        SELECT run FROM calls WHERE event_id = {event_id:String}
        UNION ALL SELECT run FROM outcomes WHERE event_id = {event_id:String}
        UNION ALL SELECT run FROM dead_letters WHERE event_id = {event_id:String}
    ) GROUP BY run ORDER BY run != 'live', run
"""


@dataclass(frozen=True, slots=True)
class TraceStep:
    """A step of an event through the tiers, and the steps that it led to."""

    kind: Literal["call", "verdict"]
    row: Row
    led_to: Sequence[TraceStep]


@dataclass(frozen=True, slots=True)
class Trace:
    """One event in one run, as far as the audit has it."""

    event_id: str
    run: str
    runs: Sequence[str]
    verdict: Row | None
    calls: Sequence[Row]
    """Listeners first, then workers, then reasoners; within a tier by time."""
    judge_calls: Sequence[Row]
    """Calls by which a model rated the event's answers for a panel, by time. They had no part in its outcome."""
    outcome: Row | None
    dead_letters: Sequence[Row]
    labels: Sequence[TraceLabel]
    judgements: Sequence[Row]

    @property
    def findings(self) -> Mapping[str, Row]:
        found = [json.loads(one) for one in (self.verdict or {}).get("findings", ())]
        return {one["listener"]: one for one in found}

    @property
    def origin(self) -> Row | None:
        """A row with the event's origin; None if the event is only known from dead letters."""
        return self.verdict or next(iter(self.calls), None) or self.outcome

    def under(self, call_id: str | None) -> list[Row]:
        """Return the calls that a call led to; for None, the calls without a recorded parent."""
        known = {call["call_id"] for call in self.calls}
        parents = [call["parent_call_id"] if call["parent_call_id"] in known else None for call in self.calls]
        return [call for call, parent in zip(self.calls, parents, strict=True) if parent == call_id]

    def steps(self) -> list[TraceStep]:
        """Return the tree of steps. The verdict is placed below the listener that decided it."""
        first = self.under(None)
        steps = [TraceStep("call", call, self._led_to(call)) for call in first if call["tier"] == "listener"]
        rest = [TraceStep("call", call, self._led_to(call)) for call in first if call["tier"] != "listener"]
        placed = any(below.kind == "verdict" for step in steps for below in step.led_to)
        if self.verdict is None or placed:
            return [*steps, *rest]
        return [*steps, TraceStep("verdict", self.verdict, rest)]

    def _led_to(self, call: Row) -> list[TraceStep]:
        below = [TraceStep("call", one, self._led_to(one)) for one in self.under(call["call_id"])]
        if below and call["tier"] == "listener" and self.verdict is not None:
            return [TraceStep("verdict", self.verdict, below)]
        return below

    def open_for(self) -> str | None:
        """Return a sentence about what an event without an outcome waits for; None if it has ended."""
        if self.outcome is not None or self.dead_letters:
            return None
        last = self.calls[-1] if self.calls else None
        if self.verdict is None and (last is None or last["tier"] == "listener"):
            return "still open: no verdict is recorded yet"
        if last is not None and last["decision"] == "escalated":
            return "still open: escalated, and waits for a reasoner, its budget or a batch"
        if last is None or last["tier"] == "listener":
            return f"still open: {self._routed()}"
        if last["decision"] == "deferred":
            return "still open: the model was unavailable or failed, and is called again later"
        if last["decision"] == "retried":
            return "still open: the last call failed and is retried"
        return "still open: its calls are done, the outcome is not recorded yet"

    def _routed(self) -> str:
        action = str((self.verdict or {}).get("action", ""))
        if action in ("work", "reason"):
            who = (self.verdict or {}).get("handler", "")
            waits = f"routed to {who}, and waits for it, its budget or a batch"
            times = (self.verdict or {}).get("budget_deferrals", 0)
            return f"{waits}; deferred {times} times so far" if times else waits
        return f"its verdict is {action}, the outcome is not recorded yet"


def read_trace(audit: Audit, event_id: str, run: str, pipeline: Pipeline | None = None) -> Trace:
    """Read an event. Raises MissingError, with the runs that have it, if this run has not.

    Without a pipeline, which says how answers are compared, no label of an answer is compared with one.
    """
    asked = {"event_id": event_id, "run": run}
    rows = {part: [_aware(row) for row in audit.query(sql, asked).records()] for part, sql in _PARTS.items()}
    runs = [row[0] for row in audit.query(_RUNS, {"event_id": event_id}).rows]
    if run not in runs and not rows["verdict"]:
        elsewhere = f"It is in: {', '.join(runs)}. Add --run NAME." if runs else ""
        remedy = elsewhere or "Look for it with escalon outcomes; the audit is some seconds behind the topics."
        raise MissingError(f"the run {run!r} has no event {event_id!r}.", remedy, "event")
    return Trace(
        event_id=event_id,
        run=run,
        runs=runs,
        verdict=next(reversed(rows["verdict"]), None),
        calls=[call for call in rows["calls"] if call["tier"] != "judge"],
        judge_calls=[call for call in rows["calls"] if call["tier"] == "judge"],
        outcome=next(iter(rows["outcome"]), None),
        dead_letters=rows["dead_letters"],
        labels=compare_labels(rows["labels"], rows["calls"], next(reversed(rows["verdict"]), None), pipeline),
        judgements=rows["judgements"],
    )


def _aware(row: dict[str, Any]) -> dict[str, Any]:
    """Return the row with its times in UTC; the driver leaves the zone out."""
    return {name: value.replace(tzinfo=UTC) if isinstance(value, datetime) else value for name, value in row.items()}
