"""The dead letters that may be retried, and the return of their originals to their topics."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from streams.adapters.blobs import BlobStore
from streams.adapters.codec import Codec
from streams.adapters.dead_letters import DeadLetters, EventIds
from streams.adapters.event_reader import EventReader
from streams.adapters.kafka import KafkaConfig
from streams.adapters.kafka_record import RETRY_HEADER, KafkaRecord
from streams.adapters.source_reader import SourceReader
from streams.audit.dead_letters.originals import Originals
from streams.audit.dead_letters.republish import republish_original
from streams.audit.dead_letters.retry import NotRetried, Retrier, RetryResult, why_not
from streams.audit.dead_letters.sources import MapAgain
from streams.audit.dead_letters.table import DeadLetterTable, LetterAction
from streams.core.errors import ServiceError, UnreadableError
from streams.core.messages import DeadLetter, Header
from streams.core.topics import BY_NAME
from tests.builders import LETTER_STATUS

AT = datetime(2026, 11, 1, 0, 0, 0, 5000, UTC)
NOW = datetime(2026, 11, 20, tzinfo=UTC)
CODEC = Codec()
READER = EventReader(CODEC, "cluster", "live", 900_000)


def received(value: bytes, topic: str = "pre.events", offset: int = 7, **more: Any) -> KafkaRecord:
    return KafkaRecord(topic=topic, partition=1, offset=offset, key=b"k", value=value, timestamp=AT, **more)


@dataclass
class Message:
    """A delivered message, for producers and consumers."""

    topic_: str = ""
    value_: bytes = b""
    partition_: int = 0
    offset_: int = 0

    def value(self) -> bytes:
        return self.value_

    def partition(self) -> int:
        return self.partition_

    def offset(self) -> int:
        return self.offset_


@dataclass
class FakeProducer:
    """Delivers at the flush. What is for a topic in `refuses` is not delivered."""

    refuses: frozenset[str] = frozenset()
    sent: list[dict[str, Any]] = field(default_factory=list)
    waiting: list[dict[str, Any]] = field(default_factory=list)

    def produce(self, topic: str, value: bytes, **more: Any) -> None:
        self.waiting.append({"topic": topic, "value": value, **more})

    def poll(self, _: float) -> int:
        return 0

    def flush(self, _: float) -> int:
        for one in self.waiting:
            if one["topic"] not in self.refuses:
                self.sent.append(one)
                one["on_delivery"](None, Message(partition_=one.get("partition", 5), offset_=len(self.sent)))
        self.waiting.clear()
        return 0


class FakeScan:
    """The topic dead-letters."""

    def __init__(self, letters: Iterable[DeadLetter]) -> None:
        self._values = [CODEC.encode(one) for one in letters]

    def marks(self, topic: str) -> str:
        assert topic == "pre.dead-letters"
        return topic

    def read(self, _: str, __: Any) -> Iterator[Message]:
        yield Message(value_=b"\xc3\x01 no letter")
        for value in self._values:
            yield Message(value_=value)


class FakeLetters(DeadLetterTable):
    """The audit: rows by id, and what was recorded."""

    def __init__(self, rows: dict[str, dict[str, Any]] | None = None) -> None:
        self.rows = rows or {}
        self.recorded: list[LetterAction] = []

    def row(self, run: str, dead_letter_id: str) -> dict[str, Any] | None:
        assert run == "live"
        return self.rows.get(dead_letter_id)

    def record(self, actions: Iterable[LetterAction]) -> None:
        self.recorded += actions


@dataclass
class Site:
    """A retrier between fakes."""

    blobs: BlobStore
    held: list[DeadLetter] = field(default_factory=list)
    producer: FakeProducer = field(default_factory=FakeProducer)
    letters: FakeLetters = field(default_factory=FakeLetters)
    reader: Callable[[], SourceReader | None] = lambda: None
    """Of the user's own topics."""

    def dead(self, record: KafkaRecord, error: Exception | None = None) -> DeadLetter:
        """The dead letter of a record, as the tiers make it, on its topic."""
        make = DeadLetters(
            run="live", cluster_id="cluster", keep_whole=self.blobs.put, event_id=EventIds(READER, CODEC, "pre.")
        )
        made = make.letter(record, error or UnreadableError("missing_image", "x"))
        self.held.append(made)
        return made

    def retry(self, *letters: DeadLetter, partitions: int = 3) -> list[RetryResult]:
        """Retry letters and return the results."""
        originals = Originals(
            scan=FakeScan(self.held),  # type: ignore[arg-type]
            letters=self.letters, codec=CODEC, blobs=self.blobs, prefix="pre.", run="live",
        )  # fmt: skip
        retrier = Retrier(
            kafka=KafkaConfig(servers="nowhere:1"),
            partitions={f"pre.{name}": partitions for name in BY_NAME},
            originals=originals,
            republish=republish_original(originals, MapAgain(reader=self.reader, codec=CODEC, prefix="pre.")),
            letters=self.letters,
            run="live",
            operator="me",
            now=lambda: NOW,
            make_producer=lambda _: self.producer,
        )
        return list(retrier.retry([one.dead_letter_id for one in letters]))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(BlobStore(str(tmp_path)))


