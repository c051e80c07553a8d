"""The contract that the bindings of all stages keep."""

from __future__ import annotations

import asyncio
import errno
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from streams import Answer, Task
from streams.adapters.blobs import BlobStore
from streams.adapters.codec import Codec
from streams.adapters.dead_letters import DeadLetters
from streams.adapters.kafka import KafkaConfig
from streams.adapters.kafka_admin import ClusterMetadata
from streams.app.event_reader import build_event_reader
from streams.app.process import WorkerTier
from streams.app.providers import Providers
from streams.app.settings import read_settings
from streams.app.tiers import _TIERS, Deployment
from streams.core.errors import ProcessError
from streams.core.messages import DeadLetter, Escalation, Message, RawEvent, Result, Sighting
from streams.core.topics import TOPICS
from streams.pipeline.load import load_pipeline
from streams.runtime.bind import Binding, StagePublisher, Work
from streams.runtime.drain import Drain
from tests.builders import ORIGIN, START, event, verdict
from tests.harness.fakes.faust import FakeApp, FakeEvent, FakeMessage, FakeTable

CODEC = Codec()
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


class AppWithTables(FakeApp):
    """A fake app whose tables are dictionaries."""

    def Table(self, *_: Any, **__: Any) -> FakeTable:  # noqa: N802 - Faust's name
        return FakeTable()


@dataclass
class Stage:
    """One stage's binding, on an app that can be exchanged as a new process would."""

    binding: Binding
    letters: DeadLetters
    good: bytes
    publishes: set[str]
    topic: str
    app: FakeApp = field(default_factory=FakeApp)

    async def handle(self, value: bytes, app: FakeApp | None = None) -> FakeMessage:
        """Handle one message as an agent does, and give its confirmation time to end."""
        self.app = app or FakeApp()
        work = Work(self.binding, StagePublisher(app=self.app, codec=CODEC, prefix=""), self.letters, Drain())
        message = FakeMessage(value=value, topic=self.topic, partition=0)
        delivered = FakeEvent(message)
        await work.handle(delivered)
        delivered.ack()  # the stream's, when the agent takes the next message
        for _ in range(20):
            await asyncio.sleep(0)
        return message

    def sent(self) -> list[tuple[str, bytes | None]]:
        """The topics and keys of what was published."""
        return [(topic, key) for topic, key, _ in self.app.sent]


@pytest.fixture(params=STAGES)
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Stage:
    (tmp_path / "pipeline.toml").write_text(PIPELINE, "utf-8")
    settings = read_settings({"ESCALON_DATA": str(tmp_path), "ESCALON_ALLOW_PYTHON": "1"})
    pipeline = load_pipeline(tmp_path / "pipeline.toml", settings.python)
    cluster = ClusterMetadata("cluster", {spec.name: 1 for spec in TOPICS})
    deployment = Deployment(
        settings=settings, kafka=KafkaConfig(servers="none:1"), cluster=cluster, pipeline=pipeline, codec=CODEC,
        blobs=BlobStore(settings.blobs), providers=Providers(pipeline, settings),
    )  # fmt: skip
    reader, letters = build_event_reader(settings, cluster, CODEC, deployment.blobs)
    tier, good, publishes = STAGES[request.param]
    bindings = _TIERS[tier](AppWithTables(), deployment, reader)
    (binding,) = (one for one in bindings if one.topic == request.param)
    return Stage(binding, letters, CODEC.encode(good), publishes, request.param)


async def test_a_message_is_acknowledged_once_kafka_has_its_results(stage: Stage) -> None:
    message = await stage.handle(stage.good)
    assert {topic for topic, _ in stage.sent()} == stage.publishes
    assert message.refcount == 0


async def test_a_message_whose_results_kafka_has_not_confirmed_is_not_acknowledged(stage: Stage) -> None:
    message = await stage.handle(stage.good, FakeApp(silent=True))
    assert {topic for topic, _ in stage.sent()} == stage.publishes
    assert message.refcount == 1


@pytest.mark.parametrize("bad", [b"\xc3\x01nonsense", b"\x00", b""], ids=["no schema", "cut off", "empty"])
async def test_a_message_that_cannot_be_read_is_a_dead_letter_and_acknowledged(stage: Stage, bad: bytes) -> None:
    message = await stage.handle(bad)
    ((topic, _, value),) = stage.app.sent
    letter = CODEC.decode(DeadLetter, value)
    assert (topic, letter.topic, letter.offset, letter.payload) == ("dead-letters", stage.topic, 17, bad)
    assert (message.refcount, stage.app.ending) == (0, None)


async def test_a_fault_of_the_process_ends_it_and_leaves_the_message_to_the_next_one(stage: Stage) -> None:
    message = await stage.handle(stage.good, FakeApp(errors=[OSError(errno.ENOSPC, "No space left on device")]))
    assert "No space left on device" in str(stage.app.ending)
    assert "dead-letters" not in dict(stage.sent())
    assert message.refcount == 1
    again = await stage.handle(stage.good)
    assert {topic for topic, _ in stage.sent()} == stage.publishes
    assert again.refcount == 0


async def test_a_redelivered_message_has_the_same_results_and_is_not_a_dead_letter(stage: Stage) -> None:
    await stage.handle(stage.good)
    first, outcomes = stage.sent(), [value for topic, _, value in stage.app.sent if topic == "outcomes"]
    message = await stage.handle(stage.good)
    assert stage.sent() == first
    assert [value for topic, _, value in stage.app.sent if topic == "outcomes"] == outcomes
    assert message.refcount == 0


async def test_a_process_that_is_ending_starts_no_message(stage: Stage) -> None:
    app = FakeApp()
    app.end(ending := ProcessError("The disk is full."))
    message = await stage.handle(stage.good, app)
    assert (stage.sent(), message.refcount, app.ending) == ([], 1, ending)
