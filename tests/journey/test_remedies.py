"""A person's remedy for a dead letter ends its event: on Apache Kafka, with the commands themselves."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
from typer.testing import CliRunner

from streams.app.settings import read_settings
from streams.cli.main import app
from streams.embedded.local_pipeline import running_pipeline
from streams.pipeline.code import ANY_PYTHON
from streams.pipeline.load import load_pipeline
from tests.harness.journey import FakeClaude, Journey

pytestmark = pytest.mark.embedded

TRACE = "0af7651916cd43dd8448eb211c80319c"
PIPELINE = Path(__file__).parent / "remedies"


@pytest.fixture(scope="module")
def journey(kafka_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    """A pipeline of plain functions, in a folder of its own, on Apache Kafka with two partitions a topic."""
    data = tmp_path_factory.mktemp("remedies")
    shutil.copytree(PIPELINE, data / "pipeline")
    with FakeClaude() as claude, pytest.MonkeyPatch.context() as patched:
        patched.setenv("ESCALON_DATA", str(data))
        patched.syspath_prepend(str(data / "pipeline"))
        patched.setenv("ESCALON_PARTITIONS", "2")
        patched.setenv("ESCALON_KAFKA_COMPRESSION", "none")  # the broker's limits are on compressed messages
        patched.setenv("KAFKA_HOME", str(kafka_home))
        for name in ("ESCALON_KAFKA", "ESCALON_CLICKHOUSE", "ESCALON_SCHEMA_REGISTRY"):
            patched.delenv(name, raising=False)
        pipeline = load_pipeline(data / "pipeline" / "pipeline.toml", ANY_PYTHON)
        with running_pipeline(read_settings(os.environ), pipeline) as running:
            patched.setenv("ESCALON_KAFKA", running.kafka.servers)
            patched.setenv("ESCALON_CLICKHOUSE", running.clickhouse.url)
            yield Journey(running, claude)


def publish(journey: Journey, partition: int, *events: dict[str, Any], **headers: bytes) -> None:
    producer = Producer(journey.running.kafka.confluent())
    for one in events:
        producer.produce("events", json.dumps(one).encode(), partition=partition, headers=dict(headers))
    assert producer.flush(30) == 0


def documents(*arguments: str) -> list[dict[str, Any]]:
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def letters(journey: Journey, until: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
    """The list of open dead letters, once the sink has what is waited for."""

    def listed() -> list[dict[str, Any]]:
        return documents("dead-letters", "list", "--state", "open")

    journey.query("SELECT dead_letter_id FROM dead_letters", lambda _: until(listed()))
    found = listed()
    assert until(found), found
    return found


def verified(journey: Journey, *events: str) -> dict[str, Any]:
    """Return the report of `verify`, once the sink has these events' outcomes."""
    journey.query("SELECT event_id FROM outcomes", lambda rows: set(events) <= {one["event_id"] for one in rows})
    (report,) = documents("verify", "--grace", "0s")
    return dict(report)


