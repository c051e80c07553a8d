"""The event of a dead letter, and the record of it that is published again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from streams.adapters.blobs import BlobStore
from streams.adapters.codec import Codec
from streams.adapters.dead_letters import DeadLetters, EventIds
from streams.adapters.event_reader import EventReader
from streams.adapters.kafka_record import RETRY_HEADER, KafkaRecord
from streams.audit.dead_letters.originals import GoneError, Originals
from streams.audit.dead_letters.republish import RepublishEvent, why_no_event
from streams.audit.dead_letters.sources import MapAgain
from streams.audit.dead_letters.table import DeadLetterTable
from streams.core.errors import ConfigError
from streams.core.messages import DeadLetter, Deferred, Escalation, Event, Result, Sighting, Verdict
from streams.core.topics import topic_of
from tests.builders import LETTER_STATUS, START, verdict

CAME, LATER = datetime(2026, 11, 1, 9, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC)
CODEC = Codec()
IDS = EventIds(EventReader(CODEC, "cluster", "live", 900_000), CODEC, "pre.")
EVENT = KafkaRecord(
    "pre.events", 3, 7, b"customer-9", b'{"text": "where is it?"}', CAME, [("theirs", b"\xff"), (RETRY_HEADER, b"old")]
)


class FakeScan:
    """The topic events, with one record."""

    def __init__(self, record: KafkaRecord | None) -> None:
        self._record = record

    def record(self, topic: str, partition: int, offset: int) -> Any:
        """The headers in confluent-kafka's form."""
        one = self._record
        if one is None or (topic, partition, offset) != (one.topic, one.partition, one.offset):
            return None
        time = int(one.timestamp.timestamp() * 1000)
        return SimpleNamespace(
            topic=lambda: one.topic, partition=lambda: one.partition, offset=lambda: one.offset, key=lambda: one.key,
            value=lambda: one.value, timestamp=lambda: (1, time), headers=lambda: list(one.headers),
        )  # fmt: skip


def event() -> Event:
    return EventReader(CODEC, "cluster", "live", 900_000)(EVENT)


def sighting() -> Sighting:
    return Sighting(event=event(), listener="seen", image_hash="0" * 16, findings=())


def of_verdict() -> Verdict:
    return verdict(event())


def escalation() -> Escalation:
    return Escalation(
        event=event(), intents=("question",), handler="gone", reason="routed", fingerprint="f", pipeline="p",
        decided_at=START,
    )  # fmt: skip


def by_budget() -> Deferred:
    return Deferred(cause="budget", verdict=of_verdict(), not_before=LATER, reason="budget")


def by_provider() -> Deferred:
    return Deferred(cause="provider", escalation=escalation(), not_before=LATER, reason="away")


def result() -> Result:
    return Result(
        origin=event().origin, state="answered", tier="worker", handler="gone", intent="question", pipeline="p",
        decided_at=START,
    )  # fmt: skip


def dead(tmp_path: Path, topic: str, value: bytes) -> DeadLetter:
    make = DeadLetters(run="live", cluster_id="cluster", keep_whole=BlobStore(str(tmp_path)).put, event_id=IDS)
    return make.letter(KafkaRecord(topic, 1, 50, b"k", value, LATER), ConfigError("the worker is gone"))


def from_events(tmp_path: Path, record: KafkaRecord | None) -> RepublishEvent:
    no_clickhouse: Any = None
    originals = Originals(
        scan=None,
        letters=DeadLetterTable(no_clickhouse),
        codec=CODEC,
        blobs=BlobStore(str(tmp_path)),
        prefix="pre.",
        run="live",
    )
    scan: Any = FakeScan(record)
    again = MapAgain(reader=lambda: None, codec=CODEC, prefix="pre.")
    return RepublishEvent(originals=originals, again=again, scan=scan, codec=CODEC, prefix="pre.", event=IDS.event)


@pytest.mark.parametrize("make", [sighting, of_verdict, escalation, by_budget, by_provider, result])
def test_the_event_of_any_letter_that_ends_one_lands_as_if_it_came_the_first_time(
    tmp_path: Path, make: Callable[[], Any]
) -> None:
    message = make()
    letter = dead(tmp_path, f"pre.{topic_of(message).name}", CODEC.encode(message))
    again = from_events(tmp_path, EVENT)(letter)
    assert (again.topic, again.partition, again.key, again.value) == ("pre.events", 3, b"customer-9", EVENT.value)
    landed = KafkaRecord(again.topic, again.partition or 0, 99, again.key, again.value, LATER, again.headers)
    origin = EventReader(CODEC, "cluster", "live", 900_000)(landed).origin
    before = event().origin
    assert (origin.event_id, origin.event_time, origin.trace_id) == (before.event_id, CAME, before.trace_id)
    assert [value for name, value in again.headers if name == RETRY_HEADER] == [letter.dead_letter_id.encode()]
    assert ("theirs", b"\xff") in again.headers


def test_a_letter_of_the_topic_events_is_that_event(tmp_path: Path) -> None:
    letter = dead(tmp_path, "pre.events", b"\xff no text")
    assert from_events(tmp_path, None)(letter).value == b"\xff no text"


@pytest.mark.parametrize(
    "there", [None, replace(EVENT, value=b'{"id": "another", "text": "x"}'), replace(EVENT, value=None)]
)
def test_an_event_that_its_topic_does_not_hold_any_more_is_not_replaced_by_another(
    tmp_path: Path, there: KafkaRecord | None
) -> None:
    letter = dead(tmp_path, "pre.verdicts", CODEC.encode(of_verdict()))
    with pytest.raises(GoneError, match="no longer holds its event"):
        from_events(tmp_path, there)(letter)


def test_another_event_under_the_same_id_at_the_same_place_is_not_taken_for_it(tmp_path: Path) -> None:
    named = replace(EVENT, value=b'{"id": "row-7", "text": "open?"}')
    seen = verdict(EventReader(CODEC, "cluster", "live", 900_000)(named))
    letter = dead(tmp_path, "pre.verdicts", CODEC.encode(seen))
    assert from_events(tmp_path, named)(letter).value == named.value
    with pytest.raises(GoneError, match="no longer holds its event"):
        from_events(tmp_path, replace(named, value=b'{"id": "row-7", "text": "closed?"}'))(letter)


def test_a_letter_that_cannot_be_read_names_no_event(tmp_path: Path) -> None:
    with pytest.raises(GoneError, match="cannot be read"):
        from_events(tmp_path, EVENT)(dead(tmp_path, "pre.verdicts", b"\xc3\x01 broken"))


@pytest.mark.parametrize(
    ("topic", "reason", "may"),
    [
        ("pre.verdicts", "operator_error", True),
        ("pre.results", "too_large", True),
        ("pre.labels", "bad_fields", False),
        ("pre.outcomes", "bad_row", False),
        ("pre.verdicts", "bad_row", False),
    ],
)
def test_only_what_ends_an_event_is_retried_by_it(topic: str, reason: str, may: bool) -> None:
    assert (why_no_event(replace(LETTER_STATUS, topic=topic, reason=reason), "pre.") is None) == may
