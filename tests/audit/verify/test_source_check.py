"""Verify on the user's own topics: each record that LISTEN has committed must have become something."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from confluent_kafka import Consumer, TopicPartition

from streams.adapters.clickhouse import ClickHouseConfig
from streams.adapters.codec import Codec
from streams.adapters.kafka import KafkaConfig
from streams.adapters.source_reader import SourceReader
from streams.adapters.source_topics import SourceTopics
from streams.adapters.topic_reader import TopicReader, record_of
from streams.core.messages import DeadLetter
from streams.embedded.broker import Tansu
from streams.embedded.supervisor import Supervisor
from streams.pipeline.source import SourceSpec
from tests.harness.audit_world import World, kinds
from tests.harness.user_topics import Sent, create, send

pytestmark = pytest.mark.embedded


@pytest.fixture(scope="module")
def in_memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaConfig]:
    with Supervisor(tmp_path_factory.mktemp("tansu") / "logs") as supervisor:
        yield KafkaConfig(servers=Tansu().start(supervisor))


@pytest.fixture
def world(in_memory: KafkaConfig, config: ClickHouseConfig) -> World:
    """A deployment, and a topic `RUN-orders` of its user's."""
    made = World(in_memory, config)
    create(made.kafka, topic_of(made))
    return made


def topic_of(world: World) -> str:
    return f"{world.run}-orders"


def reader(world: World) -> SourceReader:
    spec = SourceSpec.model_validate({"topics": [topic_of(world)], "id": "/id", "unless": {"/draft": True}})
    return SourceReader(SourceTopics([spec], world.prefix), Codec(), world.cluster, 100_000)


def order(name: str, **more: object) -> Sent:
    return Sent({"id": name, "text": "where is my order?", **more})


def commit(world: World, offset: int) -> None:
    consumer = Consumer(world.kafka.consumer(f"escalon-{world.prefix}listen"))
    try:
        consumer.commit(offsets=[TopicPartition(topic_of(world), 0, offset)], asynchronous=False)
    finally:
        consumer.close()


def make_events(world: World, *names: str) -> None:
    """Put the events of records on `events`, with the place of their record, and let them end."""
    for offset, name in enumerate(names):
        place = f"{topic_of(world)}/0/{offset}".encode()
        value = json.dumps({"id": name, "text": "where is my order?"}).encode()
        world.producer.produce(f"{world.prefix}events", value, partition=0, headers={"escalon-source": place})
        assert world.producer.flush(20) == 0
        parts = world.made(name, offset)
        origin = replace(parts[2].origin, topic=topic_of(world))
        event = replace(parts[0].event, origin=origin)
        world.write(replace(parts[0], event=event), replace(parts[1], origin=origin), replace(parts[2], origin=origin))


def letter_of(world: World, offset: int) -> DeadLetter:
    with TopicReader(world.kafka) as scan:
        record = record_of(scan.record(topic_of(world), 0, offset))
    return DeadLetter(
        dead_letter_id=world.letters.letter_id(record), run=world.run, topic=record.topic, partition=0, offset=offset,
        payload=b"", payload_size=0, payload_sha256="", reason="bad_id", detail="", error_class="", event_id="x",
        event_time=datetime.now(UTC),
    )  # fmt: skip


def test_records_are_counted_by_what_they_became_and_those_not_read_yet_are_counted_too(world: World) -> None:
    records = [order("a"), order("b"), order("c", draft=True), Sent(None, "k"), Sent(b"{"), order("later")]
    send(world.kafka, topic_of(world), records)
    commit(world, 5)
    make_events(world, "a", "b")
    world.write(letter_of(world, 4))
    report = world.verify(reader(world))
    assert report.clean, report.faults
    assert report.sources == {
        topic_of(world): {
            "records": 6, "events": 2, "filtered": 1, "tombstone": 1, "dead_letters": 1, "waiting": 1,
        }
    }  # fmt: skip


def test_a_record_that_became_nothing_is_a_fault_with_its_place(world: World) -> None:
    send(world.kafka, topic_of(world), [order("a"), order("b"), Sent(b"{")])
    commit(world, 3)
    make_events(world, "a")
    report = world.verify(reader(world))
    assert kinds(report) == [("lost_record", topic_of(world), 1), ("unreadable", topic_of(world), 1)]
    assert [fault.examples for fault in report.faults] == [
        ({"partition": 0, "offset": 1},), ({"partition": 0, "offset": 2},),
    ]  # fmt: skip
    since = int(datetime.now(UTC).timestamp() * 1000) + 3_600_000
    assert world.verify(reader(world), since=since).sources[topic_of(world)] == {"events": 0}


def test_without_the_table_the_topics_that_events_came_from_are_named(world: World) -> None:
    make_events(world, "a")
    report = world.verify()
    assert report.clean, report.faults
    assert report.unchecked == [topic_of(world)]


def test_a_message_about_an_event_that_never_was_is_an_orphan_also_if_it_names_the_users_topic(world: World) -> None:
    make_events(world, "a")
    parts = world.made("never", 7)
    world.write(replace(parts[2], origin=replace(parts[2].origin, topic=topic_of(world)), call_id=None))
    assert kinds(world.verify(reader(world))) == [("orphan_outcome", "outcomes", 1)]
