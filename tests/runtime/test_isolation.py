"""A tier reads committed records alone, on Apache Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition

from streams.adapters.kafka import KafkaConfig, create_topics
from streams.embedded.broker import ApacheKafka
from streams.embedded.supervisor import Supervisor
from streams.resources import resource
from streams.runtime.app import Place, faust_app
from tests.fakes.transactions import abort, commit, left_open, send

pytestmark = pytest.mark.embedded
HERE = TopicPartition("events", 0)


@pytest.fixture(scope="module")
def kafka(kafka_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaConfig]:
    """Apache Kafka."""
    directory = tmp_path_factory.mktemp("kafka")
    with Supervisor(directory) as supervisor:
        yield KafkaConfig(servers=ApacheKafka(kafka_home, resource("kafka"), directory / "data").start(supervisor))


async def read_to(kafka: KafkaConfig, directory: Path, offset: int) -> list[bytes]:
    """The values that a tier's client is given until its position is at an offset."""
    thread: Any = faust_app("listen", kafka, Place(directory=directory)).consumer._thread
    client = thread._create_consumer(loop=asyncio.get_running_loop())
    thread.thread_loop.close()
    await client.start()
    client.assign([HERE])
    found = []
    try:
        async with asyncio.timeout(30):
            while await client.position(HERE) < offset:
                for records in (await client.getmany(timeout_ms=100)).values():
                    found += [record.value for record in records]
    finally:
        await client.stop()
    return found


async def test_a_tier_is_not_given_what_was_aborted_or_is_not_committed(kafka: KafkaConfig, tmp_path: Path) -> None:
    create_topics(kafka, "", 1, 1)
    send(kafka, "events", [b"plain"])
    abort(kafka, "events", [b"aborted"] * 3)
    stable = commit(kafka, "events", [b"committed"])
    with left_open(kafka, "events", [b"open"]):
        send(kafka, "events", [b"after"])
        assert await read_to(kafka, tmp_path, stable) == [b"plain", b"committed"]
    assert await read_to(kafka, tmp_path, stable + 3) == [b"plain", b"committed", b"after"]
