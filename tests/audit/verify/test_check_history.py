"""`escalon verify` where topics lose their past, each at its own pace, on Apache Kafka and the ClickHouse engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
from typer.testing import CliRunner

from streams.adapters.clickhouse import ClickHouseConfig, migrate
from streams.adapters.clickhouse_retention import Retention
from streams.adapters.kafka import KafkaConfig
from streams.adapters.topic_reader import TopicReader
from streams.cli.main import app
from streams.core.errors import ServiceError
from streams.embedded.broker import ApacheKafka
from streams.embedded.supervisor import Supervisor
from streams.packaged_files import resource
from tests.builders import call
from tests.harness.audit import write
from tests.harness.audit_world import World, event_of, kinds, letter, lose_an_outcome, settle_what_never_was
from tests.harness.fakes.topic_history import WAIT_SECONDS, forget, remake
from tests.harness.fakes.transactions import abort

pytestmark = [pytest.mark.embedded, pytest.mark.slow]
OLD = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def apache(kafka_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaConfig]:
    data = tmp_path_factory.mktemp("kafka")
    with Supervisor(data / "logs") as supervisor:
        yield KafkaConfig(servers=ApacheKafka(kafka_home, resource("kafka"), data).start(supervisor))


@pytest.fixture
def world(apache: KafkaConfig, config: ClickHouseConfig) -> World:
    """Three events that ended as they should."""
    made = World(apache, config)
    made.live("a", "b", "c")
    return made


@pytest.fixture
def expiring(apache: KafkaConfig, config: ClickHouseConfig) -> World:
    """The same, with rows that ClickHouse removes 30 days after the time of their event."""
    expiring = replace(config, database="expiring")
    migrate(expiring, retention=Retention(row_days=30))
    made = World(apache, expiring)
    made.live("a", "b", "c")
    return made


def trim(world: World, topic: str, before: int, partition: int = 0) -> None:
    """Delete the beginning of a topic."""
    forget(world.kafka, world.prefix + topic, before, partition)


def again(world: World, topic: str) -> None:
    """Delete a topic and make it again."""
    remake(world.kafka, world.prefix + topic, 2)


def configure(world: World, topic: str, name: str, value: str) -> None:
    """Set something of a topic."""
    named = ConfigResource(ResourceType.TOPIC, world.prefix + topic)
    named.add_incremental_config(ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET))
    admin = AdminClient(world.kafka.confluent())
    admin.incremental_alter_configs([named])[named].result(WAIT_SECONDS)


def publish_at(world: World, topic: str, value: bytes, at: datetime) -> None:
    """Publish a record with a time of its own, once the broker allows that one."""
    errors: list[Any] = [""]
    while errors.pop() is not None:
        world.producer.produce(
            world.prefix + topic, value, partition=1, timestamp=int(at.timestamp() * 1000),
            on_delivery=lambda error, _: errors.append(error),
        )  # fmt: skip
        assert world.producer.flush(WAIT_SECONDS) == 0


@pytest.mark.parametrize("before", [1, 3])
@pytest.mark.parametrize("topic", ["events", "outcomes", "calls", "verdicts"])
def test_topics_with_different_retentions_are_not_faults(world: World, topic: str, before: int) -> None:
    trim(world, topic, before)
    report = world.verify()
    assert kinds(report) == []
    assert report.clean
    assert report.ends["outcome"] == (3 - before if topic == "events" else 3)


@pytest.mark.parametrize("topic", ["events", "outcomes", "calls", "verdicts", "dead-letters"])
def test_a_topic_that_was_created_again_is_not_a_fault(world: World, topic: str) -> None:
    again(world, topic)
    assert kinds(world.verify()) == []
    world.live(*(["d"] if topic == "events" else []))
    assert kinds(world.verify()) == []


def test_what_is_wrong_with_a_topic_that_was_made_again_is_found(world: World) -> None:
    again(world, "events")
    world.live("d", "e")
    settle_what_never_was(world)
    lose_an_outcome(world)
    assert kinds(world.verify()) == [("lost_event", "events", 1), ("orphan_outcome", "outcomes", 1)]


def test_what_was_under_way_when_its_topic_was_deleted_is_unproven(world: World) -> None:
    world.publish("slow")
    seen, asked, ended = world.made("slow", 3)
    world.write(seen)
    again(world, "events")
    trim(world, "verdicts", 4)
    world.live("d")
    world.write(asked, ended)
    report = world.verify()
    assert kinds(report) == []
    assert report.counts["outcomes"]["orphans_unproven"] == 4


def test_an_event_lost_although_outcomes_are_deleted_is_still_found(world: World) -> None:
    lose_an_outcome(world)
    world.live()
    world.publish("d")
    world.write(*world.made("d", 3))
    trim(world, "outcomes", 3)
    assert kinds(world.verify()) == [("lost_event", "events", 1)]


def test_without_a_row_or_a_record_the_end_of_an_event_is_unproven(expiring: World) -> None:
    world = expiring
    event = json.dumps({"id": "old", "text": "x", "time": OLD.isoformat()}).encode()
    world.raw("events", event, 1)
    trim(world, "outcomes", 3)
    report = world.verify()
    assert (kinds(report), report.clean) == ([], False)
    assert (report.ends["unproven"], report.ends["lost"], report.unproven["lost_event"]) == (1, 0, 1)


def test_rows_that_expired_while_kafka_holds_their_records_are_unproven(expiring: World) -> None:
    world = expiring
    for name, offset in (("old", 3), ("new", 4)):
        world.publish(name)
        told = world.made(name, offset)
        origin = replace(told[1].origin, event_time=OLD if name == "old" else datetime.now(UTC))
        event = replace(told[0].event, origin=origin)
        parts: tuple[Any, ...] = (replace(told[0], event=event), *(replace(one, origin=origin) for one in told[1:]))
        world.put(*parts)
    report = world.verify()
    assert sorted(kinds(report)) == [
        (kind, topic, 1)
        for kind, topic in [("missing_row", "calls"), ("missing_row", "outcomes"), ("missing_row", "verdicts")]
    ]
    assert not report.clean
    assert report.unproven["missing_row"] == 3


def test_a_dead_letter_that_only_clickhouse_has_is_an_end(world: World) -> None:
    world.publish("dead", 1)
    world.write(letter(world, "events", 0, "dead", 1))
    trim(world, "dead-letters", 1)
    report = world.verify()
    assert (kinds(report), report.ends["dead_letter"], report.reasons) == ([], 1, {"bad_event": 1})


def test_a_call_that_its_topic_holds_is_not_a_missing_one(world: World) -> None:
    world.publish("d")
    seen, asked, ended = world.made("d", 3)
    world.write(seen, ended)
    world.put(asked)
    assert kinds(world.verify()) == [("missing_row", "calls", 1)]


@pytest.mark.parametrize("at", [datetime(2025, 1, 1, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC)])
@pytest.mark.parametrize("topic", ["events", "calls"])
def test_the_times_of_a_first_record_neither_hide_a_fault_nor_make_one(
    apache: KafkaConfig, config: ClickHouseConfig, topic: str, at: datetime
) -> None:
    world = World(apache, config)
    configure(world, topic, "message.timestamp.after.max.ms", str(2**63 - 1))
    configure(world, topic, "retention.ms", "-1")
    value = json.dumps({"id": "first", "text": "x"}).encode()
    if topic == "calls":
        value = b"\xc3\x01 no call"
    publish_at(world, topic, value, at)
    if topic == "events":
        world.write(*world.made("first", 0, 1))
    else:
        world.write(letter(world, "calls", 0, "x", 1))
    world.live("a", "b")
    assert [one for one in kinds(world.verify()) if one[0] != "unreadable"] == []
    write(world.clickhouse, call(event_of(world, "a"), "third", started_at=datetime.now(UTC)))
    assert ("stray_row", "calls", 1) in kinds(world.verify())


@pytest.mark.parametrize("at", [datetime(2025, 1, 1, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC)])
def test_the_time_of_the_first_event_that_is_left_hides_nothing(world: World, at: datetime) -> None:
    configure(world, "events", "message.timestamp.after.max.ms", str(2**63 - 1))
    configure(world, "events", "retention.ms", "-1")
    world.publish("gone", 1)
    world.write(*world.made("gone", 0, 1))
    publish_at(world, "events", b'{"id": "left", "text": "x"}', at)
    world.write(*world.made("left", 1, 1))
    trim(world, "events", 1, 1)
    assert kinds(world.verify()) == []
    write(world.clickhouse, call(event_of(world, "a"), "third", started_at=datetime.now(UTC)))
    assert kinds(world.verify()) == [("stray_row", "calls", 1)]


def test_a_row_older_than_a_compacted_topic_shows_is_unproven(world: World) -> None:
    configure(world, "calls", "cleanup.policy", "compact")
    write(world.clickhouse, call(event_of(world, "a"), "third", started_at=datetime.now(UTC)))
    report = world.verify()
    assert (kinds(report), report.counts["calls"]["rows_unproven"]) == ([], 1)


def test_an_outcome_of_an_aborted_event_is_an_orphan(world: World) -> None:
    abort(world.kafka, f"{world.prefix}events", [b'{"id": "aborted", "text": "x"}'])
    world.publish("d")
    world.write(*world.made("d", 5))
    world.write(replace(world.made("aborted", 3)[2], call_id=None))
    assert kinds(world.verify()) == [("orphan_outcome", "outcomes", 1)]


class Overtaken(TopicReader):
    """Retention deletes the events' beginning once their marks are fixed."""

    def marks(self, topic: str) -> dict[int, tuple[int, int]]:
        """The marks of before."""
        found = super().marks(topic)
        if topic.endswith(".events") and found[0][0] == 0:
            forget(self._config, topic, 2)
        return found


