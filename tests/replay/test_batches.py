"""A replay in batches, against a fake of Anthropic's API over HTTP, with kills at the worst moments."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import pytest

from streams.adapters.codec import Codec
from streams.adapters.kafka_record import KafkaRecord
from streams.app.batches import BatchAPIs
from streams.app.providers import Providers
from streams.app.settings import read_settings
from streams.core.errors import ConfigError, ServiceError
from streams.core.messages import Call, Event, Outcome, Run, StoredAnswer
from streams.models.providers.batches import BatchAPI, BatchItem, BatchRequest, BatchStatus
from streams.replay.batch_prices import MeanCost, batch_shares, check_batches, expected_costs
from streams.replay.batches import ReplayBatches
from streams.replay.changelogs import Changelogs
from streams.replay.counted import CostLimitError, ReplaySpending
from streams.replay.rows import ReplayRows
from streams.replay.run import Replay
from streams.replay.source import Chosen, Source
from streams.replay.stages import Stages
from streams.replay.store import ReplayStore
from tests.builders import START, event
from tests.harness.fakes.books import total
from tests.harness.fakes.messages_batches import BatchesServer
from tests.harness.fakes.messages_outcomes import Answer, Failure
from tests.harness.fakes.messages_thread import MessagesThread
from tests.harness.stages import build

FILE = """
name = "desk"

[models.m]
provider = "claude"
model = "claude-haiku-4-5"
base_url = "{url}"

[listeners.rules]
kind = "rules"
rules = { order = ["order"] }

[routes]
order = "workers.answer"
unsure = "ignore"

[workers.answer]
task = "answer"
model = "m"

[reasoners.resolve]
task = "resolve"
model = "m"
"""
IDS = [f"e{number}" for number in range(12)]
HARD = {"e3", "e7"}
"""Events that the worker refuses, so that the reasoner is asked in a second wave."""
CALLS = len(IDS) + len(HARD)
LIMIT = Decimal("0.025")
KILLED = "the process was killed"


def answer(body: Mapping[str, Any]) -> Answer:
    """A refusal of the hard ones by the worker, whose prompt has no attempt in it."""
    prompt = body["messages"][0]["content"]
    (asked,) = set(re.findall(r"order of (e\d+)", prompt))
    if asked in HARD and "It came to you because" not in prompt:
        said: Any = {"refusal": {"class": "missing_information", "reason": "which one?"}}
    else:
        said = {"answer": {"reply": asked}}
    return Answer(json.dumps(said), input_tokens=1000, output_tokens=800)


@dataclass
class Rows:
    """A stand-in for ClickHouse: keeps the rows that it gets."""

    messages: list[Any] = field(default_factory=list)

    def write(self, messages: Sequence[Any]) -> None:
        """Keep them."""
        self.messages += messages

    def calls(self) -> list[Call]:
        """The calls of models, once each, as the audit's table has them."""
        found = {one.call_id: one for one in self.messages if isinstance(one, Call) and one.operation == "chat"}
        return [*found.values()]


@dataclass
class Killing:
    """A batch API whose process ends after some steps: the replay's directory is then as it was at that moment."""

    api: BatchAPI
    at: str
    kill: Callable[[], None]

    def create(self, intent_id: str, requests: Sequence[BatchRequest]) -> BatchStatus:
        """Create, or end before or after it."""
        if self.at == "before creating":
            self.kill()
        status = self.api.create(intent_id, requests)
        if self.at == "created, not recorded":
            self.kill()
        return status

    def status(self, batch_id: str) -> BatchStatus:
        """Return a batch; or end once it is recorded."""
        if self.at == "recorded, not fetched":
            self.kill()
        return self.api.status(batch_id)

    def results(self, batch_id: str) -> Iterator[BatchItem]:
        """Yield the results; or end after some."""
        for number, item in enumerate(self.api.results(batch_id)):
            if self.at == "half fetched" and number == len(IDS) // 2:
                self.kill()
            yield item

    def __getattr__(self, name: str) -> Any:
        return getattr(self.api, name)


class KilledStore(ReplayStore):
    """A store whose process ends before it has stored some number of answers."""

    kill: Callable[[], None] | None = None
    left = 0

    def put(self, fingerprint: str, answer: StoredAnswer) -> None:
        """Store, or end."""
        if answer.calls[-1].operation == "chat":
            self.left -= 1
            if self.kill is not None and self.left < 0:
                self.kill()
        super().put(fingerprint, answer)


