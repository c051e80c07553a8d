"""Fetched messages are delivered once, in every order of events around a rebalance."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.errors import KafkaTimeoutError
from faust.types import TP

from streams.adapters.kafka import KafkaConfig
from streams.runtime.app import ProcessConfig, faust_app
from streams.runtime.consumer import Consumer

HERE, THERE, CHANGES = TP("verdicts", 0), TP("verdicts", 1), TP("changelog", 0)


@dataclass
class Record:
    """A record of Kafka's, as far as anybody looks at it here."""

    tp: Any
    offset: int

    @property
    def topic(self) -> str:
        """The topic's name."""
        return str(self.tp.topic)


@dataclass
class Broker:
    """In the place of Faust's thread with the client: a log by partition, positions in it, and what is committed."""

    log: dict[Any, list[int]]
    committed: dict[Any, int] = field(default_factory=dict)
    position: dict[Any, int] = field(default_factory=dict)
    moved: dict[Any, tuple[int, int]] = field(default_factory=dict)
    away: bool = False
    during_a_fetch: asyncio.Event | None = None
    read_ids: dict[str, str] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)

    async def look_up(self, topics: Collection[str]) -> dict[str, str]:
        """The ids that topics have."""
        if self.away:
            raise KafkaTimeoutError
        return {topic: self.ids[topic] for topic in topics if topic in self.ids}

    async def getmany(self, active: set[Any] | None, timeout: float) -> dict[Any, list[Record]]:  # noqa: ARG002
        """All that lies behind the positions."""
        found = {tp: [Record(tp, at) for at in log if at >= self.position.get(tp, 0)] for tp, log in self.log.items()}
        self.position.update({tp: records[-1].offset + 1 for tp, records in found.items() if records})
        if self.during_a_fetch is not None:
            await self.during_a_fetch.wait()
        return {tp: records for tp, records in found.items() if records}

    async def seek_to_committed(self) -> Mapping[Any, int | None]:
        """Seek like aiokafka: not if nothing is committed, nor if that is 0."""
        self.position.update({tp: offset for tp, offset in self.committed.items() if offset > 0})
        return {tp: self.committed.get(tp) for tp in self.log}

    async def seek_to_beginning(self, *partitions: Any) -> None:
        """Seek to the first record."""
        self.position.update({tp: self.log[tp][0] for tp in partitions})

    def positions(self) -> dict[Any, int]:
        """Return the position of each partition."""
        return dict(self.position)

    def moves(self) -> dict[Any, tuple[int, int]]:
        """Return, once, the ranges that a partition did not hold."""
        moved, self.moved = self.moved, {}
        return moved

    def held_back(self, _: Any) -> int:
        """Return 0: no transaction is open."""
        return 0

    async def bounds(self, partitions: Collection[Any]) -> dict[Any, tuple[int, int]]:
        """Return the start and the end of the log."""
        if self.away:
            raise KafkaTimeoutError
        return {tp: (self.log[tp][0], self.log[tp][-1] + 1) for tp in partitions}

    @property
    def thread_loop(self) -> asyncio.AbstractEventLoop:
        """The loop of the thread."""
        return asyncio.get_running_loop()

    async def seek_wait(self, partitions: Mapping[Any, int]) -> None:
        """To an offset."""
        self.position.update(partitions)

    async def commit(self, offsets: Mapping[Any, int]) -> bool:
        """Keep offsets."""
        self.committed.update(offsets)
        return True

    def assignment(self) -> set[Any]:
        """All partitions."""
        return set(self.log)


def consumer_on(broker: Broker, directory: Path) -> Any:
    """The consumer of an app that never starts, in front of a broker; `verdicts` is acknowledged."""
    app = faust_app("work", KafkaConfig(servers="127.0.0.1:1"), ProcessConfig(directory=directory))
    app.topics._acking_topics.add("verdicts")
    consumer: Any = app.consumer
    assert isinstance(consumer, Consumer)
    consumer._thread.thread_loop.close()
    consumer._thread = broker

    async def nothing(*_: Any) -> None:
        pass

    consumer._deliver = consumer._on_partitions_revoked = consumer._on_partitions_assigned = nothing
    return consumer


async def fetch(consumer: Any) -> list[tuple[str, int]]:
    """Return what the next fetch passes on, by topic and offset."""
    found = await consumer._getmany({HERE}, 0.01)
    return [(record.topic, record.offset) for records in found.values() for record in records]


async def fetch_both(consumer: Any) -> list[tuple[Any, int]]:
    """Return what the next fetch passes on of two partitions, by partition and offset."""
    found = await consumer._getmany({HERE, THERE}, 0.01)
    return [(tp, record.offset) for tp, records in found.items() for record in records]


