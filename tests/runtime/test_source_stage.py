"""The stage that reads the user's own topics, on fakes of the producer: what it publishes, skips and refuses."""

from __future__ import annotations

from typing import Any

import pytest

from streams.adapters.dead_letters import DeadLetters, EventIds
from streams.adapters.event_reader import EventReader
from streams.adapters.kafka import KafkaConfig
from streams.adapters.kafka_record import KafkaRecord
from streams.adapters.source_reader import SourceReader
from streams.adapters.source_topics import SourceTopics
from streams.app.sources import TopicFinder, source_binding
from streams.core.errors import NotReadyError, ServiceError
from streams.core.messages import RawEvent
from streams.pipeline.source import SourceSpec
from streams.runtime import bind
from streams.telemetry.metrics import REGISTRY
from tests.harness.bound_stage import AT, CODEC, StageOnFakes
from tests.harness.user_topics import TRACE, Sent, note

KAFKA = KafkaConfig(servers="127.0.0.1:1")
SPEC = SourceSpec.model_validate(
    {"topics": ["shop.orders"], "id": "/note/number", "text": "/body", "unless": {"header:region": "jp"}}
)
TOPICS = SourceTopics([SPEC], "pre.")
READER = SourceReader(TOPICS, CODEC, "cluster", 900_000)
EVENTS = EventReader(CODEC, "cluster", "live", 900_000)
LETTERS = DeadLetters(
    run="live", cluster_id="cluster", keep_whole=lambda _: "sha", event_id=EventIds(EVENTS, CODEC, "pre.", READER)
)


def stage(reader: Any = READER) -> StageOnFakes:
    return StageOnFakes(source_binding(KAFKA, reader).handle, letters=LETTERS, topic="source")


def received(sent: Sent, offset: int = 17) -> KafkaRecord:
    headers = [(name, value.encode()) for name, value in sent.headers.items()]
    return KafkaRecord("shop.orders", 3, offset, sent.bytes_of(sent.key), sent.bytes_of(sent.value), AT, headers)


def skipped(reason: str) -> float:
    found = REGISTRY.get_sample_value("escalon_source_skipped_total", {"topic": "shop.orders", "reason": reason})
    return found or 0.0


async def test_an_event_goes_to_escalons_topic_under_its_id_with_its_origin() -> None:
    on = stage()
    await on.handle(received(note(7, "Is it open?")))
    (sent,) = on.producer.sent
    assert (sent.topic, sent.key) == ("pre.events", b"7")
    there = KafkaRecord("pre.events", 0, 99, sent.key, sent.value, AT, sent.headers or [])
    origin = EVENTS(there).origin
    assert (origin.event_id, origin.topic, origin.partition, origin.offset) == ("7", "shop.orders", 3, 17)
    assert origin.trace_id == TRACE
    assert on.committable == 18


async def test_a_record_that_is_read_again_makes_the_same_bytes() -> None:
    on = stage()
    await on.handle(received(note(7, "Is it open?")))
    await on.handle(received(note(7, "Is it open?"), 18))
    one, other = on.producer.sent
    assert (one.key, one.value) == (other.key, other.value)


@pytest.mark.parametrize(
    ("sent", "reason"), [(Sent(None, b"k"), "tombstone"), (note(1, "x", "jp"), "filtered")], ids=["tombstone", "filter"]
)
async def test_what_is_skipped_is_done_and_counted_and_publishes_nothing(sent: Sent, reason: str) -> None:
    on, before = stage(), skipped(reason)
    await on.handle(received(sent))
    assert (on.producer.sent, on.committable) == ([], 18)
    assert skipped(reason) == before + 1


async def test_a_record_that_makes_no_event_is_a_dead_letter_with_its_place() -> None:
    on = stage()
    await on.handle(received(Sent(b"{ no")), received(Sent({"body": "x"}), 18))
    one, other = on.letters()
    assert (one.topic, one.partition, one.offset, one.reason) == ("shop.orders", 3, 17, "invalid_json")
    assert (other.offset, other.reason) == (18, "bad_id")
    assert on.topics() == ["pre.dead-letters"] * 2
    assert len({one.event_id, other.event_id}) == 2


async def test_a_registry_that_is_not_ready_makes_the_record_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bind, "RETRY_SECONDS", 0.001)
    answers: list[Any] = [NotReadyError("It loads."), RawEvent(id="a", text="hi")]

    class Slow:
        topics = TOPICS

        def __call__(self, _: KafkaRecord) -> RawEvent:
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            assert isinstance(answer, RawEvent)
            return answer

    on = stage(Slow())
    await on.handle(received(Sent({})))
    assert (on.topics(), answers) == (["pre.events"], [])


# ---- Topics that come later ----


class Admin:
    """The topics of a cluster."""

    def __init__(self, *topics: str) -> None:
        self.topics, self.asked = dict.fromkeys(topics), 0

    def list_topics(self, timeout: float) -> Admin:  # noqa: ARG002 - the client's name
        self.asked += 1
        return self


def finder(admin: Admin, *tables: dict[str, Any]) -> TopicFinder:
    made = TopicFinder(KAFKA, SourceTopics([SourceSpec.model_validate(one) for one in tables], "pre."))
    made._admin = admin
    return made


def test_a_topic_that_is_missing_is_waited_for_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    admin = Admin("other")
    found = finder(admin, {"topics": ["a", "b"]})
    assert (found(), found()) == ([], [])
    admin.topics = {"a": None}
    assert found() == ["a"]
    admin.topics = {"b": None}
    assert found() == ["a", "b"], "a topic that is gone may come again"
    assert [one.message.partition(",")[0] for one in caplog.records] == [
        "[source]: Kafka has no topic a", "[source]: Kafka has no topic b"
    ]  # fmt: skip
    asked = admin.asked
    found()
    assert admin.asked == asked, "all are found"


def test_a_pattern_finds_topics_that_are_created_later_and_none_of_escalons() -> None:
    admin = Admin("pre.events", "__consumer_offsets")
    found = finder(admin, {"pattern": ".*"})
    assert found() == []
    admin.topics |= {"orders": None, "escalon-pre.listen-events-known-changelog": None}
    assert found() == ["orders"]


def test_a_broker_that_does_not_answer_is_a_service_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.app.sources.ADMIN_TIMEOUT", 0.1)
    with pytest.raises(ServiceError, match="does not list"):
        TopicFinder(KAFKA, TOPICS)()
