"""The tier `batch` on a real broker, with the provider's batch API over HTTP."""

from __future__ import annotations

import dataclasses
import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import Producer

from streams.adapters.codec import Codec
from streams.adapters.confirmed_producer import ConfirmedProducer
from streams.adapters.dead_letters import DeadLetters, EventIds
from streams.adapters.event_reader import EventReader
from streams.adapters.kafka import KafkaConfig
from streams.adapters.kafka_admin import create_changelogs, create_topics
from streams.adapters.topic_reader import TopicReader
from streams.app.batches import BatchAPIs, Questions
from streams.app.providers import Providers
from streams.app.settings import read_settings
from streams.batching.log_topic import LOG_TOPIC, TopicLog
from streams.batching.process import BatchProcess
from streams.core.messages import DeadLetter, Deferred, Verdict
from streams.models.providers.batches import reply_of
from streams.pipeline.load import Pipeline
from tests.builders import event
from tests.harness.fakes.messages_batches import BatchesServer
from tests.harness.fakes.messages_thread import MessagesThread
from tests.harness.stages import PIPELINE, build, verdict

pytestmark = pytest.mark.embedded

PARTITIONS, WAIT_SECONDS = 3, 60.0
CODEC = Codec()
FILE = PIPELINE.replace('provider = "recorded"\nmodel = "m"\ncassette = "none.jsonl"', "{model}").replace(
    "[workers.answer]", '[workers.answer]\nbatch = "1h"'
)


def answer(body: Mapping[str, Any]) -> Any:
    (asked,) = re.findall(r"question \d+", body["messages"][0]["content"])
    return {"outcome": {"answer": {"reply": asked}}}


@dataclass
class Deployment:
    """One set of topics with the tier on them; its clock is ahead of the tasks', so that batches are due at once."""

    kafka: KafkaConfig
    pipeline: Pipeline
    directory: Path
    prefix: str = field(default_factory=lambda: f"{uuid4().hex[:8]}.")

    def __post_init__(self) -> None:
        create_topics(self.kafka, self.prefix, PARTITIONS, 1)
        create_changelogs(self.kafka, {self.prefix + LOG_TOPIC: PARTITIONS}, 1)

    def defer(self, *values: Deferred | bytes) -> None:
        """Put tasks, or any bytes, into the topic, over its partitions."""
        producer = Producer(self.kafka.confluent(**{"linger.ms": 0}))
        for number, value in enumerate(values):
            data = value if isinstance(value, bytes) else CODEC.encode(value)
            producer.produce(f"{self.prefix}deferred-batch", data, partition=number % PARTITIONS)
            assert producer.flush(20) == 0

    def process(self) -> BatchProcess:
        """A process of the tier."""
        settings = read_settings({"ESCALON_DATA": str(self.directory), "ANTHROPIC_API_KEY": "sk-key"})
        ids = EventIds(EventReader(CODEC, "cluster", "live", 100_000), CODEC, self.prefix)
        letters = DeadLetters(run="live", cluster_id="cluster", keep_whole=lambda _: "sha", event_id=ids)
        return BatchProcess(
            kafka=self.kafka,
            codec=CODEC,
            prefix=self.prefix,
            dead_letters=letters,
            question=Questions(self.pipeline, Providers(self.pipeline, settings)),
            apis=BatchAPIs(self.pipeline, settings),
            now=lambda: datetime.now(UTC) + timedelta(minutes=20),
            stop=threading.Event(),
            statistics_ms=100,
        )

    @contextmanager
    def running(self) -> Iterator[BatchProcess]:
        """A running process, which ends without finishing anything."""
        one = self.process()
        with ThreadPoolExecutor(1) as threads:
            running = threads.submit(one.run)
            try:
                yield one
            finally:
                one.stop.set()
                running.result(WAIT_SECONDS)
                assert isinstance(one.question, Questions)
                assert isinstance(one.apis, BatchAPIs)
                one.question.close()
                one.apis.close()

    def verdicts(self, number: int) -> list[Verdict]:
        """The tasks that went back, once there are so many."""
        return [CODEC.decode(Verdict, value) for value in self._values("verdicts", number)]

    def _values(self, topic: str, number: int) -> list[bytes]:
        found: list[bytes] = []
        deadline = time.monotonic() + WAIT_SECONDS
        with TopicReader(self.kafka, [self.prefix + topic]) as tail:
            while len(found) < number and time.monotonic() < deadline:
                found += [record.value or b"" for record in tail.batch()]
            found += [record.value or b"" for record in tail.batch()]
        return found

    def letters(self) -> list[DeadLetter]:
        """The dead letters, once there is one."""
        return [CODEC.decode(DeadLetter, value) for value in self._values("dead-letters", 1)]


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def task(number: int, minutes: float = 600, handler: str = "answer") -> Deferred:
    of = dataclasses.replace(
        event(f"e{number}", f"question {number}"), deadline=datetime.now(UTC) + timedelta(minutes=minutes)
    )
    return Deferred(
        cause="batch", verdict=verdict(of, handler, "question"), not_before=datetime.now(UTC), reason="time"
    )


@pytest.fixture
def server() -> Iterator[BatchesServer]:
    with MessagesThread(answer, BatchesServer) as thread:
        assert isinstance(thread.server, BatchesServer)
        yield thread.server


@pytest.fixture
def here(kafka: KafkaConfig, server: BatchesServer, tmp_path: Path) -> Deployment:
    model = f'provider = "claude"\nmodel = "claude-haiku-4-5"\nbase_url = "{server.url}"'
    return Deployment(kafka, build(tmp_path, FILE.replace("{model}", model)), tmp_path)


def test_tasks_go_through_a_batch_that_two_processes_share(here: Deployment, server: BatchesServer) -> None:
    server.seconds = 3600
    here.defer(*(task(number) for number in range(9)), b"no task")
    with here.running():
        until(lambda: sum(len(one.requests) for one in server.batches.values()) == 9)
        until(lambda: sum(one.state == "created" for one in log_of(here)) == len(server.batches))
    made = len(server.batches)
    server.seconds = 0
    with here.running():
        back = here.verdicts(9)
        until(lambda: log_of(here) == [])
    assert len(server.batches) == made
    assert {one.event.origin.event_id for one in back} == {f"e{number}" for number in range(9)}
    for one in back:
        assert one.batch_reply is not None
        assert one.batch_reply.batch_id in server.batches
        assert one.batch_reply.reply is not None
        said = json.loads(reply_of(one.batch_reply.reply).text)
        assert one.event.text in json.dumps(said)
    assert len(server.batch_books) == 9
    assert [one.reason for one in here.letters()] == ["not_avro"]


def test_what_cannot_wait_goes_back_at_once(here: Deployment, server: BatchesServer) -> None:
    here.defer(task(1, minutes=30), task(2, handler="extract"))
    with here.running():
        back = here.verdicts(2)
    assert [one.batch_reply.end for one in back if one.batch_reply] == ["passed", "passed"]
    assert server.batches == {}


def log_of(here: Deployment) -> list[Any]:
    producer = ConfirmedProducer(Producer(here.kafka.confluent()))
    return [*TopicLog(kafka=here.kafka, topic=here.prefix + LOG_TOPIC, producer=producer).read()]