def test_a_proof_that_read_less_than_it_set_out_to_fails(world: World) -> None:
    world.scan = Overtaken
    report = world.verify()
    assert (kinds(report), report.clean) == ([("unread", "events", 2)], False)
    assert report.faults[0].examples == ({"partition": 0, "first": 0, "end": 2},)
    assert report.counts["events"]["records"] == 1


def test_the_command_fails_and_says_what_it_has_not_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {
        "ESCALON_KAFKA": world.kafka.servers,
        "ESCALON_CLICKHOUSE": world.clickhouse.url,
        "ESCALON_CLICKHOUSE_DATABASE": world.clickhouse.database,
        "ESCALON_TOPIC_PREFIX": world.prefix,
        "ESCALON_RUN": world.run,
    }
    escalon = CliRunner(env=environment)
    clean = escalon.invoke(app, ["verify"])
    assert (clean.exit_code, "Nothing is lost" in clean.output) == (0, True)
    lose_an_outcome(world)
    write(world.clickhouse, call(event_of(world, "a"), "third", started_at=OLD))
    told = json.loads(escalon.invoke(app, ["verify", "--json"]).stdout)
    assert (told["clean"], told["young"], told["unproven"]) == (True, {"lost_event": 1}, {"stray_row": 1})
    monkeypatch.setattr("streams.cli.verification.TopicReader", Overtaken)
    failed = escalon.invoke(app, ["verify"])
    assert failed.exit_code == 1
    assert "2 offsets that Kafka deleted before they were read" in failed.output
    assert "Nothing is lost" not in failed.output


class MadeAgain(TopicReader):
    """The outcomes are deleted and created again once their marks are fixed, and have as many records soon."""

    def marks(self, topic: str) -> dict[int, tuple[int, int]]:
        """The marks of before."""
        found = super().marks(topic)
        if topic.endswith(".outcomes"):
            remake(self._config, topic, 2)
        return found


def test_a_topic_made_again_under_the_proof_fails_it(world: World) -> None:
    world.scan = MadeAgain
    with pytest.raises(ServiceError, match="deleted and created again"):
        world.verify()