def landed(sent: dict[str, Any], offset: int = 99) -> KafkaRecord:
    """A published message as the record that a tier receives."""
    return KafkaRecord(sent["topic"], sent["partition"], offset, sent["key"], sent["value"], NOW, sent["headers"])


def test_an_event_lands_under_its_first_id_time_and_trace(site: Site) -> None:
    trace = ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    first = received(b'{"text": "hello"}', headers=[trace, ("theirs", b"\xff")])
    before = READER(first)
    (told,) = site.retry(site.dead(first))
    (sent,) = site.producer.sent
    after = READER(landed(sent))
    assert (after.origin.event_id, after.origin.event_time, after.origin.trace_id) == (
        before.origin.event_id, before.origin.event_time, before.origin.trace_id,
    )  # fmt: skip
    assert (sent["topic"], sent["partition"], sent["key"], sent["value"]) == ("pre.events", 1, b"k", first.value)
    assert ("theirs", b"\xff") in sent["headers"]
    assert isinstance(told, LetterAction)
    assert (told.action, told.partition, told.offset, told.operator, told.acted_at) == ("retried", 1, 1, "me", NOW)
    assert site.letters.recorded == [told]


@pytest.mark.parametrize("topic", sorted(BY_NAME))
def test_a_letter_of_any_topic_goes_back_there_byte_by_byte(site: Site, topic: str) -> None:
    site.retry(site.dead(received(b"\xc3\x01 whatever", f"pre.{topic}")))
    (sent,) = site.producer.sent
    assert (sent["topic"], sent["partition"], sent["value"]) == (f"pre.{topic}", 1, b"\xc3\x01 whatever")


def test_one_that_fails_again_has_a_letter_of_its_own_with_the_same_event_and_time(site: Site) -> None:
    first = site.dead(received(b"\xff"))
    site.retry(first)
    second = site.dead(landed(site.producer.sent[0]))
    assert second.dead_letter_id != first.dead_letter_id
    assert (second.event_id, second.event_time) == (first.event_id, first.event_time)
    assert Header(key=RETRY_HEADER, value=first.dead_letter_id.encode()) in second.headers
    site.retry(second)
    names = [name for name, _ in site.producer.sent[1]["headers"]]
    assert len(names) == len(set(names)), "headers of ours pile up from retry to retry"


def test_a_large_one_is_taken_whole_from_the_blob_store(site: Site) -> None:
    whole = bytes(range(256)) * 1000
    site.retry(site.dead(received(whole)))
    assert site.producer.sent[0]["value"] == whole


def test_a_large_one_whose_blob_is_gone_is_left_and_said(site: Site) -> None:
    letter = site.dead(received(b"x" * 100_000))
    assert letter.reference is not None
    site.blobs.delete(letter.reference)
    (told,) = site.retry(letter)
    assert isinstance(told, NotRetried)
    assert "has nothing under" in told.why
    assert not site.producer.sent


