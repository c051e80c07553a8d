"""The sink on Apache Kafka where offsets have no record: aborted ones, marks of transactions, deleted ranges."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition

from streams.adapters.dead_letters import DeadLetters, EventIds
from streams.adapters.event_reader import EventReader
from streams.adapters.kafka import KafkaConfig
from streams.adapters.kafka_admin import create_topics
from streams.sink.limits import SinkLimits
from streams.sink.sink import Sink
from streams.telemetry import lag
from streams.telemetry.metrics import REGISTRY
from tests.builders import event, outcome
from tests.harness.fakes.topic_history import forget, remake
from tests.harness.fakes.transactions import abort, left_open, send
from tests.harness.sink import AWAY, CODEC, FakeClickHouse, Message, names, outcomes, sink

pytestmark = pytest.mark.embedded
WAIT_SECONDS = 60.0


@pytest.fixture(autouse=True)
def unwatched() -> Iterator[None]:
    """Forget the lag of the sink after a test."""
    yield
    lag.LAG.watch(tuple)


@dataclass
class Deployment:
    """Topics of one partition, and a sink whose ClickHouse is unavailable."""

    kafka: KafkaConfig
    prefix: str = field(default_factory=lambda: f"{uuid4().hex[:8]}.")
    clickhouse: FakeClickHouse = field(default_factory=FakeClickHouse)

    def __post_init__(self) -> None:
        create_topics(self.kafka, self.prefix, 1, 1)

    @property
    def topic(self) -> str:
        return f"{self.prefix}outcomes"

    @contextmanager
    def recording(self) -> Iterator[None]:
        """The running sink."""
        ids = EventIds(EventReader(CODEC, "cluster", "live", 100_000), CODEC, self.prefix)
        letters = DeadLetters(run="live", cluster_id="cluster", keep_whole=lambda _: "sha", event_id=ids)
        stop, clickhouse = threading.Event(), self.clickhouse
        copying = Sink(
            kafka=self.kafka,
            clickhouse=clickhouse,  # type: ignore[arg-type]
            codec=CODEC,
            prefix=self.prefix,
            dead_letters=letters,
            stop=stop,
            limits=SinkLimits(statistics_ms=100),
        )
        with ThreadPoolExecutor(1) as threads:
            running = threads.submit(copying.run)
            try:
                yield
            finally:
                stop.set()
                running.result(WAIT_SECONDS)

    def committed(self) -> int:
        """Return the committed offset of the sink."""
        consumer = Consumer(self.kafka.consumer(f"escalon-{self.prefix}record"))
        try:
            (place,) = consumer.committed([TopicPartition(self.topic, 0)], WAIT_SECONDS)
        finally:
            consumer.close()
        return int(place.offset)

    def figure(self, name: str) -> float | None:
        """Return a metric of the topic."""
        found = (one for family in REGISTRY.collect() for one in family.samples if one.name == name)
        return next((one.value for one in found if one.labels["topic"] == self.topic), None)


def until(is_so: Callable[[], Any]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def rows(first: int, last: int) -> list[bytes]:
    return [CODEC.encode(outcome(event(f"e{number}"))) for number in range(first, last)]


def test_aborted_records_are_passed_over_and_an_open_transaction_is_held_back(kafka: KafkaConfig) -> None:
    here = Deployment(kafka)
    send(kafka, here.topic, rows(0, 2))
    with left_open(kafka, here.topic, rows(7, 9)), here.recording():
        until(lambda: here.figure("escalon_consumer_held_back") == 2)
        until(lambda: here.figure("escalon_consumer_lag") == 0)
        assert (here.clickhouse.events, here.committed()) == (names(0, 2), 2)
    with here.recording():
        end = abort(kafka, here.topic, rows(8, 12))
        until(lambda: here.committed() == end)
        until(lambda: here.figure("escalon_consumer_lag") == 0)
    assert here.clickhouse.events == names(0, 2)


def test_records_deleted_before_they_were_read_are_counted_and_logged(
    kafka: KafkaConfig, caplog: pytest.LogCaptureFixture
) -> None:
    here = Deployment(kafka)
    send(kafka, here.topic, rows(0, 3))
    with here.recording():
        until(lambda: here.committed() == 3)
    send(kafka, here.topic, rows(3, 7))
    forget(kafka, here.topic, 5)
    with here.recording():
        until(lambda: here.committed() == 7)
    assert here.clickhouse.events == [*names(0, 3), *names(5, 7)]
    assert here.figure("escalon_skipped_total") == 2
    assert "the offsets 3 to 4 were deleted before they were read" in caplog.text


def test_a_topic_that_is_created_again_is_read_from_its_beginning(kafka: KafkaConfig) -> None:
    here = Deployment(kafka)
    send(kafka, here.topic, rows(0, 3))
    with here.recording():
        until(lambda: here.committed() == 3)
        remake(kafka, here.topic)
        send(kafka, here.topic, rows(3, 5))
        until(lambda: here.clickhouse.events == names(0, 5))
        until(lambda: here.committed() == 2)
    assert here.figure("escalon_skipped_total") is None


@dataclass(frozen=True)
class End(Message):
    """The end of a partition, as the client says it."""

    def error(self) -> Any:
        return KafkaError(KafkaError._PARTITION_EOF)


def test_an_end_behind_a_batch_that_was_not_stored_is_not_committed() -> None:
    tries: list[int] = []

    def refuses(_: str, rows: list[Any]) -> Exception | None:
        tries.append(len(rows))
        return AWAY

    one = sink([outcomes(0, 2), [End("outcomes", b"", 9)]], FakeClickHouse(refuses))
    one.run_until(lambda: len(tries) > 2 and not one.consumer.script)
    assert one.consumer.committed_ == []
