"""Recorded rows through the real stages LISTEN, WORK and REASON, with models that say what they said."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from bench.economy_data import Row
from bench.economy_product import REASONER, WORKER, Decided, read_answer
from streams.calibration.drift import Watch
from streams.calling.cached import StoredAnswers
from streams.calling.caller import Backend, Callee, Caller
from streams.calling.chain import CallServices, LimitedBackend, chain
from streams.calling.classifiers import RouterBackend, RulesBackend
from streams.calling.record import CallRecords
from streams.calling.request import Reply
from streams.calling.task import Task
from streams.calling.threshold import ThresholdPolicy
from streams.core.messages import Escalation, Event, Message, Origin, Result, StoredAnswer, Verdict
from streams.models.listeners.image import ImageFeatures
from streams.models.listeners.rules import RuleSet
from streams.pipeline.handlers import Handler
from streams.pipeline.load import Pipeline
from streams.pipeline.spec import RulesListener
from streams.stages.listen import listen
from streams.stages.reason import reason
from streams.stages.work import work

NOW = datetime(2026, 11, 1, tzinfo=UTC)
UNRECORDED = "not recorded"
"""Said by a model of which only is known whether it was right."""


@dataclass(kw_only=True)
class RecordedBackend:
    """Says what a model answered to the row at `place`; texts alone would not do, for some rows share one."""

    callee: Callee
    answers: Sequence[str]
    place: int = 0
    asked: int = 0

    def size(self, task: Task) -> int:  # noqa: ARG002
        """It takes no tokens."""
        return 0

    async def ask(self, task: Task, sample: int = 0, within: float = math.inf) -> Reply:  # noqa: ARG002 - the row
        """The recorded answer, read as the product reads one."""
        self.asked += 1
        text = self.answers[self.place]
        return Reply(reading=read_answer(text), prompt=task.text, response=text)


class NoAnswers:
    """A store that keeps nothing: every row is asked for itself."""

    def get(self, fingerprint: str) -> StoredAnswer | None:  # noqa: ARG002
        """Nothing."""
        return None

    def put(self, fingerprint: str, answer: StoredAnswer) -> None:
        """Forget it."""


class InMemory(dict[str, Watch]):
    """The watches of the calibrations."""

    def put(self, calibration: str, state: Watch) -> None:
        """Remember one."""
        self[calibration] = state


@dataclass(frozen=True, slots=True)
class Run:
    """The stages' results for n rows: the share of calls that went to the reasoner, and of right answers."""

    reasoner_calls: int
    right: int
    n: int


@dataclass(frozen=True)
class _Office:
    """The stages' callers, and the recorded backends behind them."""

    callers: Mapping[str, Caller]
    records: CallRecords
    thresholds: ThresholdPolicy
    recorded: Mapping[str, RecordedBackend]
    decided: Decided

    async def results(self, place: int, row: Row) -> list[Result]:
        """Every result that one row's event causes."""
        for backend in self.recorded.values():
            backend.place = place
        pipeline, callers, records, found = self.decided.pipeline, self.callers, self.records, []
        scorers = {WORKER: self.decided.scorer} if self.decided.scorer else {}
        messages: list[Message] = await listen(_event(place, row), NOW, pipeline, callers, records, _NoImages())
        while messages:
            match messages.pop():
                case Result() as result:
                    found.append(result)
                case Escalation() as escalation:
                    messages += await reason(escalation, NOW, pipeline, callers, records)
                case Verdict() as verdict:
                    messages += await work(verdict, NOW, pipeline, callers, records, scorers, self.thresholds)
        return found


def run_stages(rows: Sequence[Row], decided: Decided) -> Run:
    """All rows through the three stages, each ending in exactly one result."""
    office = _office(rows, decided)
    tiers = asyncio.run(_tiers(rows, office))
    by_reasoner: NDArray[np.bool_] = np.array([tier == "reasoner" for tier in tiers])
    right = [
        row.reasoner_correct if asked else row.worker_correct for row, asked in zip(rows, by_reasoner, strict=True)
    ]
    calls = office.recorded[REASONER].asked
    assert calls == by_reasoner.sum(), "a reasoner was asked in vain"
    return Run(calls, sum(right), len(rows))


async def _tiers(rows: Sequence[Row], office: _Office) -> list[str]:
    tiers: list[str] = []
    for place, row in enumerate(rows):
        (result,) = await office.results(place, row)
        said = office.recorded[REASONER if result.tier == "reasoner" else WORKER].answers[place]
        assert result.state == "answered"
        assert result.answer == read_answer(said).answer
        tiers.append(result.tier)
    return tiers


def _office(rows: Sequence[Row], decided: Decided) -> _Office:
    pipeline = decided.pipeline
    handlers = {WORKER: pipeline.workers[WORKER], REASONER: pipeline.reasoners[REASONER]}
    said = {
        WORKER: [row.worker_answer if decided.scorer else UNRECORDED for row in rows],
        REASONER: [row.reasoner_answer or UNRECORDED for row in rows],
    }
    recorded = {name: RecordedBackend(callee=_callee(one), answers=said[name]) for name, one in handlers.items()}
    records = CallRecords(pipeline_hash=pipeline.hash, prices=pipeline.prices, now=lambda: NOW, timer=lambda: 0.0)
    answers = StoredAnswers(store=NoAnswers(), records=records)
    services = CallServices(answers=answers, records=records, sleep=asyncio.sleep, jitter=lambda: 1.0)
    listeners = {name: _listener(handler, decided) for name, handler in pipeline.listeners.items()}
    callers = {name: chain(LimitedBackend(backend=one), services) for name, one in (listeners | recorded).items()}
    return _Office(callers, records, _thresholds(pipeline), recorded, decided)


def _callee(handler: Handler) -> Callee:
    return Callee(handler=handler, operation="chat", provider="recorded", model="recorded", free=True)


def _thresholds(pipeline: Pipeline) -> ThresholdPolicy:
    configs = {name: one.confidence for name, one in pipeline.workers.items() if one.confidence}
    return ThresholdPolicy(configs=configs, watches=InMemory(), partitions=1, report=lambda *_: None)


def _listener(handler: Handler, decided: Decided) -> Backend:
    if decided.router is not None:
        return RouterBackend(callee=_callee(handler), router=decided.router)
    assert isinstance(handler.spec, RulesListener)
    return RulesBackend(callee=_callee(handler), rules=RuleSet(handler.spec.rules))


def _event(place: int, row: Row) -> Event:
    origin = Origin(
        event_id=str(place),
        run="live",
        event_time=NOW,
        trace_id="0" * 32,
        topic="events",
        partition=0,
        offset=place,
    )
    return Event(origin=origin, kind="text", text=row.text, data=json.dumps(dict(row.data)) if row.data else None)


class _NoImages:
    """No row has an image."""

    async def features(self, image: str) -> ImageFeatures:
        """Is not asked."""
        raise AssertionError(image)

    async def same(self, one: str, other: str) -> bool:
        """Is not asked."""
        raise AssertionError(one, other)