async def deliver(consumer: Any, *offsets: int, of: Any = HERE) -> None:
    """Deliver some of what was fetched."""
    for offset in offsets:
        await consumer._delivered(Record(of, offset))


async def test_what_was_fetched_and_dropped_is_fetched_again(tmp_path: Path) -> None:
    consumer = consumer_on(Broker({HERE: [0, 1, 2]}), tmp_path)
    assert await fetch(consumer) == [("verdicts", 0), ("verdicts", 1), ("verdicts", 2)]
    await deliver(consumer, 0)
    assert await fetch(consumer) == [("verdicts", 1), ("verdicts", 2)]
    await deliver(consumer, 1, 2)
    assert await fetch(consumer) == []


async def test_going_back_to_what_is_committed_delivers_nothing_twice(tmp_path: Path) -> None:
    consumer = consumer_on(Broker({HERE: [0, 1, 2, 3]}, committed={HERE: 1}, position={HERE: 1}), tmp_path)
    await fetch(consumer)
    await deliver(consumer, 1, 2, 3)
    await consumer.perform_seek()
    assert consumer._thread.position[HERE] == 1
    consumer._thread.log[HERE].append(4)
    assert await fetch(consumer) == [("verdicts", 4)]


async def test_where_partitions_begin_and_end_is_known_until_they_are_taken_away(tmp_path: Path) -> None:
    other = TP("verdicts", 1)
    broker = Broker({HERE: [3, 4], other: [0, 1], CHANGES: [0]}, committed={other: 1})
    consumer = consumer_on(broker, tmp_path)
    await consumer.perform_seek()
    await consumer.look_at_the_bounds()
    assert (consumer.began, consumer.bounds) == ({other: 1}, {HERE: (3, 5), other: (0, 2)})
    broker.away = True
    await consumer.look_at_the_bounds()
    assert consumer.bounds == {HERE: (3, 5), other: (0, 2)}
    await consumer.on_partitions_revoked({HERE, other})
    assert (consumer.began, consumer.bounds) == ({}, {})


@pytest.mark.parametrize("committed", [{}, {HERE: 0}])
async def test_where_nothing_is_committed_going_back_is_to_the_beginning(committed: Any, tmp_path: Path) -> None:
    consumer = consumer_on(Broker({HERE: [0, 1]}, committed=committed, position={HERE: 2}), tmp_path)
    await consumer.perform_seek()
    assert await fetch(consumer) == [("verdicts", 0), ("verdicts", 1)]


@pytest.mark.parametrize(("committed", "position"), [({}, 7), ({HERE: 0}, 0)])
async def test_records_that_are_gone_were_skipped_only_where_something_was_committed(
    committed: Any, position: int, tmp_path: Path
) -> None:
    broker = Broker({HERE: [7, 8]}, committed=committed)
    await consumer_on(broker, tmp_path).perform_seek()
    assert broker.position == {HERE: position}, "the broker moves it from there, and that is counted"


async def test_a_fetch_that_a_rebalance_overtakes_is_made_again_from_what_is_committed(tmp_path: Path) -> None:
    broker = Broker({HERE: [7, 8, 9]}, committed={HERE: 8}, position={HERE: 9}, during_a_fetch=asyncio.Event())
    consumer = consumer_on(broker, tmp_path)
    fetching = asyncio.create_task(fetch(consumer))
    await asyncio.sleep(0)
    await consumer.on_partitions_revoked({HERE})
    await consumer.on_partitions_assigned({HERE}, 1)
    assert broker.during_a_fetch is not None
    broker.during_a_fetch.set()
    assert await fetching == []
    assert await fetch(consumer) == [("verdicts", 8), ("verdicts", 9)]


async def test_after_such_a_fetch_the_recovery_of_tables_goes_on_where_it_was(tmp_path: Path) -> None:
    broker = Broker({CHANGES: [0, 1, 2]}, position={CHANGES: 1}, during_a_fetch=asyncio.Event())
    consumer = consumer_on(broker, tmp_path)
    fetching = asyncio.create_task(fetch(consumer))
    await asyncio.sleep(0)
    await consumer.on_partitions_assigned({CHANGES}, 1)
    recovery = consumer.app.tables.recovery
    recovery.in_recovery, recovery.active_offsets[CHANGES] = True, 1
    assert broker.during_a_fetch is not None
    broker.during_a_fetch.set()
    assert await fetching == []
    assert await fetch(consumer) == [("changelog", 1), ("changelog", 2)]
    assert broker.position == {CHANGES: 3}


