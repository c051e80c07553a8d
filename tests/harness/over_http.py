"""The three tiers in one process, with the real SDK over HTTP to the fake Messages API. Time passes only in `later`."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from streams.app.providers import Providers
from streams.app.settings import read_settings
from streams.core.errors import ServiceError
from streams.core.messages import Call, Deferred, Event, Result, Tier, Verdict
from streams.core.messages import Escalation as Escalated
from streams.core.rate import RateLimit
from streams.core.retry_budget import RetryBudget
from streams.pipeline.load import Pipeline
from streams.stages.lane import Lane
from streams.stages.listen import listen
from streams.stages.ports import Asker, Desk, Purse
from streams.stages.reason import reason
from streams.stages.work import work
from tests.harness.fakes.messages_outcomes import AnswerFunction
from tests.harness.fakes.messages_thread import MessagesThread
from tests.stages.support import Clock, FakeAnswers, FakeImages, build

DESK = """
name = "desk"

[models.small]
provider = "claude"
model = "claude-haiku-4-5"

[models.large]
provider = "claude"
model = "claude-opus-4-8"

[listeners.words]
kind = "rules"
[listeners.words.rules]
open-ended = ["think"]
question = ["."]

[routes]
question = "workers.answer"
open-ended = "reasoners.resolve"
unsure = "workers.answer"

[workers.answer]
task = "answer"
model = "small"
inputs = ["text"]

[reasoners.resolve]
task = "resolve"
model = "large"
inputs = ["text"]
"""
ALONE = DESK.split("[reasoners.resolve]", maxsplit=1)[0].replace('"reasoners.resolve"', '"workers.answer"')
"""Without a reasoner."""


@dataclass
class House:
    """The messages that the tiers have published, and those that wait."""

    pipeline: Pipeline
    desks: dict[Tier, Desk]
    clock: Clock
    provider: MessagesThread
    calls: list[Call] = field(default_factory=list)
    results: dict[str, Result] = field(default_factory=dict)
    waiting: deque[Deferred | Event] = field(default_factory=deque)
    """An event waits where LISTEN could not take it."""

    async def take(self, *messages: Any) -> None:
        """Take messages through the tiers, as far as they come."""
        todo = deque(messages)
        while todo:
            message = todo.popleft()
            try:
                todo.extend(await self._next(message))
            except ServiceError:
                self.waiting.append(message)

    async def _next(self, message: Any) -> list[Any]:
        now, pipeline, desks = self.clock.now(), self.pipeline, self.desks
        match message:
            case Event():
                return list(await listen(message, now, pipeline, desks["listener"], FakeImages()))
            case Verdict():
                return list(await work(message, now, pipeline, desks["worker"]))
            case Escalated():
                return list(await reason(message, now, pipeline, desks["reasoner"]))
            case Call():
                self.calls.append(message)
            case Result():
                assert message.origin.event_id not in self.results
                self.results[message.origin.event_id] = message
            case Deferred():
                self.waiting.append(message)
        return []

    async def later(self, seconds: float) -> None:
        """Let time pass, and take on what waits and is due then."""
        self.clock.at += timedelta(seconds=seconds)
        due, self.waiting = self.waiting, deque()
        for one in due:
            if isinstance(one, Event) or one.not_before <= self.clock.at:
                await self.take(one if isinstance(one, Event) else one.task)
            else:
                self.waiting.append(one)

    def states(self) -> dict[str, str]:
        """The end of each event."""
        return {name: result.state for name, result in self.results.items()}


def spread(
    providers: Providers, pipeline: Pipeline, clock: Clock, purse: Purse | None, limit: RateLimit | None
) -> dict[Tier, Desk]:
    """A desk for each tier, its askers' lanes on the test's clock; a purse and a limit are shared by all."""
    lanes = dict[str, Lane]()

    def on_the_clock(asker: Asker) -> Asker:
        if asker.lane is not None:
            key = asker.lane.model_key
            fresh = Lane(model_key=key, timer=clock.timer, sleep=clock.sleep, retries=RetryBudget(0.5))
            fresh.limit = limit or fresh.limit
            asker.lane = lanes.setdefault(key, fresh)
        if asker.fallback is not None:
            on_the_clock(asker.fallback)
        return asker

    tiers: dict[Tier, Any] = {
        "listener": pipeline.listeners,
        "worker": pipeline.workers,
        "reasoner": pipeline.reasoners,
    }
    return {
        tier: Desk(
            pipeline_hash=pipeline.hash,
            askers={name: on_the_clock(one) for name, one in providers.askers(handlers).items()},
            answers=FakeAnswers(),
            prices=pipeline.prices,
            now=clock.now,
            timer=clock.timer,
            sleep=clock.sleep,
            jitter=lambda: 1.0,
            purse=purse,
            agrees=providers.agrees(handlers),
            assessors=providers.assessors(handlers),
        )
        for tier, handlers in tiers.items()
    }


@asynccontextmanager
async def house(
    directory: Path,
    answer: AnswerFunction,
    text: str = DESK,
    purse: Purse | None = None,
    limit: RateLimit | None = None,
) -> AsyncIterator[House]:
    """The tiers of a pipeline file, and a provider that answers so. `provider.server.answer` may be changed."""
    pipeline, clock = build(directory, text), Clock()
    with MessagesThread(answer) as provider:
        environment = {"ANTHROPIC_API_KEY": "planted", "ANTHROPIC_BASE_URL": provider.url}
        providers = Providers(pipeline, read_settings({"ESCALON_DATA": str(directory), **environment}))
        try:
            yield House(pipeline, spread(providers, pipeline, clock, purse, limit), clock, provider)
        finally:
            await providers.close()


def with_options(text: str, **options: str) -> str:
    """The pipeline file with an option added to the tables of some handlers, by `tier_name`."""
    for place, line in options.items():
        table = f"[{place.replace('_', '.', 1)}]\n"
        assert table in text
        text = text.replace(table, f"{table}{line}\n")
    return text