@dataclass
class Here:
    """A replay in a directory, and the provider."""

    directory: Path
    server: BatchesServer
    text: str = FILE
    rows: Rows = field(default_factory=Rows)
    ahead: timedelta = timedelta(0)
    at: str = ""
    """The moment of the kill."""
    waited: list[int] = field(default_factory=list)
    attempts: int = 0

    def __post_init__(self) -> None:
        self.pipeline = build(self.directory, self.text.replace("{url}", self.server.url))
        self.settings = read_settings({"ESCALON_DATA": str(self.directory), "ANTHROPIC_API_KEY": "sk-key"})

    def now(self) -> datetime:
        """The time."""
        return datetime.now(UTC) + self.ahead

    def go(self, limit: Decimal | None = None, at: str = "") -> Run:
        """Replay the events; at the moment of the kill all that follows is lost."""
        self.at, self.attempts = at, self.attempts + 1
        return asyncio.run(self._run(limit))

    def _kill(self) -> None:
        """Keep the directory as it is now, for the process after this one."""
        place, snapshot = self.directory / "run", self.directory / "snapshot"
        if not snapshot.exists():
            shutil.copytree(place, snapshot)
        raise ServiceError(KILLED)

    async def _run(self, limit: Decimal | None) -> Run:
        providers, apis = Providers(self.pipeline, self.settings), BatchAPIs(self.pipeline, self.settings)
        with KilledStore(self.directory / "run", Codec()) as store:
            if self.at == "half handed out":
                store.kill, store.left = self._kill, len(IDS) // 2
            spending = ReplaySpending.so_far(store.spent, limit, store.spend)
            batches = ReplayBatches(
                apis=lambda key: cast(BatchAPI, Killing(apis(key), self.at, self._kill)), store=store,
                spending=spending, now=self.now, quiet=timedelta(seconds=0.3), poll=timedelta(seconds=0.2),
            )  # fmt: skip
            stages = Stages(
                settings=self.settings, pipeline=self.pipeline, providers=providers, store=store, spending=spending,
                changelogs=cast(Changelogs, None), before=lambda handler, _: spending.count(handler), batches=batches,
            )  # fmt: skip
            before = store.state or {"events": 0, "reused_calls": 0}
            run = dataclasses.replace(a_run(), events=before["events"], reused_calls=before["reused_calls"])
            made = Replay(
                run=run, source=cast(Source, self), drive=stages.tiers(), store=store,
                rows=cast(ReplayRows, Rows() if self.at else self.rows), spending=spending, in_flight=1000,
                report=lambda _: self.waited.append(batches.waiting), now=self.now, asked_for={},
                on_failure=batches.break_off,
            )  # fmt: skip
            try:
                return await batches.during(made.go(Chosen({})))
            finally:
                await providers.close()
                apis.close()

    def killed(self, at: str) -> None:
        """Replay until a kill; the directory is then as the kill left it."""
        with pytest.raises(ServiceError, match=KILLED):
            self.go(at=at)
        shutil.rmtree(self.directory / "run")
        (self.directory / "snapshot").rename(self.directory / "run")

    def events(self, _: Chosen) -> Iterator[tuple[KafkaRecord, Event]]:
        """The source's."""
        for offset, one in enumerate(IDS):
            yield KafkaRecord("events", 0, offset, None, b"x", START), event(one, f"my order of {one}")

    def check(self) -> None:
        """Each event ended once, each call was paid for once, at half its price, and the audit says so."""
        outcomes = Counter(one.origin.event_id for one in self.rows.messages if isinstance(one, Outcome))
        assert outcomes == Counter(IDS)
        assert len(self.server.batch_books) == CALLS
        assert self.server.books == []
        calls = self.rows.calls()
        assert len(calls) == CALLS
        assert all(one.batch_id in self.server.batches for one in calls)
        paid = sum(Fraction(one.cost_usd or 0) for one in calls)
        assert paid == total(self.server.batch_books, self.pipeline.prices) / 2


def a_run() -> Run:
    return Run(
        run="r", base="live", pipeline="p", pipeline_name="p", topic="events", selection="all events", state="running",
        events=0, paid_calls=0, reused_calls=0, cost_usd=Decimal(0), started_at=START, updated_at=START,
    )  # fmt: skip


@pytest.fixture
def server() -> Iterator[BatchesServer]:
    with MessagesThread(answer, BatchesServer) as thread:
        assert isinstance(thread.server, BatchesServer)
        yield thread.server


@pytest.fixture
def here(server: BatchesServer, tmp_path: Path) -> Here:
    return Here(tmp_path, server)