async def test_offsets_that_no_reader_gets_are_passed_over_once_all_before_them_is_done(tmp_path: Path) -> None:
    broker = Broker({HERE: [0, 1]})
    consumer = consumer_on(broker, tmp_path)
    assert consumer.reached(HERE) is None
    await fetch(consumer)
    await deliver(consumer, 0, 1)
    broker.position[HERE] = 7  # behind it were aborted records
    assert await fetch(consumer) == []
    assert consumer.reached(HERE) == 0
    consumer._progress.done(HERE, 0)
    assert consumer.reached(HERE) == 1
    consumer._progress.done(HERE, 1)
    await consumer.commit()
    assert (consumer.reached(HERE), broker.committed) == (7, {HERE: 7})


async def test_a_partition_whose_first_records_were_aborted_is_passed_over_too(tmp_path: Path) -> None:
    broker = Broker({HERE: []}, committed={HERE: 3}, position={HERE: 3})
    consumer = consumer_on(broker, tmp_path)
    await consumer.perform_seek()
    broker.position[HERE] = 6
    assert await fetch(consumer) == []
    await consumer.commit()
    assert broker.committed == {HERE: 6}


async def test_where_the_log_is_another_one_reading_begins_again_when_what_was_in_flight_is_done(
    tmp_path: Path,
) -> None:
    broker = Broker({HERE: [0, 1, 2]}, committed={HERE: 1})
    consumer = consumer_on(broker, tmp_path)
    await consumer.perform_seek()
    await fetch(consumer)
    await deliver(consumer, 1, 2)
    consumer._progress.done(HERE, 1)
    await consumer.commit()
    broker.log[HERE], broker.position[HERE], broker.moved = [0, 1], 0, {HERE: (3, 0)}
    assert await fetch(consumer) == [], "an offset would name two messages"
    assert await fetch(consumer) == []
    consumer._progress.done(HERE, 2)
    await consumer.commit()
    assert broker.committed == {HERE: 2}, "nothing is committed that counts in the log that is gone"
    assert await fetch(consumer) == [("verdicts", 0), ("verdicts", 1)]
    await deliver(consumer, 0, 1)
    for offset in (0, 1):
        consumer._progress.done(HERE, offset)
    broker.committed.clear()
    await consumer.commit()
    assert broker.committed == {HERE: 2}


async def test_a_topic_that_was_made_again_and_is_as_long_as_the_old_one_is_read_from_its_beginning(
    tmp_path: Path,
) -> None:
    broker = Broker({HERE: [0, 1]}, read_ids={"verdicts": "old"}, ids={"verdicts": "old"})
    consumer = consumer_on(broker, tmp_path)
    await fetch(consumer)
    await deliver(consumer, 0, 1)
    for offset in (0, 1):
        consumer._progress.done(HERE, offset)
    await consumer.look_at_the_bounds()
    await consumer.look_at_the_topics()
    assert await fetch(consumer) == []
    broker.away, broker.ids = True, {"verdicts": "new"}
    broker.log[HERE] = [0, 1, 2, 3]
    await consumer.look_at_the_topics()
    assert await fetch(consumer) == [("verdicts", 2), ("verdicts", 3)], "the broker does not answer"
    broker.away = False
    await consumer.look_at_the_topics()
    await deliver(consumer, 2, 3)
    for offset in (2, 3):
        consumer._progress.done(HERE, offset)
    assert await fetch(consumer) == [("verdicts", 0), ("verdicts", 1), ("verdicts", 2), ("verdicts", 3)]
    assert broker.read_ids == {"verdicts": "new"}


async def test_a_topic_that_was_made_again_begins_again_with_partitions_that_hold_the_position_too(
    tmp_path: Path,
) -> None:
    broker = Broker({HERE: [0, 1, 2], THERE: [0]}, read_ids={"verdicts": "old"}, ids={"verdicts": "old"})
    consumer = consumer_on(broker, tmp_path)
    for tp, offset in await fetch_both(consumer):
        await deliver(consumer, offset, of=tp)
        consumer._progress.done(tp, offset)
    broker.ids = {"verdicts": "new"}
    broker.log, broker.position[HERE], broker.moved = {HERE: [0, 1], THERE: [0, 1, 2]}, 0, {HERE: (3, 0)}
    assert await fetch_both(consumer) == [(THERE, 1), (THERE, 2)], "nobody knows yet"
    for offset in (1, 2):
        await deliver(consumer, offset, of=THERE)
        consumer._progress.done(THERE, offset)
    assert await fetch_both(consumer) == [(HERE, 0), (HERE, 1)]
    await deliver(consumer, 0, 1)
    await consumer.commit()
    assert THERE not in broker.committed, "an offset that was reached in the other log"
    assert await fetch_both(consumer) == [(THERE, 0), (THERE, 1), (THERE, 2)]
    await deliver(consumer, 0, 1, 2, of=THERE)
    assert await fetch_both(consumer) == [], "both have begun"


