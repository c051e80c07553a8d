"""The ends of the demo's events, as the audit has them, each judged by the demo's truth file."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from streams.app.providers import comparison
from streams.audit.grading import recorded_answer
from streams.audit.query import Audit
from streams.core.answer_comparison import value_of
from streams.demo.events import stem_of
from streams.pipeline.load import Pipeline

Row = Mapping[str, Any]
Judgement = Literal["right", "wrong", "refused rightly", "refused needlessly", "missed", "nothing to judge"]
_OUTCOMES: Final = """
    SELECT event_id, state, tier, handler, intent, answer, reasons, duplicate_of
    FROM outcomes WHERE run = {run:String} AND event_id IN {ids:Array(String)} ORDER BY event_time
"""
_CALLS: Final = """
    SELECT event_id, tier, handler, model, status, decision, response, finish_reason, sources, confidence, threshold,
        cache_hit, refusal_reason, error_type
    FROM calls WHERE run = {run:String} AND event_id IN {ids:Array(String)} AND tier IN ('worker', 'reasoner')
    ORDER BY started_at
"""


@dataclass(frozen=True, slots=True)
class DemoResult:
    """One event of the demo: its outcome, the calls of workers and reasoners, and whether the end is right."""

    outcome: Row
    calls: Sequence[Row]
    judgement: Judgement
    attempt_right: bool | None
    """True if the worker's answer was right; None if it gave none."""

    @property
    def event_id(self) -> str:
        return str(self.outcome["event_id"])

    @property
    def state(self) -> str:
        return str(self.outcome["state"])

    def call(self, tier: str) -> Row | None:
        """Return the last call of a tier."""
        return next((one for one in reversed(self.calls) if one["tier"] == tier), None)


class TruthFile:
    """The right end of each packaged event. Answers are compared with it by the pipeline file's rules."""

    def __init__(self, path: Path, pipeline: Pipeline) -> None:
        rows = map(json.loads, path.read_text("utf-8").splitlines())
        self._rows: dict[str, Row] = {row["id"]: row for row in rows}
        handlers = {**pipeline.workers, **pipeline.reasoners}
        self._handlers = handlers
        self._rules = {name: comparison(one.correct) for name, one in handlers.items()}

    def labels(self, ids: Collection[str]) -> list[Row]:
        """Return the labels of these events as `escalon label` takes them: the intents of texts, and right answers."""
        found: list[Row] = []
        for one in sorted(ids):
            row = self._rows[stem_of(one)]
            if "duplicate_of" not in row:  # only images have it, which no listener sorts by an intent
                found.append({"event_id": one, "aspect": "intent", "label": row["intent"]})
            if "label" in row:
                found.append({"event_id": one, "label": row["label"]})
        return found

    def judge(self, outcome: Row) -> Judgement:
        """Judge how an event ended. Photos and duplicates have no answer that could be wrong."""
        truth = self._rows[stem_of(outcome["event_id"])]
        state, asked = outcome["state"], "label" in truth or truth.get("refuse", False)
        if state == "failed":
            return "refused rightly" if truth.get("refuse") else "refused needlessly"
        if state == "ignored":
            return "missed" if asked else "nothing to judge"
        if state == "duplicate" or (outcome["handler"] == "file" and not asked):
            return "nothing to judge"
        return "right" if self._agrees(truth, outcome["handler"], outcome["answer"]) else "wrong"

    def attempt_right(self, call: Row | None) -> bool | None:
        """Return whether a call's answer is right; None without an answer."""
        if call is None:
            return None
        answer = recorded_answer(self._handlers[call["handler"]], call["response"], call["finish_reason"])
        return None if answer is None else self._agrees(self._rows[stem_of(call["event_id"])], call["handler"], answer)

    def _agrees(self, truth: Row, handler: str, answer: str | None) -> bool:
        return "label" in truth and answer is not None and self._rules[handler](value_of(answer), truth["label"])


def read_results(audit: Audit, run: str, ids: Collection[str], truth: TruthFile) -> list[DemoResult]:
    """Read the ends of these events, in the order of their times."""
    parameters = {"run": run, "ids": sorted(ids)}
    calls: dict[str, list[Row]] = {}
    for row in audit.query(_CALLS, parameters).records():
        calls.setdefault(row["event_id"], []).append(row)
    return [
        _result(outcome, calls.get(outcome["event_id"], []), truth)
        for outcome in audit.query(_OUTCOMES, parameters).records()
    ]


def _result(outcome: Row, calls: list[Row], truth: TruthFile) -> DemoResult:
    worker = next((one for one in reversed(calls) if one["tier"] == "worker" and one["handler"] != "file"), None)
    return DemoResult(outcome, calls, truth.judge(outcome), truth.attempt_right(worker))