def test_workers_go_in_one_batch_and_their_reasoners_in_the_next_at_half_the_price(here: Here) -> None:
    here.server.seconds = 1.2
    done = here.go()
    here.check()
    assert [len(one.requests) for one in here.server.batches.values()] == [len(IDS), len(HARD)]
    assert (done.state, done.events, done.paid_calls) == ("done", len(IDS), CALLS)
    assert Fraction(done.cost_usd) == total(here.server.batch_books, here.pipeline.prices) / 2
    assert max(here.waited) == len(IDS)


@pytest.mark.parametrize("at", ["created, not recorded", "recorded, not fetched", "half fetched", "half handed out"])
def test_a_kill_pays_for_no_call_twice(here: Here, at: str) -> None:
    here.killed(at)
    made = len(here.server.batches)
    here.go()
    here.check()
    assert sum(len(one.requests) for one in [*here.server.batches.values()][made:]) == len(HARD)


def test_after_a_kill_before_the_creation_there_is_a_search_and_then_a_batch(here: Here) -> None:
    here.killed("before creating")
    assert here.server.batches == {}
    here.ahead = timedelta(minutes=10)
    here.go()
    here.check()


def test_calls_that_a_batch_did_not_process_go_into_another(here: Here) -> None:
    here.server.seconds = 3600
    first: list[str] = []

    def cancel(run: int) -> None:
        for batch in [*here.server.batches.values()] if run and not first else ():
            first.append(batch.name)
            batch.cancelled, here.server.seconds = True, 0.0

    here.waited = cast(list[int], _Calling(cancel))
    here.go()
    here.check()
    assert len(here.server.batches) == 3


class _Calling:
    """In the place of the list of progress reports."""

    def __init__(self, each: Callable[[int], None]) -> None:
        self.append = each


def test_a_batch_that_is_refused_leaves_its_calls_to_the_ordinary_api(here: Here) -> None:
    here.server.refusals = [Failure(400, "not a batch")]
    done = here.go()
    assert (len(here.server.books), len(here.server.batch_books)) == (len(IDS), len(HARD))
    assert done.paid_calls == CALLS
    assert Counter(one.batch_id is None for one in here.rows.calls()) == {True: len(IDS), False: len(HARD)}


def test_a_batch_that_may_be_created_later_is_tried_again_after_a_minute(here: Here) -> None:
    here.server.refusals = [Failure(429, "too many batches")]

    def a_minute_later(waiting: int) -> None:
        if waiting and not here.server.refusals:
            here.ahead = timedelta(minutes=2)

    here.waited = cast(list[int], _Calling(a_minute_later))
    here.go()
    here.check()


def test_a_limit_is_never_exceeded_and_the_same_command_goes_on(here: Here) -> None:
    prices = here.pipeline.prices
    with pytest.raises(CostLimitError, match="no room for a further call in a batch"):
        here.go(LIMIT)
    made = len(here.server.batch_books)
    assert 0 < made < CALLS
    assert total(here.server.batch_books, prices) / 2 <= Fraction(LIMIT)
    assert len(here.server.batches) > 1, "what a batch leaves of the money goes into the next one"
    done = here.go(Decimal(10))
    here.check()
    assert Fraction(done.cost_usd) == total(here.server.batch_books, prices) / 2


def test_a_replay_goes_on_as_it_began_and_batches_need_a_model_that_has_them(here: Here) -> None:
    here.killed("recorded, not fetched")
    with ReplayStore(here.directory / "run", Codec()) as store:
        check_batches(here.pipeline, here.settings, store, wanted=True)
        with pytest.raises(ConfigError, match="has made batches"):
            check_batches(here.pipeline, here.settings, store, wanted=False)
        recorded = FILE.replace('provider = "claude"', 'provider = "recorded"\ncassette = "none.jsonl"')
        (here.directory / "none.jsonl").write_text("", "utf-8")
        plain = build(here.directory, recorded.replace('base_url = "{url}"\n', ""))
        with pytest.raises(ConfigError, match="no handler's model has a batch API"):
            check_batches(plain, here.settings, store, wanted=True)


def test_a_rehearsal_prices_calls_in_batches_at_their_share(here: Here) -> None:
    shares = batch_shares(here.pipeline, here.settings)
    half = Decimal("0.5")
    assert shares == {"worker.answer": half, "reasoner.resolve": half}
    means = [
        MeanCost("worker.answer", Decimal(4), Decimal(1)),
        MeanCost("reasoner.resolve", Decimal(6), None),
        MeanCost("worker.other", Decimal(8), None),
    ]
    assert expected_costs(means, shares, batch=True) == {
        "worker.answer": 1, "reasoner.resolve": 3, "worker.other": 8,
    }  # fmt: skip
    means = [MeanCost("worker.answer", None, Decimal(1)), MeanCost("worker.other", None, None)]
    assert expected_costs(means, shares, batch=False) == {"worker.answer": 2}
