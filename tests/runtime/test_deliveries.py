"""A message's deliveries end when Kafka has confirmed or refused each of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from streams.adapters.kafka import KafkaConfig
from streams.adapters.topic_reader import TopicReader
from streams.core.errors import ProcessError, UnreadableError
from streams.embedded.broker import Tansu, free_ports
from streams.embedded.supervisor import Supervisor
from streams.runtime.deliveries import BATCH_BYTES, HANDLED, Deliveries, DeliveryClient, claim
from streams.runtime.partition import Partition
from tests.harness.fakes.producer import FOR_A_WHILE, TOO_LARGE, FakeProcess, FakeProducer, delivery_client
from tests.harness.metrics import MetricsChange

WAIT_SECONDS = 20.0


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send again at once."""
    monkeypatch.setattr("streams.runtime.deliveries.RETRY_SECONDS", 0)


@pytest.fixture
def kafka(tmp_path: Path) -> Iterator[KafkaConfig]:
    """An empty broker in memory."""
    with Supervisor(tmp_path / "logs") as supervisor:
        yield KafkaConfig(servers=Tansu().start(supervisor))


def of_a_message() -> Deliveries:
    return Deliveries(Partition("events", 0, 0))


async def settled(deliveries: Deliveries) -> UnreadableError | None:
    """Wait until nothing is left of a message's deliveries; return the refusal."""
    found = asyncio.get_running_loop().create_future()
    deliveries.when_settled(found.set_result)
    return await asyncio.wait_for(found, WAIT_SECONDS)


async def until(holds: Callable[[], Any]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not holds():  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0.005)


@dataclass
class Change:
    """A table's change, and what it heard."""

    newer: bool = False
    offsets: list[int] = field(default_factory=list)
    refusals: list[UnreadableError] = field(default_factory=list)

    def superseded(self) -> bool:
        """Return True if there is a newer one."""
        return self.newer

    def confirmed(self, offset: int) -> None:
        """Keep the offset."""
        self.offsets.append(offset)

    def refused(self, refusal: UnreadableError) -> None:
        """Keep the refusal."""
        self.refusals.append(refusal)


def create(kafka: KafkaConfig, topic: str, partitions: int = 1) -> None:
    admin = AdminClient(kafka.confluent())  # kept until the future is there
    for done in admin.create_topics([NewTopic(topic, partitions, 1)]).values():
        done.result(WAIT_SECONDS)


# ---- With a broker ----


@pytest.mark.embedded
async def test_what_a_broker_confirms_is_there_with_its_key_its_headers_and_its_partition(kafka: KafkaConfig) -> None:
    create(kafka, "calls", 3)
    client, deliveries, change = DeliveryClient(kafka, BATCH_BYTES, FakeProcess().end), of_a_message(), Change()
    for value in (b"1", b"2"):
        client.send("calls", b"k", value, deliveries, headers=[("h", b"1")], partition=2, change=change)
    client.send("calls", b"k", None, deliveries, partition=1, patient=True)
    assert await settled(deliveries) is None
    with TopicReader(kafka, ["calls"]) as reader:
        found = sorted((one.partition, one.offset, one.key, one.value, one.header("h")) for one in reader.to_end())
    assert found == [(1, 0, b"k", None, None), (2, 0, b"k", b"1", "1"), (2, 1, b"k", b"2", "1")]
    assert change.offsets == [0, 1]
    await client.close(WAIT_SECONDS)


