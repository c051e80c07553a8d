"""From `escalon label`, from Python and from any client's JSON to the audit, on a real broker and ClickHouse."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from confluent_kafka import Producer
from typer.testing import CliRunner

from streams.adapters.blobs import BlobStore
from streams.adapters.clickhouse import ClickHouseConfig, migrate
from streams.adapters.codec import Codec
from streams.adapters.kafka import KafkaConfig
from streams.adapters.kafka_admin import create_topics, describe_cluster
from streams.app.event_reader import build_event_reader
from streams.app.publisher import Publisher
from streams.app.settings import read_settings
from streams.audit.query import Audit
from streams.cli.main import app
from streams.core.errors import ConfigError, UnreadableError
from streams.core.messages import Label
from streams.embedded.broker import Tansu
from streams.embedded.stack import EmbeddedStack
from streams.sink.sink import Sink
from tests.builders import event, outcome, verdict
from tests.harness.audit import write

pytestmark = pytest.mark.embedded

WAIT_SECONDS = 60.0


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddedStack]:
    """A broker and a ClickHouse that commands find by ESCALON_DATA, with topics and tables."""
    monkeypatch.setenv("ESCALON_DATA", str(tmp_path))
    for name in ("ESCALON_KAFKA", "ESCALON_CLICKHOUSE", "ESCALON_SCHEMA_REGISTRY", "ESCALON_TOPIC_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    with EmbeddedStack(tmp_path, Tansu()) as running:
        create_topics(KafkaConfig(servers=running.addresses.kafka), "", 1, 1)
        migrate(ClickHouseConfig(url=running.addresses.clickhouse))
        yield running


def recorder(stack: EmbeddedStack, stop: threading.Event) -> Sink:
    settings, codec = read_settings(), Codec()
    kafka = KafkaConfig(servers=stack.addresses.kafka)
    _, letters = build_event_reader(settings, describe_cluster(kafka), codec, BlobStore(settings.blobs))
    clickhouse = ClickHouseConfig(url=stack.addresses.clickhouse)
    return Sink(kafka=kafka, clickhouse=clickhouse, codec=codec, prefix="", dead_letters=letters, stop=stop)


def recorded(stack: EmbeddedStack, rows: int) -> tuple[list[tuple[str, str, str]], list[tuple[str, str]]]:
    """The labels and the reasons of dead letters in the audit, once there are so many of both."""
    audit = Audit(ClickHouseConfig(url=stack.addresses.clickhouse))
    deadline = time.monotonic() + WAIT_SECONDS
    try:
        while True:
            labels = audit.query("SELECT event_id, label, source FROM labels ORDER BY event_id").records()
            letters = audit.query("SELECT topic, reason FROM dead_letters").records()
            if len(labels) + len(letters) >= rows or time.monotonic() > deadline:
                break
            time.sleep(0.2)
    finally:
        audit.close()
    told = [(row["event_id"], row["label"], row["source"]) for row in labels]
    return told, [(row["topic"], row["reason"]) for row in letters]


def test_labels_of_every_kind_reach_the_audit_and_wrong_ones_the_dead_letters(stack: EmbeddedStack) -> None:
    said = CliRunner().invoke(app, ["label", "-", "--json"], input='{"event_id": "a", "label": {"n": 1}}\n')
    assert said.exit_code == 0, said.output
    delivery = json.loads(said.stdout)
    assert (delivery["event_id"], delivery["topic"], delivery["event_known"]) == ("a", "labels", False)
    assert "1 of 1 labels are about events that the audit does not know (for example a)" in " ".join(
        said.stderr.split()
    )
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    with Publisher(stack.addresses.kafka) as publisher:
        publisher.label("b", "refund", aspect="intent", source="desk")
        assert [one.event_id for one in publisher.flush()] == ["b"]
        with pytest.raises(UnreadableError, match="null"):
            publisher.label("b", None)
        with pytest.raises(UnreadableError, match="later than it came"):
            publisher.label("b", "refund", time=tomorrow)
    producer = Producer({"bootstrap.servers": stack.addresses.kafka})
    ahead = json.dumps({"event_id": "c", "label": 4, "labelled_at": tomorrow.isoformat()})
    in_avro = Codec().encode(Label(event_id="c", label="5", labelled_at=tomorrow))
    for value in ('{"event_id": "c", "label": 3.5}', '{"event_id": "d"}', ahead, in_avro):
        producer.produce("labels", value)
    assert producer.flush(20) == 0
    stop = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(recorder(stack, stop).run)
        try:
            labels, letters = recorded(stack, 6)
        finally:
            stop.set()
            running.result(WAIT_SECONDS)
    assert labels == [("a", '{"n": 1}', ""), ("b", "refund", "desk"), ("c", "3.5", "")]
    assert sorted(letters) == [("labels", "bad_fields"), ("labels", "bad_time"), ("labels", "bad_time")]


def test_labels_about_events_that_the_audit_knows_are_distinguished_from_others(stack: EmbeddedStack) -> None:
    of = event("known")
    write(ClickHouseConfig(url=stack.addresses.clickhouse), verdict(of), outcome(event("ended")))
    ids = ("known", "ended", "unknown", "known")
    lines = "".join(json.dumps({"event_id": one, "label": "x"}) + "\n" for one in ids)
    said = CliRunner().invoke(app, ["label", "-"], input=lines)
    assert said.exit_code == 0
    assert "1 of 4 labels are about events that the audit does not know (for example unknown)" in " ".join(
        said.stderr.split()
    )
    other_run = json.dumps({"event_id": "known", "label": "x", "run": "trial"})
    assert "(for example known)" in " ".join(CliRunner().invoke(app, ["label", "-"], input=other_run).stderr.split())
    quiet = CliRunner().invoke(app, ["label", "-"], input=lines.splitlines()[0])
    assert quiet.stderr == ""


def test_one_wrong_line_keeps_all_others_from_being_published(stack: EmbeddedStack) -> None:
    lines = '{"event_id": "a", "label": 1}\n{"event_id": "b"}\n'
    refused = CliRunner().invoke(app, ["label", "-"], input=lines)
    assert isinstance(refused.exception, ConfigError)
    assert "line 2" in str(refused.exception)
    with Publisher(stack.addresses.kafka) as publisher:
        publisher.label("c", "first in its partition")
        assert [one.offset for one in publisher.flush()] == [0]
