"""Recorded rows through the real stages LISTEN, WORK and REASON, with models that say what they said."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from bench.economy_data import Row
from bench.economy_product import REASONER, WORKER, Decided, read_answer
from streams.calibration.drift import Watch
from streams.core.messages import Escalation, Event, Message, Origin, Result, StoredAnswer, Verdict
from streams.models.listeners.image import ImageFeatures
from streams.models.listeners.rules import RuleSet
from streams.pipeline.handlers import Handler
from streams.pipeline.load import Pipeline
from streams.stages.gate import WatchedGate
from streams.stages.lane import Lane
from streams.stages.light import RouterAsker, RulesAsker
from streams.stages.listen import listen
from streams.stages.ports import Asker, Desk, Said
from streams.stages.reason import reason
from streams.stages.task import Task
from streams.stages.work import work

NOW = datetime(2026, 11, 1, tzinfo=UTC)
UNRECORDED = "not recorded"
"""Said by a model of which only is known whether it was right."""


@dataclass(kw_only=True)
class RecordedAsker:
    """Says what a model answered to the row at `place`; texts alone would not do, for some rows share one."""

    handler: Handler
    answers: Sequence[str]
    place: int = 0
    asked: int = 0
    operation: str = "chat"
    provider: str = "recorded"
    model: str = "recorded"
    priced_as: str | None = None
    bills_cache: bool = False
    free: bool = True
    lane: Lane | None = None
    fallback: Asker | None = None

    def size(self, task: Task) -> int:  # noqa: ARG002
        """It takes no tokens."""
        return 0

    def slot(self) -> AbstractAsyncContextManager[None]:
        """No limit."""
        return nullcontext()

    async def ask(self, task: Task, sample: int = 0, within: float = math.inf) -> Said:  # noqa: ARG002 - the row
        """The recorded answer, read as the product reads one."""
        self.asked += 1
        text = self.answers[self.place]
        return Said(reading=read_answer(text), prompt=task.text, response=text)


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
    """A desk, and the recorded askers on it."""

    desk: Desk
    recorded: Mapping[str, RecordedAsker]
    decided: Decided

    async def results(self, place: int, row: Row) -> list[Result]:
        """Every result that one row's event causes."""
        for asker in self.recorded.values():
            asker.place = place
        pipeline, found = self.decided.pipeline, []
        messages: list[Message] = await listen(_event(place, row), NOW, pipeline, self.desk, _NoImages())
        while messages:
            match messages.pop():
                case Result() as result:
                    found.append(result)
                case Escalation() as escalation:
                    messages += await reason(escalation, NOW, pipeline, self.desk)
                case Verdict() as verdict:
                    messages += await work(verdict, NOW, pipeline, self.desk)
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
        WORKER: [row.worker_answer if decided.assessor else UNRECORDED for row in rows],
        REASONER: [row.reasoner_answer or UNRECORDED for row in rows],
    }
    recorded = {name: RecordedAsker(handler=handler, answers=said[name]) for name, handler in handlers.items()}
    askers: dict[str, Asker] = {name: _light(handler, decided) for name, handler in pipeline.listeners.items()}
    desk = Desk(
        pipeline_hash=pipeline.hash,
        askers=askers | recorded,
        answers=NoAnswers(),
        prices=pipeline.prices,
        now=lambda: NOW,
        timer=lambda: 0.0,
        sleep=asyncio.sleep,
        jitter=lambda: 1.0,
        assessors={WORKER: decided.assessor} if decided.assessor else {},
        gate=_gate(pipeline),
    )
    return _Office(desk, recorded, decided)


def _gate(pipeline: Pipeline) -> WatchedGate:
    trusts = {name: one.trust for name, one in pipeline.workers.items() if one.trust}
    return WatchedGate(trusts=trusts, watches=InMemory(), partitions=1, tell=lambda *_: None)


def _light(handler: Handler, decided: Decided) -> Asker:
    if decided.router is not None:
        return RouterAsker(handler=handler, router=decided.router)
    return RulesAsker(handler=handler, rules=RuleSet(handler.spec.rules))


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
