"""Readers account for every offset between their bounds, on Apache Kafka."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from streams.adapters import log_reader
from streams.adapters.codec import Codec
from streams.adapters.event_reader import EventReader
from streams.adapters.kafka import KafkaConfig
from streams.adapters.log_reader import Gap, LogReader
from streams.adapters.topic_reader import TopicReader, table_entries
from streams.core.errors import ConfigError, ServiceError
from streams.embedded.broker import ApacheKafka, Tansu
from streams.embedded.supervisor import Supervisor
from streams.packaged_files import resource
from streams.replay.selection import EventSelection
from streams.replay.source import Source
from tests.harness.fakes.topic_history import forget, make, remake
from tests.harness.fakes.transactions import abort, commit, left_open, send

pytestmark = pytest.mark.embedded


@pytest.fixture(scope="module")
def apache(kafka_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaConfig]:
    """Apache Kafka."""
    directory = tmp_path_factory.mktemp("kafka")
    with Supervisor(directory) as supervisor:
        yield KafkaConfig(servers=ApacheKafka(kafka_home, resource("kafka"), directory / "data").start(supervisor))


def values(count: int) -> list[bytes]:
    """Different values."""
    return [b"%d" % number for number in range(count)]


def test_marks_and_aborted_records_are_not_missed(apache: KafkaConfig) -> None:
    topic = make(apache)
    abort(apache, topic, values(3))
    send(apache, topic, [b"plain"])
    commit(apache, topic, [b"committed"])
    abort(apache, topic, values(2))
    with left_open(apache, topic, [b"open"]), TopicReader(apache) as scan:
        send(apache, topic, [b"behind what is open"])
        marks = scan.marks(topic)
        assert [message.value() for message in scan.read(topic, marks)] == [b"plain", b"committed"]
    with closing(TopicReader(apache, [topic])) as tail:
        assert [record.value for record in tail.to_end()] == [b"plain", b"committed", b"behind what is open"]


@pytest.mark.parametrize("before", [1, 700, 1000])
def test_what_is_deleted_before_it_was_read_is_an_error(apache: KafkaConfig, before: int) -> None:
    topic = make(apache)
    send(apache, topic, values(1000))
    with TopicReader(apache) as scan:
        marks = scan.marks(topic)
        forget(apache, topic, before)
        with pytest.raises(ServiceError, match=f"offsets 0 to {before - 1} of {topic}/0"):
            list(scan.read(topic, marks))


def test_who_answers_for_a_gap_gets_the_rest(apache: KafkaConfig) -> None:
    topic, gaps = make(apache, partitions=2), list[Gap]()
    send(apache, topic, values(1000))
    send(apache, topic, values(500), partition=1)
    with TopicReader(apache) as scan:
        marks = scan.marks(topic)
        forget(apache, topic, 990)
        found = [(one.partition(), one.offset()) for one in scan.read(topic, marks, gaps.append)]
    assert gaps == [Gap(topic, 0, 0, 990)]
    assert sorted(found) == [(0, offset) for offset in range(990, 1000)] + [(1, offset) for offset in range(500)]


def test_a_topic_made_again_does_not_pass_for_the_one_that_was_marked(apache: KafkaConfig) -> None:
    topic = make(apache)
    send(apache, topic, values(100))
    with TopicReader(apache) as scan:
        marks = scan.marks(topic)
        remake(apache, topic)
        send(apache, topic, values(20))
        with pytest.raises(ServiceError):
            list(scan.read(topic, marks))


def test_a_partition_is_read_again_by_the_same_reader(apache: KafkaConfig) -> None:
    topic = make(apache, partitions=2)
    send(apache, topic, values(2))
    send(apache, topic, values(5000), partition=1)
    with TopicReader(apache) as scan:
        for _ in range(2):
            assert len(list(scan.read(topic, scan.marks(topic)))) == 5002
            assert scan.record(topic, 0, 1).value() == b"1"


def test_a_record_that_is_gone_is_none(apache: KafkaConfig) -> None:
    topic = make(apache)
    send(apache, topic, values(10))
    forget(apache, topic, 5)
    with TopicReader(apache) as scan:
        assert scan.record(topic, 0, 4) is None
        assert scan.record(topic, 0, 12) is None
        assert scan.record(topic, 0, 5).value() == b"5"


def test_a_follower_that_retention_overtakes_hears_of_it(apache: KafkaConfig) -> None:
    topic, gaps = make(apache), list[Gap]()
    send(apache, topic, values(100))
    forget(apache, topic, 60)
    with (
        closing(TopicReader(apache, [topic], {(topic, 0): 10})) as tail,
        pytest.raises(ServiceError, match="offsets 10 to 59"),
    ):
        list(tail.follow(lambda: False))
    with closing(TopicReader(apache, [topic], {(topic, 0): 10}, on_gap=gaps.append)) as tail:
        found = list[int]()
        while len(found) < 40:
            found += [record.offset for record in tail.batch()]
    assert (gaps, found) == ([Gap(topic, 0, 10, 60)], list(range(60, 100)))


def test_a_follower_is_not_silent_about_a_topic_that_is_gone(apache: KafkaConfig) -> None:
    topic = make(apache)
    send(apache, topic, values(10))
    with closing(TopicReader(apache, [topic], {(topic, 0): 50})) as tail, pytest.raises(ServiceError, match=topic):
        list(tail.follow(lambda: False))


def test_changelogs_start_again_where_positions_are_those_of_an_older_log(apache: KafkaConfig) -> None:
    topic = make(apache)
    with closing(TopicReader(apache, [topic])) as tail:
        assert list(tail.to_end()) == []
    send(apache, topic, values(3))
    assert [one.offset for one in table_entries(apache, [topic], {(topic, 0): 500})] == []  # records without keys
    with closing(TopicReader(apache, [topic], {(topic, 0): 500})) as tail:
        assert [record.offset for record in tail.to_end()] == [0, 1, 2]


def source(kafka: KafkaConfig, topic: str) -> Source:
    """The events of a topic."""
    unused: object = None
    return Source(kafka, topic, EventReader(Codec(), "cluster", "again", 900_000), unused)  # type: ignore[arg-type]


def test_a_replay_says_what_a_topic_no_longer_holds_even_where_nothing_is_left(apache: KafkaConfig) -> None:
    topic = make(apache, partitions=3)
    for partition in range(3):
        send(apache, topic, [b'{"text": "x"}'] * 10, partition)
    forget(apache, topic, 10, 0)
    forget(apache, topic, 4, 1)
    chosen = source(apache, topic).choose(EventSelection())
    assert (len(chosen), chosen.begins) == (16, {0: 10, 1: 4})


def test_a_topic_that_begins_with_an_aborted_record_has_lost_nothing(apache: KafkaConfig) -> None:
    topic = make(apache)
    abort(apache, topic, values(3))
    send(apache, topic, [b'{"text": "x"}'])
    assert source(apache, topic).choose(EventSelection(since=datetime(2020, 1, 1, tzinfo=UTC))).begins == {}


def test_a_replay_does_not_take_the_events_of_another_topic_for_the_chosen_ones(apache: KafkaConfig) -> None:
    topic = make(apache)
    send(apache, topic, [b'{"text": "old"}'] * 3)
    events = source(apache, topic)
    chosen = events.choose(EventSelection())
    assert len(list(events.events(chosen))) == 3
    remake(apache, topic)
    send(apache, topic, [b'{"text": "new"}'] * 5)
    with pytest.raises(ServiceError, match="made again"):
        list(events.events(chosen))


def test_a_replay_of_a_missing_partition_is_refused(apache: KafkaConfig) -> None:
    topic = make(apache)
    with pytest.raises(ConfigError, match="no partition 7"):
        source(apache, topic).choose(EventSelection(offsets={7: (0, 10)}))


def test_a_partition_without_a_leader_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_reader, "SILENT_SECONDS", 0.5)
    monkeypatch.setattr(log_reader, "ADMIN_TIMEOUT", 0.5)
    with Supervisor(tmp_path / "logs") as supervisor:
        kafka = KafkaConfig(servers=Tansu().start(supervisor))
        topic = make(kafka)
        send(kafka, topic, values(10))
        scan = TopicReader(kafka)
        marks = scan.marks(topic)
    with scan, pytest.raises(ServiceError, match=f"{topic}/0"):
        list(scan.read(topic, marks))


def test_a_partition_whose_leader_is_chosen_meanwhile_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[KafkaException | tuple[int, int]] = [
        KafkaException(KafkaError(KafkaError.NOT_LEADER_FOR_PARTITION)),
        (0, 3),
    ]

    class Deciding:
        def get_watermark_offsets(self, *_: Any, **__: Any) -> tuple[int, int]:
            answer = answers.pop(0)
            if isinstance(answer, KafkaException):
                raise answer
            return answer

    reader = LogReader(KafkaConfig(servers="127.0.0.1:1"), "group")
    monkeypatch.setattr(reader, "_consumer", Deciding())
    assert reader.watermarks(("events", 0)) == (0, 3)
