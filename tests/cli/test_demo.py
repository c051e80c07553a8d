"""The demo's events streamed once more through a pipeline on Apache Kafka, which keeps the outcomes of before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.adapters.clickhouse import ClickHouseConfig
from streams.adapters.codec import Codec
from streams.adapters.kafka import KafkaConfig
from streams.adapters.topic_reader import TopicReader
from streams.app.settings import read_settings
from streams.audit.ended_events import ended_events
from streams.cli.demo import stream
from streams.cli.event_source import read_source
from streams.cli.publication import publish_events
from streams.embedded.local_pipeline import RunningPipeline, running_pipeline
from streams.pipeline.load import load_pipeline
from tests.harness.fakes.topic_history import forget

pytestmark = pytest.mark.embedded
WAIT_SECONDS = 120.0
PIPELINE = """
name = "again"
[listeners.words]
kind = "rules"
[listeners.words.rules]
chat = ["hello"]
[routes]
chat = "ignore"
unsure = "ignore"
"""


@pytest.fixture
def running(
    kafka_home: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RunningPipeline]:
    """A pipeline that asks no model."""
    data = tmp_path_factory.mktemp("again")
    (data / "pipeline.toml").write_text(PIPELINE, "utf-8")
    monkeypatch.setenv("ESCALON_DATA", str(data))
    monkeypatch.setenv("ESCALON_CACHE", str(data / "cache"))
    monkeypatch.setenv("KAFKA_HOME", str(kafka_home))
    for name in ("ESCALON_KAFKA", "ESCALON_CLICKHOUSE", "ESCALON_SCHEMA_REGISTRY"):
        monkeypatch.delenv(name, raising=False)
    with running_pipeline(read_settings(), load_pipeline(data / "pipeline.toml")) as found:
        yield found


def known(running: RunningPipeline, wanted: set[str]) -> set[str]:
    return ended_events(running.kafka, running.clickhouse, Codec(), "", running.settings.run, wanted)


def recorded(clickhouse: ClickHouseConfig, count: int) -> bool:
    """True if the audit has at least `count` outcomes."""
    return bool(clickhouse.connect().query("SELECT count() FROM outcomes").result_rows[0][0] >= count)


def forget_outcomes(kafka: KafkaConfig) -> None:
    """Delete all outcomes from their topic."""
    with TopicReader(kafka) as scan:
        marks = scan.marks("outcomes")
    for partition, (low, high) in marks.items():
        if low < high:
            forget(kafka, "outcomes", high, partition)


def test_events_published_again_are_not_waited_for(running: RunningPipeline, tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    lines = [{"id": f"mail-{number}", "text": f"hello {number}"} for number in range(5)]
    events.write_text("\n".join(json.dumps(line) for line in lines), "utf-8")
    everything = {line["id"] for line in lines}
    publish_events(running.settings, list(read_source(str(events))))  # and broken off
    assert stream(running, events, WAIT_SECONDS) == everything
    assert stream(running, events, WAIT_SECONDS) == everything
    while not recorded(running.clickhouse, 5):
        running.supervisor.check()
    forget_outcomes(running.kafka)
    assert known(running, everything | {"never"}) == everything
    assert stream(running, events, WAIT_SECONDS) == everything
