"""The three tiers in one process, with the real SDK over HTTP to the fake Messages API. Time passes only in `later`."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

from streams.app.providers import Providers
from streams.app.settings import read_settings
from streams.calling.budgeted import Budget
from streams.calling.caller import Caller
from streams.calling.chain import CallServices
from streams.calling.confidence import ConfidenceScorer
from streams.core.errors import ServiceError
from streams.core.messages import Call, Deferred, Event, Result, Tier, Verdict
from streams.core.messages import Escalation as Escalated
from streams.core.rate import RateLimit
from streams.core.retry_budget import RetryBudget
from streams.pipeline.load import Pipeline
from streams.stages.listen import listen
from streams.stages.reason import reason
from streams.stages.work import work
from tests.harness.fakes.messages_outcomes import AnswerFunction
from tests.harness.fakes.messages_server import MessagesServer
from tests.harness.fakes.messages_thread import MessagesThread
from tests.harness.stages import Clock, FakeAnswers, FakeImages, build, call_services

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
SEEING = DESK.replace('inputs = ["text"]', 'inputs = ["text", "image"]').replace(
    'provider = "claude"\n', 'provider = "claude"\nimages = true\n'
)
"""Its models see images."""


@dataclass
class House:
    """The messages that the tiers have published, and those that wait."""

    pipeline: Pipeline
    providers: Providers
    services: dict[Tier, CallServices]
    clock: Clock
    provider: MessagesThread
    calls: list[Call] = field(default_factory=list)
    results: dict[str, Result] = field(default_factory=dict)
    waiting: deque[Deferred | Event] = field(default_factory=deque)
    """An event waits where LISTEN could not take it."""
    callers: dict[Tier, dict[str, Caller]] = field(init=False)
    scorers: dict[str, ConfidenceScorer] = field(init=False)

    def __post_init__(self) -> None:
        pipeline, make = self.pipeline, self.providers.callers
        self.callers = {
            "listener": make(pipeline.listeners, self.services["listener"]),
            "worker": make(pipeline.workers, self.services["worker"]),
            "reasoner": make(pipeline.reasoners, self.services["reasoner"]),
        }
        self.scorers = self.providers.scorers(pipeline.workers)

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
        now, pipeline = self.clock.now(), self.pipeline
        match message:
            case Event():
                callers, records = self.callers["listener"], self.services["listener"].records
                return list(await listen(message, now, pipeline, callers, records, FakeImages()))
            case Verdict():
                callers, records = self.callers["worker"], self.services["worker"].records
                return list(await work(message, now, pipeline, callers, records, self.scorers))
            case Escalated():
                callers, records = self.callers["reasoner"], self.services["reasoner"].records
                return list(await reason(message, now, pipeline, callers, records))
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


def put_on_the_clock(providers: Providers, pipeline: Pipeline, clock: Clock, limit: RateLimit | None) -> None:
    """Let the limits of all models run on a test's clock; a rate limit is shared by all."""
    for key in pipeline.spec.models:
        limits = providers.models.shared(key).limits
        limits.timer, limits.sleep, limits.retries = clock.timer, clock.sleep, RetryBudget(0.5)
        limits.limit = limit or RateLimit()


@asynccontextmanager
async def house(
    directory: Path,
    answer: AnswerFunction,
    text: str = DESK,
    budget: Budget | None = None,
    limit: RateLimit | None = None,
    server: type[MessagesServer] = MessagesServer,
) -> AsyncIterator[House]:
    """The tiers of a pipeline file, and a provider that answers so. `provider.server.answer` may be changed.

    $URL in the file is the provider's address.
    """
    with MessagesThread(answer, server) as provider:
        pipeline, clock = build(directory, text.replace("$URL", provider.url)), Clock()
        environment = {"ANTHROPIC_API_KEY": "planted", "ANTHROPIC_BASE_URL": provider.url}
        providers = Providers(pipeline, read_settings({"ESCALON_DATA": str(directory), **environment}))
        try:
            put_on_the_clock(providers, pipeline, clock, limit)
            shared = {
                tier: replace(call_services(pipeline, clock, FakeAnswers()), budget=budget) for tier in get_args(Tier)
            }
            yield House(pipeline, providers, shared, clock, provider)
        finally:
            await providers.close()


def for_openai(text: str, *options: str) -> str:
    """The pipeline file with its models behind the fake Chat Completions API, each with these lines in its table."""
    return text.replace('provider = "claude"', "\n".join(('provider = "openai"', 'base_url = "$URL"', *options)))


def with_options(text: str, **options: str) -> str:
    """The pipeline file with an option added to the tables of some handlers, by `tier_name`."""
    for place, line in options.items():
        table = f"[{place.replace('_', '.', 1)}]\n"
        assert table in text
        text = text.replace(table, f"{table}{line}\n")
    return text
