"""The order of a replay: through the tiers, acknowledged by ClickHouse, done."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest

from streams.adapters.codec import Codec
from streams.adapters.dead_letters import DeadLetters
from streams.adapters.kafka_record import KafkaRecord
from streams.calling.task import Task
from streams.core.errors import ServiceError, UnreadableError
from streams.core.messages import DeadLetter, Event, Outcome, Run, Verdict
from streams.replay.counted import CostLimitError, ReplaySpending, WouldAskError
from streams.replay.drive import BrokenOffError, Drive, Row
from streams.replay.rows import ReplayRows
from streams.replay.run import Replay, rehearse
from streams.replay.source import Chosen, Source
from streams.replay.store import ReplayStore
from tests.builders import START, event, outcome, verdict
from tests.harness.stages import build, handlers

ALL = Chosen({})


@dataclass
class Events:
    """A source of events, in this order: an id each, or an id and what the event says, as `a=open`."""

    ids: Sequence[str]
    dead_letters: DeadLetters = field(
        default_factory=lambda: DeadLetters(
            run="r", cluster_id="c", keep_whole=lambda _: "", event_id=lambda record: str(record.offset)
        )
    )

    def events(self, _: Chosen) -> Iterator[tuple[KafkaRecord, Event]]:
        """Each at an offset of its own."""
        for offset, said in enumerate(self.ids):
            event_id, content = (*said.split("="), "")[:2]
            of = event(event_id)
            of = replace(of, origin=replace(of.origin, content_digest=content))
            yield KafkaRecord("events", 0, offset, None, b"x", START), of


@dataclass
class Written:
    """A stand-in for ClickHouse: keeps the rows that it gets, or is unavailable."""

    messages: list[Any] = field(default_factory=list)
    away: bool = False

    def write(self, messages: Sequence[Any]) -> None:
        """Keep them."""
        if self.away:
            raise ServiceError("ClickHouse took no rows.")
        self.messages += messages

    def ended(self) -> list[str]:
        """The events that have outcomes, in order."""
        return [one.origin.event_id for one in self.messages if isinstance(one, Outcome)]


async def ends(of: Event) -> list[Row]:
    """A pipeline that answers everything at once."""
    await asyncio.sleep(0)
    return [outcome(of)]


def a_run() -> Run:
    return Run(
        run="r", base="live", pipeline="p", pipeline_name="p", topic="events", selection="all events", state="running",
        events=0, paid_calls=0, reused_calls=0, cost_usd=Decimal(0), started_at=START, updated_at=START,
    )  # fmt: skip


@dataclass
class Here:
    """A directory to replay in."""

    directory: Path
    rows: Written = field(default_factory=Written)
    told: list[Run] = field(default_factory=list)
    spending: ReplaySpending = field(default_factory=ReplaySpending)

    def go(self, ids: Sequence[str], drive: Drive = ends, limit: Decimal | None = None) -> Run:
        """Replay these events."""
        return asyncio.run(self.under_way(ids, drive, limit))

    async def under_way(self, ids: Sequence[str], drive: Drive, limit: Decimal | None = None) -> Run:
        """Replay these events, going on where an earlier replay here was stopped."""
        with ReplayStore(self.directory / "r", Codec()) as store:
            self.spending = ReplaySpending.so_far(store.spent, limit, store.spend)
            before = store.state or {"events": 0, "reused_calls": 0}
            run = replace(a_run(), events=before["events"], reused_calls=before["reused_calls"])
            replay = Replay(
                run=run, source=cast(Source, Events(ids)), drive=drive, store=store, rows=cast(ReplayRows, self.rows),
                spending=self.spending, in_flight=4, report=self.told.append, now=lambda: START, asked_for={},
            )  # fmt: skip
            return await replay.go(ALL)

    async def dear(self, of: Event) -> list[Row]:
        """A pipeline that pays a dollar for each event, as the stages do."""
        try:
            assert self.spending.may_spend(START)
        except CostLimitError as error:
            raise BrokenOffError([]) from error
        await asyncio.sleep(0.01)
        self.spending.spend(Decimal(1), START)
        return [outcome(of)]


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path)


def test_every_event_ends_once_and_the_run_says_so(here: Here) -> None:
    ids = [f"e{number}" for number in range(1300)]
    done = here.go(ids)
    assert sorted(here.rows.ended()) == sorted(ids)
    assert (done.state, done.events) == ("done", 1300)
    assert [run.state for run in here.told[:-1]] == ["running"] * (len(here.told) - 1)
    assert [one.state for one in here.rows.messages if isinstance(one, Run)][-1] == "done"


def test_an_event_delivered_twice_is_replayed_once(here: Here) -> None:
    assert here.go(["a", "b", "a", "a"]).events == 2
    assert sorted(here.rows.ended()) == ["a", "b"]


def test_what_is_done_is_not_done_again(here: Here) -> None:
    here.go(["a", "b"])
    here.go(["a", "b", "c"])
    assert sorted(here.rows.ended()) == ["a", "b", "c"]


def test_at_the_cost_limit_what_has_ended_is_written_and_the_rest_is_left(here: Here) -> None:
    ids = [f"e{number}" for number in range(20)]
    with pytest.raises(CostLimitError, match="higher --max-cost"):
        here.go(ids, here.dear, Decimal(3))
    assert 3 <= len(here.rows.ended()) <= 3 + 4, "the calls in flight at most go beyond"
    assert here.told[-1].state == "stopped"
    assert here.told[-1].events == len(here.rows.ended()) == here.told[-1].cost_usd
    here.go(ids)
    assert sorted(here.rows.ended()) == sorted(ids)


def test_what_was_paid_before_it_was_interrupted_counts_towards_the_limit(here: Here) -> None:
    ids = [f"e{number}" for number in range(20)]

    async def interrupted() -> None:
        under_way = asyncio.create_task(here.under_way(ids, here.dear, Decimal(10)))
        while here.spending.usd < 5:  # noqa: ASYNC110 - what is waited for knows nothing of events
            await asyncio.sleep(0.001)
        under_way.cancel()
        await asyncio.gather(under_way, return_exceptions=True)

    asyncio.run(interrupted())
    paid = here.spending.usd
    assert here.told[-1].state == "stopped"
    assert len(here.rows.ended()) == here.told[-1].events > 0, "what had ended is written"
    with pytest.raises(CostLimitError):
        here.go(ids, here.dear, Decimal(10))
    assert paid < 10 <= here.spending.usd <= 10 + 4
    assert len(set(here.rows.ended())) == len(here.rows.ended())


def test_progress_is_reported_and_written_while_events_are_few_and_slow(here: Here) -> None:
    async def slow(of: Event) -> list[Row]:
        await asyncio.sleep(0.0 if of.origin.event_id == "a" else 2.5)
        return [outcome(of)]

    here.go(["a", "b"], slow)
    assert [run.events for run in here.told if run.state == "running"][-1] == 1
    assert here.told[-1].events == 2


def test_while_clickhouse_is_unavailable_nothing_counts_as_done(here: Here) -> None:
    here.rows.away = True
    with pytest.raises(ServiceError):
        here.go(["a", "b"])
    here.rows.away = False
    here.go(["a", "b"])
    assert sorted(here.rows.ended()) == ["a", "b"]


def test_a_service_that_is_unavailable_stops_the_replay_and_leaves_its_event_undone(here: Here) -> None:
    async def broken(of: Event) -> list[Row]:
        if of.origin.event_id == "b":
            raise BrokenOffError([]) from ServiceError("The blob store cannot be read.")
        return [outcome(of)]

    with pytest.raises(ServiceError, match="blob store"):
        here.go(["a", "b"], broken)
    assert here.rows.ended() == ["a"]


def test_an_event_that_cannot_be_done_ends_in_the_dead_letters_of_the_run_with_what_was_called(here: Here) -> None:
    causes = {"a": UnreadableError("missing_image", "The blob store has nothing under it."), "b": ZeroDivisionError()}

    async def unreadable(of: Event) -> list[Row]:
        if (cause := causes.get(of.origin.event_id)) is not None:
            raise BrokenOffError([verdict(of)]) from cause
        return [outcome(of)]

    done = here.go(["a", "b", "c"], unreadable)
    letters = [one for one in here.rows.messages if isinstance(one, DeadLetter)]
    assert sorted((one.run, one.reason) for one in letters) == [("r", "defect"), ("r", "missing_image")]
    assert sum(isinstance(one, Verdict) for one in here.rows.messages) == 2
    assert (done.events, here.rows.ended()) == (3, ["c"])


def test_another_event_under_a_known_id_ends_in_the_dead_letters_of_the_run_once(here: Here) -> None:
    def go() -> Run:
        return here.go(["a=open", "b=open", "a=closed", "a=open"])

    assert (go().events, sorted(here.rows.ended())) == (3, ["a", "b"])
    again = go()
    (letter,) = [one for one in here.rows.messages if isinstance(one, DeadLetter)]
    assert (letter.run, letter.reason, letter.event_id) == ("r", "id_conflict", "2")
    assert (again.events, sorted(here.rows.ended())) == (3, ["a", "b"])


async def test_a_rehearsal_counts_the_calls_that_would_come_first_and_goes_on(tmp_path: Path) -> None:
    handler = handlers(build(tmp_path))["answer"]

    async def some(of: Event) -> list[Row]:
        if of.origin.event_id in "abc":
            raise BrokenOffError([]) from WouldAskError(
                handler, Task(text="one" if of.origin.event_id in "ab" else "two")
            )
        if of.origin.event_id == "d":
            raise BrokenOffError([]) from ZeroDivisionError()
        return [outcome(of)]

    found = await rehearse(cast(Source, Events("abcde")), ALL, some)
    # Two events with one task would share its answer.
    assert (found.events, found.unchanged, dict(found.asked)) == (5, 2, {"worker.answer": 2})


async def test_a_rehearsal_stops_where_a_service_is_unavailable() -> None:
    async def away(_: Event) -> list[Row]:
        raise BrokenOffError([]) from ServiceError("The blob store cannot be read.")

    with pytest.raises(ServiceError, match="blob store"):
        await rehearse(cast(Source, Events("a")), ALL, away)


def test_spending_that_cannot_be_kept_ends_the_replay_and_is_not_a_failed_call() -> None:
    def full(_: object) -> None:
        raise Exception("No space left on device")  # as the store raises it

    with pytest.raises(ServiceError, match="No space left"):
        ReplaySpending(keep=full).spend(Decimal(1), START)


def test_a_source_that_ends_too_early_leaves_the_run_undone(here: Here) -> None:
    class Broken(Events):
        def events(self, chosen: Chosen) -> Iterator[tuple[KafkaRecord, Event]]:
            yield from super().events(chosen)
            raise ServiceError("Kafka no longer gives 1 of the chosen events.")

    with ReplayStore(here.directory / "r", Codec()) as store:
        replay = Replay(
            run=a_run(), source=cast(Source, Broken(["a"])), drive=ends, store=store, rows=cast(ReplayRows, here.rows),
            spending=ReplaySpending(), in_flight=4, report=here.told.append, now=lambda: START, asked_for={},
        )  # fmt: skip
        with pytest.raises(ServiceError, match="no longer gives"):
            asyncio.run(replay.go(ALL))
    assert here.told[-1].state == "stopped"
