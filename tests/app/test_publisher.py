"""Published events have the same ids as the events that are read, on Apache Kafka."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from streams.adapters.event_reader import derived_event_id
from streams.adapters.kafka import CLIENT_LOG, KafkaConfig
from streams.adapters.kafka_admin import create_topics, describe_cluster
from streams.adapters.topic_reader import TopicReader
from streams.app.publisher import Publisher
from streams.core.errors import ServiceError
from streams.embedded.broker import ApacheKafka
from streams.embedded.supervisor import Supervisor
from streams.packaged_files import resource

pytestmark = pytest.mark.embedded


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    with Supervisor(tmp_path) as supervisor:
        yield supervisor


@pytest.fixture
def kafka(kafka_home: Path, tmp_path: Path, supervisor: Supervisor) -> KafkaConfig:
    """Apache Kafka that has never been published to."""
    return KafkaConfig(servers=ApacheKafka(kafka_home, resource("kafka"), tmp_path / "data").start(supervisor))


def test_a_publisher_knows_each_event_by_the_id_that_its_readers_will_make(
    kafka: KafkaConfig, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, CLIENT_LOG.name)
    cluster, prefixes = describe_cluster(kafka).cluster_id, [f"{uuid4().hex[:8]}." for _ in range(2)]
    for by_the_broker, prefix in enumerate(prefixes):
        create_topics(kafka, prefix, 1, 1)
        if by_the_broker:
            set_log_append_time(kafka, f"{prefix}events")
        with Publisher(kafka, topic=f"{prefix}events") as publisher:
            publisher.publish("first")
            publisher.publish(data={"a": 1}, key="k")
            deliveries = publisher.flush()
        tail = TopicReader(kafka, [f"{prefix}events"])
        try:
            read = [derived_event_id(record, cluster) for record in tail.to_end()]
        finally:
            tail.close()
        assert [one.event_id for one in deliveries] == read
    assert raw_lines(capfd, kafka.servers, *prefixes) == [], "the client's own words are for a log"


def test_what_a_broker_does_not_confirm_is_said_by_an_error_alone(
    kafka: KafkaConfig, supervisor: Supervisor, capfd: pytest.CaptureFixture[str]
) -> None:
    create_topics(kafka, "", 1, 1)
    publisher = Publisher(kafka)
    supervisor.kill(supervisor.child("kafka"))
    publisher.publish("lost")
    with pytest.raises(ServiceError, match=r"1 messages were not confirmed \(.*(brokers are down|onnect).*\)"):
        publisher.flush(3.0)
    assert raw_lines(capfd, kafka.servers) == []


def raw_lines(capfd: pytest.CaptureFixture[str], *about: str) -> list[str]:
    """Lines on stderr about this broker or these topics: clients of other tests may still write about theirs."""
    return [line for line in capfd.readouterr().err.splitlines() if any(one in line for one in about)]


def set_log_append_time(kafka: KafkaConfig, topic: str) -> None:
    """Have the broker write its own time into records."""
    entry = ConfigEntry("message.timestamp.type", "LogAppendTime", incremental_operation=AlterConfigOpType.SET)
    admin = AdminClient(kafka.confluent())  # kept until the future is there
    wanted = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    for done in admin.incremental_alter_configs([wanted]).values():
        done.result(30)
