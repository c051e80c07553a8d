"""A sink between fakes of Kafka, ClickHouse and a producer."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from clickhouse_connect.driver.exceptions import OperationalError
from confluent_kafka import TopicPartition

from streams.adapters.codec import Codec
from streams.adapters.dead_letters import DeadLetters, EventIds
from streams.adapters.event_reader import EventReader
from streams.adapters.kafka import KafkaConfig
from streams.core.messages import DeadLetter
from streams.core.topics import topic_of
from streams.sink.limits import SinkLimits
from streams.sink.sink import Sink
from tests.builders import event, outcome

CODEC = Codec()

WAIT_SECONDS = 60.0
HASTY = SinkLimits(
    batch_seconds=0.02,
    poll_seconds=0.01,
    patience_seconds=0.05,
    handover_seconds=0.05,
    stop_seconds=2.0,
    first_retry=0.02,
    longest_retry=0.02,
)
"""Limits of a sink that never waits for long."""


@dataclass(frozen=True)
class Message:
    """A message as confluent-kafka gives it."""

    of: str
    bytes_: bytes
    at: int
    where: int = 0
    milliseconds: int = 1_793_491_200_000

    def topic(self) -> str:
        return self.of

    def partition(self) -> int:
        return self.where

    def offset(self) -> int:
        return self.at

    def key(self) -> None:
        return None

    def value(self) -> bytes:
        return self.bytes_

    def timestamp(self) -> tuple[int, int]:
        return 1, self.milliseconds

    def headers(self) -> None:
        return None

    def error(self) -> None:
        return None


Script = list[Message] | Callable[["FakeConsumer"], list[Message]]


class FakeConsumer:
    """Gives what its script says, one poll after the other; paused, it gives nothing."""

    def __init__(self, script: list[Script]) -> None:
        self.script = deque(script)
        self.committed_: list[dict[tuple[str, int], int]] = []
        self.assigned: list[Any] = []
        self.paused = False
        self.polls_while_paused = 0
        self.closed = False
        self.lows: dict[tuple[str, int], int] = {}

    def subscribe(self, topics: list[str], **callbacks: Any) -> None:
        self.topics, self.callbacks = topics, callbacks

    def consume(self, count: int, seconds: float) -> list[Message]:
        if self.paused:
            self.polls_while_paused += 1
        if self.paused or not self.script:
            threading.Event().wait(seconds)
            return []
        step = self.script.popleft()
        found = step if isinstance(step, list) else step(self)
        if found[count:]:
            self.script.appendleft(found[count:])
        return found[:count]

    def commit(self, offsets: list[TopicPartition], asynchronous: bool) -> None:
        assert not asynchronous
        self.committed_.append({(one.topic, one.partition): one.offset for one in offsets})

    def committed(self, places: list[Any], timeout: float) -> list[Any]:
        assert timeout > 0
        return [place if isinstance(place, TopicPartition) else f"committed {place}" for place in places]

    def get_watermark_offsets(self, place: Any, timeout: float, cached: bool) -> tuple[int, int]:
        assert timeout > 0
        assert not cached
        return self.lows.get((place.topic, place.partition), 0), 1_000_000

    def assignment(self) -> list[Any]:
        return self.assigned

    def assign(self, places: list[Any]) -> None:
        self.assigned = places

    def unassign(self) -> None:
        self.assigned = []

    def pause(self, _: Any) -> None:
        self.paused = True

    def resume(self, _: Any) -> None:
        self.paused = False

    def close(self) -> None:
        self.closed = True


@dataclass
class FakeClickHouse:
    """Takes rows, unless `refuses` says otherwise. Forwarded calls count as one row each, by their number."""

    refuses: Callable[[str, list[Any]], Exception | None] = lambda *_: None
    stored: list[tuple[str, list[Any]]] = field(default_factory=list)

    def connect(self) -> FakeClickHouse:
        return self

    def insert(self, table: str, rows: list[list[Any]], column_names: list[str]) -> None:
        self._take(table, [dict(zip(column_names, row, strict=True)) for row in rows])

    def raw_insert(self, table: str, columns: list[str], block: bytes, fmt: str) -> None:
        assert fmt == "Avro"
        assert "call_id" in columns
        self._take(table, ["undecoded"] * (block.count(b"escalon rows end") - 1))

    def _take(self, table: str, rows: list[Any]) -> None:
        error = self.refuses(table, rows)
        if error is not None:
            raise error
        self.stored.append((table, rows))

    @property
    def events(self) -> list[str]:
        """The events of the decoded rows, in the order they came."""
        return [row["event_id"] for _, rows in self.stored for row in rows if isinstance(row, dict)]


class FakeProducer:
    """Confirms every message unless `confirms` is false."""

    def __init__(self, confirms: bool = True) -> None:
        self.confirms = confirms
        self.letters: list[DeadLetter] = []
        self._new: list[tuple[bytes, Any]] = []

    def produce(self, topic: str, value: bytes, key: str, on_delivery: Any, **_: Any) -> None:
        assert topic == "dead-letters"
        assert key
        self._new.append((value, on_delivery))

    def flush(self, _: float) -> int:
        for value, told in self._new:
            told(None if self.confirms else SimpleNamespace(str=lambda: "no broker"), None)
            if self.confirms:
                self.letters.append(CODEC.decode(DeadLetter, value))
        self._new.clear()
        return 0


@dataclass
class RunningSink:
    """A running sink on fakes."""

    consumer: FakeConsumer
    clickhouse: FakeClickHouse
    producer: FakeProducer
    sink: Sink

    def run_until(self, enough: Callable[[], bool]) -> None:
        """Run the sink until `enough` is true, then stop it cleanly."""
        with ThreadPoolExecutor(1) as threads:
            running = threads.submit(self.sink.run)
            try:
                for _ in range(int(WAIT_SECONDS / 0.01)):
                    if enough() or running.done():
                        break
                    threading.Event().wait(0.01)
            finally:
                self.sink.stop.set()
                running.result(WAIT_SECONDS)
        assert self.consumer.closed
        assert enough()


def sink(
    script: list[Script],
    clickhouse: FakeClickHouse | None = None,
    producer: FakeProducer | None = None,
    codec: Codec = CODEC,
    limits: SinkLimits = HASTY,
    **more: Any,
) -> RunningSink:
    consumer, clickhouse, producer = FakeConsumer(script), clickhouse or FakeClickHouse(), producer or FakeProducer()
    ids = EventIds(EventReader(CODEC, "cluster", "live", 100_000), CODEC, "")
    letters = DeadLetters(run="live", cluster_id="cluster", keep_whole=lambda _: "sha", event_id=ids)
    made = Sink(
        kafka=KafkaConfig(servers="nowhere:1"),
        clickhouse=clickhouse,  # type: ignore[arg-type]
        codec=codec,
        prefix="",
        dead_letters=letters,
        stop=threading.Event(),
        jitter=lambda: 0.0,
        make_consumer=lambda _: consumer,
        make_producer=lambda _: producer,
        limits=limits,
        **more,
    )
    return RunningSink(consumer, clickhouse, producer, made)


def on_topic(message: Any, offset: int, partition: int = 0) -> Message:
    return Message(topic_of(message).name, CODEC.encode(message), offset, partition)


def outcomes(first: int, last: int) -> list[Message]:
    return [on_topic(outcome(event(f"e{number}")), number) for number in range(first, last)]


def names(first: int, last: int) -> list[str]:
    return [f"e{number}" for number in range(first, last)]


AWAY: Exception = OperationalError("connection refused")
