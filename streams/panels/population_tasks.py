"""From answered events to tasks: which events are one task, and what is known about their answers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Any, Final, cast

from streams.app.providers import comparison
from streams.audit.grading import grader, markers_of, recorded_answer, right
from streams.calling.task import Task
from streams.core.errors import ConfigError
from streams.core.messages import PanelAnswer, Tier
from streams.evaluation.cases import content_id
from streams.evaluation.compare.diff import same
from streams.panels.content import handler_of
from streams.panels.population import TIERS, PopulationScope, PopulationTask, WhyExcluded
from streams.pipeline.load import Pipeline

MAX_TASKS: Final = 1_000_000
_ALL: Final = ("text", "data", "image")
Row = Mapping[str, Any]


class TaskCollector:
    """Collects tasks from rows in the order of time; of several events that are one task, the first stays."""

    def __init__(self, pipeline: Pipeline, scope: PopulationScope) -> None:
        self.tasks: dict[str, PopulationTask] = {}
        self.excluded: Counter[WhyExcluded] = Counter()
        self._pipeline, self._scope = pipeline, scope
        self._markers = markers_of(pipeline)
        handlers = [*pipeline.workers.values(), *pipeline.reasoners.values()]
        self._agrees = {(one.tier, one.name): comparison(one.correct) for one in handlers}

    def take(self, rows: Sequence[Row], others: Mapping[str, Row]) -> None:
        """Add the tasks of some events. `others` has the answered outcomes of the compared run by event id.

        Raises ConfigError if there are too many tasks to draw from.
        """
        for row in rows:
            answers = self._answers(row)
            if why := _why_excluded(row, answers):
                self.excluded[why] += 1
                continue
            task = self._task_id(row)
            if task not in self.tasks:
                self.tasks[task] = self._task(row, task, answers, others.get(row["event_id"]))
        if len(self.tasks) > MAX_TASKS:
            raise ConfigError(f"there are more than {MAX_TASKS} tasks.", "Choose a later --since.", "since")

    def _answers(self, row: Row) -> dict[str, str]:
        """Return the readable answers by tier; the delivered one as it left the stream."""
        found: dict[str, str | None] = {}
        for tier in TIERS:
            if tier == "reasoner" or row["worker_status"] == "answered":
                handler = handler_of(self._pipeline, tier, row[tier] or "")
                found[tier] = recorded_answer(handler, row[f"{tier}_response"], row[f"{tier}_finish_reason"])
        if row["answer"] is not None:
            found[row["tier"]] = row["answer"]
        return {tier: answer for tier, answer in found.items() if answer is not None}

    def _task_id(self, row: Row) -> str:
        """Return an id that events share if they are alike in all that their worker and their reasoner read.

        Redaction makes different texts alike, so a redacted event is identified by its fingerprint.
        """
        if row["fingerprint"] and self._markers.hide(row["text"], row["data"]):
            return str(row["fingerprint"])
        routed = "worker" if row["action"] == "work" else "reasoner"
        handlers = (
            handler_of(self._pipeline, tier, name or "")
            for tier, name in ((routed, row["routed"]), (row["tier"], row["handler"]))
        )
        inputs = {one for handler in handlers for one in (handler.inputs if handler else _ALL)}
        return content_id(
            Task(
                text=row["text"] if "text" in inputs else "",
                data=json.loads(row["data"]) if row["data"] and "data" in inputs else {},
                image=row["image"] if "image" in inputs else None,
            )
        )

    def _task(self, row: Row, task: str, answers: Mapping[str, str], other: Row | None) -> PopulationTask:
        confidence, threshold = row["worker_confidence"], row["worker_threshold"]
        return PopulationTask(
            event_id=row["event_id"],
            event_time=row["event_time"].replace(tzinfo=UTC),  # the driver leaves the zone out
            task=task,
            intent=row["intent"],
            tier=row["tier"],
            handler=row["handler"],
            answers=self._shown(row, answers, other),
            confidence=row[f"{row['tier']}_confidence"],
            distance=None if confidence is None or threshold is None else abs(confidence - threshold),
            tiers_disagree=self._tiers_disagree(row, answers),
            runs_disagree=other is not None and self._runs_disagree(row, answers[row["tier"]], other),
            refused_needlessly=row["worker_status"] == "refused" and "reasoner" in answers,
            usd=row["usd"],
        )

    def _shown(self, row: Row, answers: Mapping[str, str], other: Row | None) -> tuple[PanelAnswer, ...]:
        """Return the answers that raters see. Without both answers of a comparison, the delivered one alone."""
        options, tier = self._scope.options, cast(Tier, row["tier"])
        if options == TIERS:
            known = TIERS if len(answers) == len(TIERS) else (tier,)
            return tuple(self._answer(row, one, one) for one in known)
        delivered = self._answer(row, options[0], tier)
        if other is None:
            return (delivered,)
        second = PanelAnswer(
            option=self._scope.other_run, run=self._scope.other_run, tier=other["tier"], handler=other["handler"],
            call_id=other["call_id"], delivered=False,
        )  # fmt: skip
        return (delivered, second)

    def _answer(self, row: Row, option: str, tier: Tier) -> PanelAnswer:
        delivered = tier == row["tier"]
        call = row[f"{tier}_call"] or ""
        return PanelAnswer(
            option=option,
            run=self._scope.run,
            tier=tier,
            handler=row["handler"] if delivered else row[tier],
            call_id=(row["call_id"] or call) if delivered else call,
            delivered=delivered,
        )

    def _tiers_disagree(self, row: Row, answers: Mapping[str, str]) -> bool:
        worker = self._pipeline.workers.get(row["worker"] or "")
        if worker is None or len(answers) < len(TIERS):
            return False
        grade = grader(worker, self._agrees["worker", worker.name], self._markers)
        return right(grade, answers["worker"], answers["reasoner"])[0] is False

    def _runs_disagree(self, row: Row, answer: str, other: Row) -> bool:
        ways = {(row["tier"], row["handler"]), (other["tier"], other["handler"])}
        return not same(answer, other["answer"], [self._agrees[way] for way in sorted(ways) if way in self._agrees])


def _why_excluded(row: Row, answers: Mapping[str, str]) -> WhyExcluded | None:
    """Return the reason why no person can judge an event; None if one can."""
    if row["erased"]:
        return "erased"
    if not (row["text"] or row["data"] or row["image"]):
        return "without content"
    return None if row["tier"] in answers else "without a readable answer"