def take_at_most(journey: Journey, topic: str, size: int) -> None:
    """Change what the broker takes of a topic."""
    entry = ConfigEntry("max.message.bytes", str(size), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient(journey.running.kafka.confluent())
    for done in admin.incremental_alter_configs([resource]).values():
        done.result(30)


def test_an_outcome_the_broker_refused_comes_once_the_limit_is_raised_and_its_result_retried(journey: Journey) -> None:
    take_at_most(journey, "outcomes", 2000)
    publish(journey, 0, {"id": "long-1", "text": "at length?"}, {"id": "short-1", "text": "briefly?"})
    (letter,) = letters(journey, lambda all_: len(all_) == 1)
    assert (letter["event_id"], letter["topic"], letter["reason"]) == ("long-1", "results", "too_large")

    # Before the limit is raised a retry makes the same letter again, and burns nothing.
    assert [one["done"] for one in documents("dead-letters", "retry", letter["dead_letter_id"])] == ["retried"]
    first = letter["dead_letter_id"]
    (again,) = letters(journey, lambda all_: len(all_) == 1 and all_[0]["dead_letter_id"] != first)

    take_at_most(journey, "outcomes", 1_000_000)
    assert [one["done"] for one in documents("dead-letters", "retry", again["dead_letter_id"])] == ["retried"]
    (outcome,) = journey.outcomes({"long-1", "short-1"})["long-1"]
    assert len(json.loads(outcome.answer or "")["echo"]) == 3000
    report = verified(journey, "long-1", "short-1")
    assert (report["faults"], report["ends"]["outcome"], report["ends"]["dead_letter"]) == ([], 2, 0)


def test_an_answer_that_its_changelog_refuses_ends_its_event_all_the_same(journey: Journey) -> None:
    take_at_most(journey, "escalon-work-verdicts-answers-changelog", 2000)
    publish(journey, 0, {"id": "long-2", "text": "at length, again?"}, {"id": "short-2", "text": "briefly, again?"})
    journey.outcomes({"long-2", "short-2"})
    report = verified(journey, "long-2", "short-2")
    assert (report["faults"], report["ends"]["dead_letter"]) == ([], 0)


def test_another_event_under_a_known_id_is_a_dead_letter_before_it_is_worked(journey: Journey) -> None:
    first, other = {"id": "row-7", "text": "open?"}, {"id": "row-7", "text": "closed?"}
    publish(journey, 0, first)
    journey.outcomes({"row-7"})
    publish(journey, 0, other, first)  # the second of them is a redelivery
    (letter,) = letters(journey, lambda all_: len(all_) == 1)
    assert (letter["event_id"], letter["topic"], letter["reason"]) == ("row-7", "events", "id_conflict")
    (left,) = documents("dead-letters", "retry", letter["dead_letter_id"])
    assert "another event has its id" in left["left"]
    assert json.loads(journey.outcomes({"row-7"})["row-7"][0].answer or "") == {"echo": "open?"}
    report = verified(journey, "row-7")
    assert (report["faults"], report["ends"]["dead_letter"]) == ([], 1)
    assert report["reasons"] == {"id_conflict": 1}
    assert documents("dead-letters", "drop", letter["dead_letter_id"], "--reason", "known")[0]["done"] == "dropped"


def test_another_event_on_another_partition_is_found_when_it_ends(journey: Journey) -> None:
    publish(journey, 0, {"id": "row-8", "text": "open?", "time": "2026-11-01T12:00:00Z"})
    journey.outcomes({"row-8"})
    publish(journey, 1, {"id": "row-8", "text": "closed?", "time": "2026-11-01T12:00:00Z"})
    (letter,) = letters(journey, lambda all_: len(all_) == 1)
    assert (letter["event_id"], letter["topic"], letter["reason"]) == ("row-8", "results", "id_conflict")
    report = verified(journey, "row-8")
    assert (report["faults"], report["reasons"]) == ([], {"id_conflict": 1})
    # Both verdicts and both calls are in the audit, and what they say keeps them apart.
    of_both = journey.query(
        "SELECT text, content_digest, call_id FROM verdicts AS v INNER JOIN calls AS c"
        " ON c.event_id = v.event_id AND c.content_digest = v.content_digest AND c.tier = 'worker'"
        " WHERE event_id = 'row-8' ORDER BY text",
        lambda rows: len(rows) == 2,
    )
    assert [row["text"] for row in of_both] == ["closed?", "open?"]
    assert len({row["call_id"] for row in of_both}) == 2
    assert documents("dead-letters", "drop", letter["dead_letter_id"], "--reason", "known")[0]["done"] == "dropped"


def test_cloud_events_of_two_sources_are_two_events(journey: Journey) -> None:
    """Their ids are unique within a source alone."""
    event = {"specversion": "1.0", "id": "1", "type": "note", "text": "who?"}
    publish(journey, 0, event | {"source": "/a"}, event | {"source": "/b"}, event | {"source": "/a"})
    publish(journey, 0, {"text": "binary?"}, ce_specversion=b"1.0", ce_id=b"1", ce_source=b"/c")
    outcomes = journey.outcomes({"/a 1", "/b 1", "/c 1"})
    assert [len(outcomes[f"/{source} 1"]) for source in "abc"] == [1, 1, 1]
    assert verified(journey, "/a 1", "/b 1", "/c 1")["faults"] == []


def test_a_verdict_whose_worker_was_renamed_ends_by_its_event(journey: Journey) -> None:
    running, ids = journey.running, {"waits-1", "waits-2"}
    running.supervisor.stop(running.processes["work"])
    publish(journey, 0, {"id": "waits-1", "text": "who?", "time": "2026-11-01T12:00:00Z"})
    publish(journey, 1, {"id": "waits-2", "text": "where?", "trace_id": TRACE})
    journey.query("SELECT event_id FROM verdicts", lambda rows: ids <= {one["event_id"] for one in rows})
    changed = running.pipeline.read_text("utf-8").replace("workers.echo", "workers.repeat")
    running.pipeline.write_text(changed, "utf-8")
    running.reload()
    first = letters(journey, lambda all_: {one["event_id"] for one in all_} == ids)
    assert {(one["topic"], one["reason"]) for one in first} == {("verdicts", "operator_error")}

    # Retried as they came they fail again. By their events they pass through today's pipeline.
    assert len(documents("dead-letters", "retry", "--reason", "operator_error")) == 2
    gone = {one["dead_letter_id"] for one in first}
    again = letters(journey, lambda all_: len(all_) == 2 and not gone & {one["dead_letter_id"] for one in all_})
    assert {one["event_id"] for one in again} == ids
    done = documents("dead-letters", "retry", "--all", "--from", "events")
    assert [(one["done"], one["topic"]) for one in done] == [("retried", "events")] * 2
    outcomes = journey.outcomes(ids)
    assert {one.handler for event_id in ids for one in outcomes[event_id]} == {"repeat"}
    assert outcomes["waits-1"][0].origin.event_time == datetime(2026, 11, 1, 12, tzinfo=UTC)
    assert outcomes["waits-2"][0].origin.trace_id == TRACE
    report = verified(journey, *ids)
    assert (report["faults"], report["ends"]["dead_letter"], report["ends"]["lost"]) == ([], 0, 0)

    # What has ended is left alone.
    (left,) = documents("dead-letters", "retry", next(iter(gone)), "--again", "--from", "events")
    assert "has ended as answered" in left["left"]
    assert "retry --from events" in first[0]["detail"]
