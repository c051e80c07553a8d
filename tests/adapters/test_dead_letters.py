"""Dead letters of messages that cannot be read or handled."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.adapters.codec import Codec
from streams.adapters.dead_letters import KEPT_BYTES, MAX_HEADERS_BYTES, MAX_KEY_BYTES, DeadLetters, EventIds
from streams.adapters.event_reader import EventReader, derived_event_id
from streams.adapters.kafka_record import ID_HEADER, KafkaRecord
from streams.core.errors import ConfigError, HandlerError, ModelError, UnreadableError
from streams.core.messages import (
    DeadLetter,
    Deferred,
    Escalation,
    Event,
    Origin,
    RawEvent,
    Result,
    Sighting,
)

AT = datetime(2026, 11, 1, tzinfo=UTC)
ORIGIN = Origin(event_id="mail-7", run="live", event_time=AT, trace_id="t", topic="events", partition=0, offset=1)
IDS = EventIds(EventReader(Codec(), "cluster", "live", 100_000), Codec(), "pre.")


def record(
    value: bytes | None = b"x", topic: str = "pre.events", headers: list[tuple[str, bytes]] | None = None
) -> KafkaRecord:
    return KafkaRecord(topic, 3, 17, b"key", value, AT, headers or [])


def letter(of: KafkaRecord, error: Exception, kept: Callable[[bytes], str] = lambda _: "sha") -> DeadLetter:
    return DeadLetters(run="live", cluster_id="cluster", keep_whole=kept, event_id=IDS).letter(of, error)


def test_a_dead_letter_holds_the_message_its_place_and_the_reason() -> None:
    made = letter(
        record(b"caf\xe9", headers=[("a", b"1")]), UnreadableError("invalid_utf8", "It is no UTF-8.", "Use it.")
    )
    assert (made.topic, made.partition, made.offset, made.key) == ("pre.events", 3, 17, b"key")
    assert [(header.key, header.value) for header in made.headers] == [("a", b"1")]
    assert (made.payload, made.payload_size) == (b"caf\xe9", 4)
    assert made.payload_sha256 == hashlib.sha256(b"caf\xe9").hexdigest()
    assert (made.reason, made.detail, made.error_class) == (
        "invalid_utf8",
        "It is no UTF-8. Use it.",
        "UnreadableError",
    )
    assert (made.run, made.event_time, made.reference) == ("live", AT, None)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConfigError("x"), "operator_error"),
        (HandlerError("x"), "handler_error"),
        (ModelError("timeout", "x", retryable=True), "provider_error"),
        (KeyError("x"), "defect"),
    ],
)
def test_the_reason_says_whose_fault_it_is(error: Exception, reason: str) -> None:
    assert letter(record(), error).reason == reason


def test_of_a_large_message_the_first_64_kb_are_kept_and_the_whole_in_the_store() -> None:
    kept: list[bytes] = []
    whole = bytes(range(256)) * 400
    made = letter(record(whole), UnreadableError("too_large", "x"), lambda data: kept.append(data) or "sha")  # type: ignore[func-returns-value]
    assert kept == [whole]
    assert (made.payload, made.payload_size, made.reference) == (whole[:KEPT_BYTES], len(whole), "sha")
    assert letter(record(whole[:KEPT_BYTES]), UnreadableError("x", "x")).reference is None


def test_headers_are_kept_within_bounds() -> None:
    made = letter(record(headers=[("k" * 999, b"v" * 9999)] * 999), KeyError("x"))
    kept = sum(len(one.key) + len(one.value) for one in made.headers)
    assert 0 < kept <= MAX_HEADERS_BYTES
    assert made.headers[0].value == b"v" * 9999


def test_the_largest_letter_still_fits_into_a_message() -> None:
    huge = KafkaRecord("pre.events", 3, 17, b"k" * 900_000, b"x" * 900_000, AT, [("h", b"v" * 60_000)] * 20)
    made = letter(huge, KeyError("x" * 100_000))
    assert made.key is not None
    assert len(made.key) == MAX_KEY_BYTES
    assert len(Codec().encode(made)) < 250_000


@pytest.mark.parametrize("header", [("", b""), ("k", b""), ("", b"v" * 200), ("ä" * 9000, b"")])
def test_headers_are_bounded_in_number_too_and_the_letter_says_how_many_are_left_out(header: tuple[str, bytes]) -> None:
    made = letter(record(b"\xff" * 60_000, headers=[header] * 490_000), UnreadableError("invalid_utf8", "It is none."))
    assert 0 < len(made.headers) < 20_000
    assert made.detail == f"It is none. {490_000 - len(made.headers)} of its headers are left out."
    bare = letter(record(b"\xff" * 60_000), UnreadableError("invalid_utf8", "It is none."))
    assert len(Codec().encode(made)) - len(Codec().encode(bare)) <= MAX_HEADERS_BYTES + 100


def test_the_smallest_letter_has_no_headers_and_all_of_the_original_in_the_store() -> None:
    kept: list[bytes] = []
    letters = DeadLetters(run="live", cluster_id="c", keep_whole=lambda data: kept.append(data) or "sha", event_id=IDS)  # type: ignore[func-returns-value]
    of = record(b"\xff", headers=[("a", b"1")])
    made = letters.letter(of, UnreadableError("invalid_utf8", "x"))
    smallest = letters.smallest(of, made)
    assert kept == [b"\xff"]
    assert smallest == replace(made, headers=(), payload=b"", reference="sha")
    empty = record(None)
    assert letters.smallest(empty, letters.letter(empty, UnreadableError("empty", "x"))).reference is None


def test_a_reason_that_is_not_unicode_can_be_written() -> None:
    made = letter(record(), KeyError("half a pair: \ud800"))
    assert Codec().decode(DeadLetter, Codec().encode(made)) == made
    assert letter(record(), HandlerError("\ud800")).detail == "\\ud800"


def test_the_same_record_gives_the_same_letter_and_another_record_another_id() -> None:
    assert letter(record(), KeyError("x")) == letter(record(), KeyError("x"))
    first = record()
    others = (replace(first, offset=18), replace(first, value=b"y"), replace(first, timestamp=AT.replace(second=1)))
    ids = {letter(one, KeyError("x")).dead_letter_id for one in (first, *others)}
    assert len(ids) == 4


def test_a_record_without_bytes_has_its_letter_too() -> None:
    made = letter(record(None), UnreadableError("empty", "x"))
    assert (made.payload, made.payload_size) == (b"", 0)


def test_the_event_keeps_the_id_it_has_wherever_it_broke() -> None:
    event = Event(origin=ORIGIN, kind="text", text="x")
    sighting = Sighting(event=event, listener="seen", image_hash="0" * 16, findings=())
    result = Result(origin=ORIGIN, state="failed", tier="worker", handler="h", intent="i", pipeline="p", decided_at=AT)
    assert IDS(record(Codec().encode(sighting), "pre.images")) == "mail-7"
    assert IDS(record(Codec().encode(result), "pre.results")) == "mail-7"
    escalation = Escalation(
        event=event, intents=("i",), handler="h", reason="routed", fingerprint="f", pipeline="p", decided_at=AT
    )
    by_budget = Deferred(cause="budget", escalation=escalation, not_before=AT, reason="budget")
    by_provider = Deferred(cause="provider", escalation=escalation, not_before=AT, reason="overloaded")
    assert IDS(record(Codec().encode(by_budget), "pre.deferred-budget")) == "mail-7"
    assert IDS(record(Codec().encode(by_provider), "pre.deferred-provider")) == "mail-7"
    assert IDS(record(Codec().encode(RawEvent(id="mail-7", text="x")))) == "mail-7"
    assert IDS(record(b'{"id": "mail-7", "image": "no hash"}')) == "mail-7"
    assert IDS(record(b"text", headers=[(ID_HEADER, b"mail-7")])) == "mail-7"


@pytest.mark.parametrize("topic", ["pre.events", "pre.images", "pre.results", "pre.calls", "elsewhere"])
@settings(max_examples=50)
@given(value=st.none() | st.binary(), name=st.none() | st.binary(max_size=300))
def test_every_record_has_an_event_id(topic: str, value: bytes | None, name: bytes | None) -> None:
    found = IDS(record(value, topic, [] if name is None else [(ID_HEADER, name)]))
    assert 0 < len(found) <= 200


def test_what_cannot_be_read_is_known_by_its_record() -> None:
    assert IDS(record(b"\xff")) == derived_event_id(record(b"\xff"), "cluster")
    assert IDS(record(b"\xff")) != IDS(record(b"\xfe")), "another record at the same place"
    assert IDS(record(b"\xff", headers=[(ID_HEADER, b"mail-7")])) == "mail-7"