@pytest.mark.embedded
async def test_publishing_waits_while_the_broker_is_unavailable(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    kafka = KafkaConfig(servers=f"127.0.0.1:{port}")
    client, deliveries = DeliveryClient(kafka, BATCH_BYTES, FakeProcess().end), of_a_message()
    client.send("calls", None, b"x", deliveries)
    with pytest.raises(TimeoutError):
        await client.close(0.1)
    with Supervisor(tmp_path / "logs") as supervisor:
        await asyncio.to_thread(Tansu().start, supervisor, port)
        assert await settled(deliveries) is None
        await client.close(WAIT_SECONDS)


@pytest.mark.embedded
async def test_a_record_that_no_producer_sends_is_refused_at_once(kafka: KafkaConfig) -> None:
    client, deliveries = DeliveryClient(kafka, BATCH_BYTES, FakeProcess().end), of_a_message()
    with pytest.raises(UnreadableError, match="over the broker's limit") as caught:
        client.send("calls", None, b"x" * 1_000_001, deliveries)
    assert caught.value.reason == "too_large"
    assert await settled(deliveries) is None


# ---- What a broker reports seldom ----


async def test_what_the_broker_refuses_for_a_while_is_sent_again_until_it_is_confirmed() -> None:
    change, producer = MetricsChange(), FakeProducer(errors=[FOR_A_WHILE, FOR_A_WHILE])
    client, deliveries = delivery_client(producer, FakeProcess()), of_a_message()
    client.send("calls", b"k", b"x", deliveries)
    assert await settled(deliveries) is None
    assert [sent.value for sent in producer.sent] == [b"x"] * 3
    assert change.of("publish_waits_total", topic="calls") == 2


async def test_what_is_superseded_when_it_would_be_sent_again_is_settled_without_that() -> None:
    producer, change = FakeProducer(errors=[FOR_A_WHILE]), Change()
    client, deliveries = delivery_client(producer, FakeProcess()), of_a_message()
    client.send("answers", b"k", b"old", deliveries, change=change)
    change.newer = True
    assert await settled(deliveries) is None
    assert len(producer.sent) == 1


@pytest.mark.parametrize("own", [False, True])
async def test_a_refusal_of_what_is_too_large_is_the_messages_unless_the_sender_takes_it(own: bool) -> None:
    change = Change()
    client, deliveries = delivery_client(FakeProducer(errors=[TOO_LARGE]), FakeProcess()), of_a_message()
    client.send("calls", None, b"x", deliveries, change=change if own else None)
    client.send("calls", None, b"y", deliveries)
    refusal = await settled(deliveries)
    (reported,) = change.refusals if own else [refusal]
    assert isinstance(reported, UnreadableError)
    assert (reported.reason, refusal is None) == ("too_large", own)
    assert await settled(deliveries) is None, "a refusal is reported once"


async def test_a_record_waits_for_room_in_the_producers_buffer() -> None:
    producer = FakeProducer(raised=[BufferError(), BufferError()])
    client, deliveries = delivery_client(producer, FakeProcess()), of_a_message()
    client.send("calls", None, b"x", deliveries)
    assert producer.sent == [], "the event loop goes on meanwhile"
    assert await settled(deliveries) is None
    assert [sent.value for sent in producer.sent] == [b"x"]


async def test_a_producer_that_can_never_send_again_ends_the_process_and_others_are_still_confirmed() -> None:
    fatal = KafkaError(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, "out of order", True)
    process, producer, deliveries = FakeProcess(), FakeProducer(fatal=[KafkaException(fatal)]), of_a_message()
    client = delivery_client(producer, process)
    client.send("calls", None, b"x", deliveries)
    await until(lambda: process.ending)
    assert "sends no more (out of order)" in str(process.ending)
    assert await settled(deliveries) is None


async def test_a_producer_that_takes_no_record_ends_the_process() -> None:
    gone = KafkaException(KafkaError(KafkaError._FATAL, "Local: Fatal error"))
    client, deliveries = delivery_client(FakeProducer(raised=[gone]), FakeProcess()), of_a_message()
    with pytest.raises(ProcessError, match="Local: Fatal error"):
        client.send("calls", None, b"x", deliveries)
    assert await settled(deliveries) is None
    process, producer = FakeProcess(), FakeProducer(errors=[FOR_A_WHILE])
    delivery_client(producer, process).send("calls", None, b"x", of_a_message())
    producer.raised.append(gone)
    await until(lambda: process.ending)


def test_claims_are_withdrawn_once_and_the_last_one_first() -> None:
    deliveries, undone = of_a_message(), list[str]()
    HANDLED.set(deliveries)
    for name in ("first", "second"):
        claim(lambda name=name: undone.append(name))  # type: ignore[misc]
    deliveries.withdraw()
    deliveries.withdraw()
    HANDLED.set(None)
    claim(lambda: undone.append("nobody's"))
    assert undone == ["second", "first"]