def test_what_a_topic_has_forgotten_is_taken_from_the_audit_while_that_has_the_same_bytes(site: Site) -> None:
    kept = site.dead(received(b"text", headers=[("a", b"b: c")]))
    redacted = site.dead(received(b"secret", offset=8))
    site.held.clear()
    row = {name: getattr(kept, name) for name in DeadLetter.__slots__} | {"headers": ["a: b: c"]}
    other = {name: getattr(redacted, name) for name in DeadLetter.__slots__} | {"headers": [], "payload": b"[removed]"}
    site.letters.rows = {kept.dead_letter_id: row, redacted.dead_letter_id: other}
    told = site.retry(kept, redacted)
    assert [one["value"] for one in site.producer.sent] == [b"text"]
    assert ("a", b"b: c") in site.producer.sent[0]["headers"]
    (left,) = [one for one in told if isinstance(one, NotRetried)]
    assert "differ from those received" in left.why


def test_a_letter_without_an_original_is_reported(site: Site) -> None:
    letter = site.dead(received(b"x"))
    site.held.clear()
    (told,) = site.retry(letter)
    assert isinstance(told, NotRetried)
    assert "neither its topic nor the audit" in told.why


def test_only_what_kafka_confirmed_is_recorded(site: Site) -> None:
    good, bad = site.dead(received(b"x")), site.dead(received(b"y", "pre.labels"))
    site.producer.refuses = frozenset({"pre.labels"})
    with pytest.raises(ServiceError, match="did not confirm 1 dead letters"):
        site.retry(good, bad)
    assert [one.dead_letter_id for one in site.letters.recorded] == [good.dead_letter_id]


def test_where_the_partition_is_gone_the_key_decides(site: Site) -> None:
    site.retry(site.dead(received(b"x")), partitions=1)
    assert "partition" not in site.producer.sent[0]
    assert site.producer.sent[0]["key"] == b"k"


def test_many_are_sent_in_batches_that_fit_into_memory(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    most: list[int] = []
    flush = site.producer.flush

    def flushed(wait: float) -> int:
        most.append(sum(len(one["value"]) for one in site.producer.waiting))
        return flush(wait)

    monkeypatch.setattr(site.producer, "flush", flushed)
    letters = [site.dead(received(b"x" * 60_000, offset=number)) for number in range(1200)]
    assert len(site.retry(*letters)) == 1200
    assert max(most) <= 32 << 20
    assert len(most) >= 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, None),
        ({"state": "retried", "acted_at": AT, "operator": "me"}, "it was retried at 2026-11-01T00:00:00+00:00 by me"),
        ({"state": "dropped", "acted_at": AT, "operator": "me"}, "it was dropped at 2026-11-01T00:00:00+00:00 by me"),
        ({"outcome": "answered"}, "its event has ended as answered"),
        ({"outcome": "answered", "topic": "pre.labels"}, None),
        ({"outcome": "answered", "topic": "pre.verdicts", "reason": "bad_row"}, None),
        ({"erased": True}, "the content of its event was erased"),
        ({"topic": "shop.orders"}, None),
        ({"topic": "shop.orders", "outcome": "answered"}, "its event has ended as answered"),
    ],
)
def test_a_retry_is_refused_where_it_could_do_nothing_or_harm(change: dict[str, Any], said: str | None) -> None:
    assert why_not(replace(LETTER_STATUS, **change), "pre.", ("open",)) == said


def test_only_when_asked_one_is_retried_again_and_never_one_that_was_dropped() -> None:
    again = ("open", "retried")
    assert why_not(replace(LETTER_STATUS, state="retried"), "pre.", again) is None
    assert why_not(replace(LETTER_STATUS, state="dropped"), "pre.", again) is not None


def test_the_whole_is_checked_against_the_hash_of_what_was_received(site: Site) -> None:
    letter = site.dead(received(b"x"))
    assert letter.payload_sha256 == hashlib.sha256(b"x").hexdigest()
    site.held[:] = [replace(letter, payload=b"y")]
    (told,) = site.retry(letter)
    assert isinstance(told, NotRetried)
