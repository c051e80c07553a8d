"""The contract that the bindings of all stages keep."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from streams import Answer, Task
from streams.adapters.blobs import BlobStore
from streams.adapters.kafka import KafkaConfig
from streams.adapters.kafka_admin import ClusterMetadata
from streams.adapters.kafka_record import KafkaRecord
from streams.app.event_reader import build_event_reader
from streams.app.process import WorkerTier
from streams.app.providers import Providers
from streams.app.settings import read_settings
from streams.app.tiers import _TIERS, Deployment
from streams.core.errors import ProcessError
from streams.core.messages import Escalation, Message, RawEvent, Result, Sighting
from streams.core.tables import TableSpec
from streams.core.topics import TOPICS
from streams.pipeline.load import load_pipeline
from streams.runtime.table import Table
from streams.runtime.table_store import TableStore
from tests.builders import ORIGIN, START, event, verdict
from tests.harness.bound_stage import CODEC, StageOnFakes, record

PIPELINE = """
name = "contract"
[listeners.words]
kind = "rules"
[listeners.words.rules]
order = ["order"]
[listeners.seen]
kind = "image-duplicate"
[routes]
order = "workers.answer"
unsure = "ignore"
[workers.answer]
handler = "tests.runtime.test_bind_contract:answer"
[reasoners.think]
handler = "tests.runtime.test_bind_contract:answer"
"""


def answer(_: Task) -> Answer:
    """Answer every task."""
    return Answer({"a": 1}, confidence=0.9)


PHOTO = event("e1", "", image="0" * 64)
STAGES: dict[str, tuple[WorkerTier, Message, set[str]]] = {
    "events": ("listen", RawEvent(id="e1", text="my order"), {"calls", "verdicts"}),
    "images": (
        "listen",
        Sighting(event=PHOTO, listener="seen", image_hash="0" * 16, findings=()),
        {"calls", "verdicts", "results"},
    ),
    "verdicts": ("work", verdict(event()), {"calls", "results"}),
    "escalations": (
        "reason",
        Escalation(
            event=event(), intents=("order",), handler="think", reason="routed", fingerprint="f", pipeline="p",
            decided_at=START,
        ),
        {"calls", "results"},
    ),
    "results": (
        "settle",
        Result(
            origin=ORIGIN, state="answered", tier="worker", handler="answer", intent="order", pipeline="p",
            decided_at=START,
        ),
        {"outcomes"},
    ),
}  # fmt: skip
"""By topic: the tier that reads it, a good message, and the topics that it publishes to."""


@dataclass
class Tables:
    """Opens a tier's tables for one stage."""

    stage: StageOnFakes
    directory: Path

    def table(self, spec: TableSpec, ttl_seconds: float) -> Table:
        store = TableStore(spec.name, self.directory, ttl_seconds, self.stage.process.end)
        store.open(self.stage.partition.number)
        return Table(spec, spec.changelog(""), spec.source, store, self.stage.client)


@pytest.fixture(params=STAGES)
def topic(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def good(topic: str) -> KafkaRecord:
    return record(17, CODEC.encode(STAGES[topic][1]))


@pytest.fixture
def stage(topic: str, tmp_path: Path) -> StageOnFakes:
    (tmp_path / "pipeline.toml").write_text(PIPELINE, "utf-8")
    settings = read_settings({"ESCALON_DATA": str(tmp_path), "ESCALON_ALLOW_PYTHON": "1"})
    pipeline = load_pipeline(tmp_path / "pipeline.toml", settings.python)
    cluster = ClusterMetadata("cluster", {spec.name: 1 for spec in TOPICS})
    deployment = Deployment(
        settings=settings, kafka=KafkaConfig(servers="none:1"), cluster=cluster, pipeline=pipeline, codec=CODEC,
        blobs=BlobStore(settings.blobs), providers=Providers(pipeline, settings),
    )  # fmt: skip
    reader, letters = build_event_reader(settings, cluster, CODEC, deployment.blobs)
    stage = StageOnFakes(lambda *arguments: handle(*arguments), letters=letters, partition=0, topic=topic)
    app: Any = Tables(stage, tmp_path)
    (handle,) = (one.handle for one in _TIERS[STAGES[topic][0]](app, deployment, reader) if one.topic == topic)
    return stage


def published(stage: StageOnFakes) -> list[tuple[str, bytes | None]]:
    """The topics and keys of what was published, without changes of tables."""
    sent = [(one.topic.removeprefix("pre."), one.key) for one in stage.producer.sent]
    return [one for one in sent if one[0] in {spec.name for spec in TOPICS}]


async def test_a_message_is_done_once_kafka_has_its_results(stage: StageOnFakes, topic: str, good: KafkaRecord) -> None:
    stage.producer.silent = True
    await stage.begin(good)
    assert {name for name, _ in published(stage)} == STAGES[topic][2]
    assert stage.committable == 17
    stage.producer.silent = False
    await asyncio.wait_for(stage.partition.idle(), 10)
    assert stage.committable == 18


@pytest.mark.parametrize("bad", [b"\xc3\x01nonsense", b"\x00", b""], ids=["no schema", "cut off", "empty"])
async def test_a_message_that_cannot_be_read_is_a_dead_letter_and_done(stage: StageOnFakes, bad: bytes) -> None:
    await stage.handle(record(17, bad))
    (letter,) = stage.letters()
    assert (letter.offset, letter.payload, len(published(stage))) == (17, bad, 1)
    assert (stage.committable, stage.process.ending) == (18, None)


async def test_a_fault_of_the_process_ends_it_and_leaves_the_message_to_the_next_one(
    stage: StageOnFakes, topic: str, good: KafkaRecord
) -> None:
    stage.producer.raised.append(KafkaException(KafkaError(KafkaError._FATAL, "Local: Fatal error")))
    await stage.handle(good)
    assert "Local: Fatal error" in str(stage.process.ending)
    assert (stage.letters(), stage.committable) == ([], 17)
    stage.process.ending = None
    await stage.handle(good)
    assert {name for name, _ in published(stage)} == STAGES[topic][2]
    assert stage.committable == 18


async def test_a_redelivered_message_has_the_same_results_and_is_not_a_dead_letter(
    stage: StageOnFakes, good: KafkaRecord
) -> None:
    await stage.handle(good)
    first = published(stage)
    await stage.handle(good)
    assert published(stage) == first * 2
    assert len({one.value for one in stage.producer.sent if one.topic == "pre.outcomes"}) <= 1
    assert stage.committable == 18


async def test_a_process_that_is_ending_starts_no_message(stage: StageOnFakes, good: KafkaRecord) -> None:
    stage.process.end(ending := ProcessError("The disk is full."))
    await stage.handle(good)
    assert (stage.topics(), stage.committable, stage.process.ending) == ([], 17, ending)