async def test_partitions_that_are_taken_away_while_a_topic_is_looked_up_begin_nowhere(tmp_path: Path) -> None:
    broker = Broker({HERE: [0]}, moved={HERE: (3, 0)}, position={HERE: 0})
    consumer = consumer_on(broker, tmp_path)
    assert await fetch(consumer) == []

    async def while_partitions_go(_: Any) -> dict[str, str]:
        await consumer.on_partitions_revoked({HERE})
        return {}

    consumer._thread.look_up = while_partitions_go
    broker.position[HERE] = 5
    assert await fetch(consumer) == []
    assert broker.position == {HERE: 5}


async def test_what_was_deleted_before_it_was_read_holds_nothing_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker({HERE: [7]}, committed={HERE: 3})
    consumer = consumer_on(broker, tmp_path)
    await consumer.perform_seek()
    broker.moved = {HERE: (3, 7), CHANGES: (0, 5)}
    assert await fetch(consumer) == [("verdicts", 7)]
    assert caplog.messages == [
        "verdicts/0: the offsets 3 to 6 were deleted before they were read, because their retention is shorter than "
        "the lag of this process. Publish the missing records again."
    ]


@pytest.mark.parametrize(("generation", "left"), [(1, 1), (2, 0)])
async def test_what_was_taken_before_a_rebalance_ends_nothing_after_it(
    generation: int, left: int, tmp_path: Path
) -> None:
    consumer = consumer_on(Broker({HERE: [0]}), tmp_path)
    await fetch(consumer)
    await deliver(consumer, 0)
    consumer.app.consumer_generation_id = 2
    consumer.ack(SimpleNamespace(tp=HERE, offset=0, topic="verdicts", generation_id=generation, acked=True))
    assert consumer._progress.in_flight(HERE) == left


async def test_what_was_done_before_partitions_are_taken_away_is_committed(tmp_path: Path) -> None:
    broker = Broker({HERE: [0, 1]})
    consumer = consumer_on(broker, tmp_path)
    await fetch(consumer)
    await deliver(consumer, 0, 1)
    consumer._progress.done(HERE, 0)
    consumer._progress.done(HERE, 1)

    async def as_the_app_does(_: Any) -> None:
        await consumer.commit()

    consumer._on_partitions_revoked = as_the_app_does
    await consumer.on_partitions_revoked({HERE})
    assert broker.committed == {HERE: 2}


async def test_nothing_opens_the_gates_between_the_taking_and_the_giving_of_partitions(tmp_path: Path) -> None:
    consumer = consumer_on(Broker({HERE: [0]}, committed={HERE: 5}), tmp_path)
    gate = consumer.app.flow_control
    await consumer.on_partitions_revoked({HERE})
    consumer.stop_flow()
    gate.suspend()
    consumer.resume_flow()  # as the recovery does that an earlier rebalance has begun
    gate.resume()
    await consumer.perform_seek()
    assert (consumer.flow_active, gate.is_active(), consumer._thread.position) == (False, False, {})
    await consumer.on_partitions_assigned({HERE}, 2)
    consumer.resume_flow()
    gate.resume()
    assert (consumer.flow_active, gate.is_active()) == (True, True)


async def test_a_partition_that_was_given_waits_until_it_is_let_in(tmp_path: Path) -> None:
    consumer = consumer_on(Broker({HERE: [0]}), tmp_path)
    await consumer.on_partitions_assigned({HERE}, 1)
    assert consumer._get_active_partitions() == set()
    consumer.resume_partitions({HERE})
    assert consumer._get_active_partitions() == {HERE}


async def test_nothing_is_fetched_while_it_is_unknown_from_where(tmp_path: Path) -> None:
    consumer = consumer_on(Broker({HERE: [0, 1]}), tmp_path)

    async def away(*_: Any) -> None:
        raise TimeoutError

    await fetch(consumer)
    goes, consumer._thread.seek_wait = consumer._thread.seek_wait, away
    assert await fetch(consumer) == []
    consumer._thread.seek_wait = goes
    assert await fetch(consumer) == [("verdicts", 0), ("verdicts", 1)]


@pytest.mark.parametrize("assigned", [True, False])
async def test_the_watch_over_partitions_ends_no_process(assigned: bool, tmp_path: Path) -> None:
    app = faust_app("work", KafkaConfig(servers="127.0.0.1:1"), ProcessConfig(directory=tmp_path))
    consumer: Any = app.consumer
    consumer._thread.thread_loop.close()
    state, now = SubscriptionState(), monotonic()
    if assigned:  # and fetched from before, but a rebalance has just taken the position
        state.assign_from_user({TopicPartition(*HERE)})
        state.subscription.assignment.state_value(TopicPartition(*HERE)).timestamp = now * 1000
    consumer._thread._consumer = SimpleNamespace(_fetcher=SimpleNamespace(_subscriptions=state))
    consumer._thread.time_started = now
    consumer.verify_event_path(now, HERE)
