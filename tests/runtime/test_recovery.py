"""Tables are brought up to date from their changelogs, also beside a rebalance or without a broker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import KafkaError, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from streams.adapters.kafka import KafkaConfig
from streams.embedded.broker import Tansu
from streams.embedded.supervisor import Supervisor
from streams.runtime import recovery
from streams.runtime.recovery import Place, Recovery
from streams.runtime.table_store import TableStore
from tests.harness.fakes.kafka_client import FakeMessage
from tests.harness.handled_table import open_table

COUNT = 50


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaConfig]:
    with Supervisor(tmp_path_factory.mktemp("logs")) as supervisor:
        yield KafkaConfig(servers=Tansu().start(supervisor))


@pytest.fixture
def changelog(broker: KafkaConfig) -> str:
    """A changelog of two partitions: in partition 0 COUNT keys, of which the first was deleted."""
    topic = f"changelog-{uuid4().hex}"
    admin = AdminClient(broker.confluent())
    for made in admin.create_topics([NewTopic(topic, 2, 1)]).values():
        made.result(20)
    write(broker, topic, *((b"%d" % number, b"value") for number in range(COUNT)), (b"0", None))
    return topic


@pytest.fixture
def store(tmp_path: Path) -> TableStore:
    return open_table(tmp_path, None, 0, 1).store


def write(broker: KafkaConfig, topic: str, *changes: tuple[bytes, bytes | None]) -> None:
    producer = Producer(broker.confluent())
    for key, value in changes:
        producer.produce(topic, value, key, 0)
    assert producer.flush(20) == 0


def keys(store: TableStore) -> set[bytes]:
    return {key for key, _ in store.items()}


def places(topic: str, store: TableStore) -> dict[Place, TableStore]:
    return {(topic, 0): store, (topic, 1): store}


@pytest.mark.embedded
def test_a_table_gets_the_entries_of_its_changelog_and_then_only_what_is_new(
    broker: KafkaConfig, changelog: str, store: TableStore
) -> None:
    assert Recovery(broker, "work").run(places(changelog, store), lambda: True)
    assert keys(store) == {b"%d" % number for number in range(1, COUNT)}
    assert (store.offset(0), store.offset(1)) == (COUNT + 1, 0)
    store.delete(0, b"7")
    write(broker, changelog, (b"new", b"value"), (b"1", None))
    assert Recovery(broker, "work").run(places(changelog, store), lambda: True)
    assert keys(store) == {b"%d" % number for number in range(2, COUNT) if number != 7} | {b"new"}
    assert store.offset(0) == COUNT + 3


@pytest.mark.embedded
def test_a_table_that_is_ahead_of_its_changelog_keeps_its_entries_and_reads_the_changelog_from_its_beginning(
    broker: KafkaConfig, changelog: str, store: TableStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.put(0, b"mine", b"value")
    store.set_offset(0, 1000)
    assert Recovery(broker, "work").run(places(changelog, store), lambda: True)
    assert keys(store) == {b"%d" % number for number in range(1, COUNT)} | {b"mine"}
    assert store.offset(0) == COUNT + 1
    assert "the changelog is read from its beginning" in caplog.text


@pytest.mark.embedded
def test_a_recovery_that_is_cut_off_goes_on_where_it_was(
    broker: KafkaConfig, changelog: str, store: TableStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "BATCH", 10)
    assert not Recovery(broker, "work").run(places(changelog, store), lambda: not keys(store))
    reached = store.offset(0)
    assert reached is not None
    assert 0 < reached <= 10
    store.delete(0, b"0")
    assert Recovery(broker, "work").run(places(changelog, store), lambda: True)
    assert (len(keys(store)), store.offset(0)) == (COUNT - 1, COUNT + 1)


def test_a_recovery_that_is_not_wanted_any_more_ends_also_while_the_broker_is_unreachable(
    store: TableStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "MARKS_SECONDS", 0.05)
    monkeypatch.setattr(recovery, "RETRY_SECONDS", 0.01)
    asked = iter([True, True, True, True, False])
    assert not Recovery(KafkaConfig(servers="127.0.0.1:1"), "work").run({("t", 0): store}, lambda: next(asked))
    assert next(asked, None) is None, "it tried again before"


class Scripted:
    """A consumer that gives these messages, one batch after the other."""

    def __init__(self, *batches: list[FakeMessage]) -> None:
        self.batches = list(batches)

    def get_watermark_offsets(self, *_: Any, **__: Any) -> tuple[int, int]:
        return 0, 10

    def assign(self, _: Any) -> None:
        pass

    def consume(self, *_: Any) -> list[FakeMessage]:
        return self.batches.pop(0)


def test_a_change_that_comes_behind_the_end_of_a_partition_does_not_disturb_the_others(store: TableStore) -> None:
    """A partition's last owner may still have one on the way."""
    here, there = ("t", 0), ("t", 1)
    end = KafkaError(KafkaError._PARTITION_EOF)
    behind = [FakeMessage(here, 5), FakeMessage(there, 0), FakeMessage(there, 1, end)]
    left: dict[Place, TableStore] = {here: store, there: store}
    Recovery(KafkaConfig(servers="127.0.0.1:1"), "work")._read(
        Scripted([FakeMessage(here, 5, end)], behind), left, lambda: True
    )
    assert (left, store.offset(0), store.offset(1), keys(store)) == ({}, 5, 1, {b"k"})


@pytest.mark.embedded
def test_the_broker_s_errors_are_tried_again_from_where_the_table_is(
    broker: KafkaConfig, changelog: str, store: TableStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "RETRY_SECONDS", 0.01)
    failing = Recovery(broker, "work")
    reads, read = list[int](), failing._read

    def fails_once(consumer: Any, left: Any, wanted: Any) -> None:
        reads.append(len(left))
        if len(reads) == 1:
            error = FakeMessage((changelog, 0), 0, KafkaError(KafkaError._TRANSPORT))
            return read(Scripted([error]), left, wanted)
        return read(consumer, left, wanted)

    monkeypatch.setattr(failing, "_read", fails_once)
    assert failing.run(places(changelog, store), lambda: True)
    assert (reads, store.offset(0)) == ([2, 2], COUNT + 1)
