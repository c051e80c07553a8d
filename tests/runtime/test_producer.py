"""The metadata of the producer's client, on a real broker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from streams.adapters.kafka import KafkaConfig
from streams.embedded.broker import Tansu
from streams.embedded.supervisor import Supervisor
from streams.runtime.app import ProcessConfig, faust_app

pytestmark = pytest.mark.embedded


@pytest.fixture
def kafka(tmp_path: Path) -> Iterator[KafkaConfig]:
    """A broker in memory."""
    with Supervisor(tmp_path / "logs") as supervisor:
        yield KafkaConfig(servers=Tansu().start(supervisor))


def make(kafka: KafkaConfig, topic: str) -> None:
    """Make a topic."""
    admin = AdminClient(kafka.confluent())  # kept until the future is there
    for done in admin.create_topics([NewTopic(topic, 2, 1)]).values():
        done.result(10)


async def test_a_topic_is_not_forgotten_when_another_is_looked_up(kafka: KafkaConfig, tmp_path: Path) -> None:
    """Else what was taken for it, and not sent yet, would wait for the next message to it."""
    make(kafka, "verdicts")
    producer = faust_app("listen", kafka, ProcessConfig(directory=tmp_path)).producer
    await producer.start()
    try:
        known = producer._ensure_producer().client.cluster
        await producer.send_and_wait("verdicts", b"key", b"value", None, None, None)
        make(kafka, "changelog")
        await producer.send_and_wait("changelog", b"key", b"value", None, None, None)
        assert known.topics() >= {"verdicts", "changelog"}
    finally:
        await producer.stop()
