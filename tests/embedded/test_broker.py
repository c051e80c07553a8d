from __future__ import annotations

import socket
import time
from pathlib import Path
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from streams.adapters.kafka import KafkaConfig
from streams.core.errors import ConfigError, ServiceError
from streams.embedded.broker import ApacheKafka, Tansu, choose_broker, free_ports
from streams.embedded.supervisor import Supervisor
from streams.packaged_files import resource
from streams.runtime.deliveries import Deliveries, DeliveryClient
from streams.runtime.partition import Partition

LARGE = 10_000_000


def create_topic(address: str) -> str:
    topic = f"t-{uuid4().hex}"
    admin = AdminClient({"bootstrap.servers": address})
    new = NewTopic(topic, 1, 1, config={"max.message.bytes": str(16 << 20)})
    for created in admin.create_topics([new]).values():
        created.result(10)
    return topic


def produce(address: str, topic: str, *values: bytes) -> None:
    failed: list[object] = []
    in_order = {"max.in.flight.requests.per.connection": 1}  # also if a batch is sent again
    producer = Producer({"bootstrap.servers": address, "message.max.bytes": 16 << 20, **in_order})
    for value in values:
        producer.produce(topic, value, on_delivery=lambda error, _: failed.append(error) if error else None)
    assert producer.flush(20) == 0
    assert failed == []


def consume(address: str, topic: str, count: int) -> list[bytes]:
    group = f"g-{uuid4().hex}"
    consumer = Consumer({"bootstrap.servers": address, "group.id": group})
    consumer.assign([TopicPartition(topic, 0, 0)])
    try:
        messages = [message for message in consumer.consume(count, 20) if not message.error()]
    finally:
        consumer.close()
    return [message.value() or b"" for message in messages]


def consume_in_group(address: str, topic: str, count: int) -> list[int]:
    settings = {
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": 6000,  # Tansu lets a group wait for half of it
        "max.partition.fetch.bytes": 1 << 20,
    }
    consumer = Consumer(KafkaConfig(servers=address).consumer(f"g-{uuid4().hex}", **settings))
    consumer.subscribe([topic])
    found: list[int] = []
    until = time.monotonic() + 20
    try:
        while len(found) < count and time.monotonic() < until:
            message = consumer.poll(0.2)
            if message is not None and message.error() is None:
                found.append(len(message.value() or b""))
    finally:
        consumer.close()
    return found


@pytest.mark.embedded
def test_tansu_gives_back_what_confluent_kafka_produced(tansu: str) -> None:
    topic = create_topic(tansu)
    produce(tansu, topic, b"one", b"two")
    assert consume(tansu, topic, 2) == [b"one", b"two"]


@pytest.mark.embedded
def test_tansu_carries_ten_megabytes_past_a_smaller_fetch_limit(tansu: str) -> None:
    topic = create_topic(tansu)
    produce(tansu, topic, b"before", bytes(LARGE), b"after")
    assert consume_in_group(tansu, topic, 3) == [6, LARGE, 5]


@pytest.mark.embedded
async def test_tansu_serves_the_tiers_idempotent_producers(tansu: str) -> None:
    topic, failures = create_topic(tansu), list[Exception]()
    client = DeliveryClient(KafkaConfig(servers=tansu), 16384, failures.append)
    deliveries = Deliveries(Partition(topic, 0, 0))
    for value, patient in ((b"one", False), (b"two", True)):
        client.send(topic, b"key", value, deliveries, patient=patient)
        await client.close(20)
    assert failures == []
    assert consume(tansu, topic, 2) == [b"one", b"two"]


@pytest.mark.embedded
def test_apache_kafka_keeps_topics_over_a_restart_and_takes_ten_megabytes(
    tmp_path: Path, kafka_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One id in 64 begins with a hyphen, which Kafka's own tool takes for an option.
    monkeypatch.setattr("streams.embedded.broker.new_cluster_id", lambda: "-xQ1h4ZzR0y3o8QmJ7bN2w")
    broker = choose_broker(tmp_path, resource("kafka"), kafka_home=kafka_home)
    with Supervisor(tmp_path / "logs") as supervisor:
        address = broker.start(supervisor)
        cluster = AdminClient({"bootstrap.servers": address}).list_topics(timeout=10).cluster_id
        topic = create_topic(address)
        produce(address, topic, b"before", bytes(LARGE), b"after")
        assert consume_in_group(address, topic, 3) == [6, LARGE, 5]
    with Supervisor(tmp_path / "logs") as supervisor:
        address = broker.start(supervisor)
        assert AdminClient({"bootstrap.servers": address}).list_topics(timeout=10).cluster_id == cluster
        assert [len(value) for value in consume(address, topic, 3)] == [6, LARGE, 5]


def test_without_an_installation_the_choice_is_the_broker_in_memory(tmp_path: Path) -> None:
    broker = choose_broker(tmp_path, resource("kafka"), cache_dir=tmp_path / "cache")
    assert isinstance(broker, Tansu)
    assert "nothing in it survives its exit" in broker.note


def test_an_installation_in_the_cache_is_taken(tmp_path: Path) -> None:
    resources = tmp_path / "resources"
    resources.mkdir()
    (resources / "pom.xml").write_text("<kafka.version>9.9.9</kafka.version>")
    (tmp_path / "cache" / "kafka-9.9.9" / "libs").mkdir(parents=True)
    broker = choose_broker(tmp_path / "data", resources, cache_dir=tmp_path / "cache")
    assert isinstance(broker, ApacheKafka)
    assert str(tmp_path / "data" / "kafka") in broker.note


def test_a_kafka_home_without_jars_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not contain Apache Kafka"):
        choose_broker(tmp_path, resource("kafka"), kafka_home=tmp_path)


@pytest.mark.embedded
@pytest.mark.parametrize("kind", ["kafka", "tansu"])
def test_a_broker_whose_free_port_was_taken_meanwhile_starts_on_others(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = request.getfixturevalue("kafka_home") if kind == "kafka" else None
    broker = choose_broker(tmp_path, resource("kafka"), kafka_home=home)
    with socket.socket() as taken, Supervisor(tmp_path / "logs") as supervisor:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        lost = taken.getsockname()[1]
        free = [[lost, *free_ports(1)], [*free_ports(1), lost], free_ports(2)]
        monkeypatch.setattr("streams.embedded.broker.free_ports", lambda _: free.pop(0))
        address = broker.start(supervisor)
        assert address != f"127.0.0.1:{lost}"
        assert AdminClient({"bootstrap.servers": address}).list_topics(timeout=10).brokers


@pytest.mark.embedded
def test_a_port_that_was_asked_for_and_is_taken_is_an_error(tmp_path: Path) -> None:
    with socket.socket() as taken, Supervisor(tmp_path / "logs") as supervisor:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ServiceError, match="Address in use"):
            Tansu().start(supervisor, taken.getsockname()[1])
