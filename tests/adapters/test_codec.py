"""Messages to bytes and back, in both wire formats."""

from __future__ import annotations

import struct
from dataclasses import replace
from io import BytesIO

import pytest
from fastavro import parse_schema, schemaless_writer
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.adapters import schemas
from streams.adapters.codec import SINGLE_OBJECT, Codec
from streams.adapters.schema_ids import CONFLUENT
from streams.core.errors import UnreadableError
from streams.core.messages import RawEvent, Result
from tests.builders import call, event, outcome, verdict
from tests.harness.arbitrary_messages import KINDS, any_message
from tests.harness.fakes.schema_ids import FakeRegistry


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_every_message_comes_back_as_it_was(kind: type, data: st.DataObject) -> None:
    message = data.draw(any_message(kind))
    for codec in (Codec(), Codec(FakeRegistry())):
        assert codec.decode(kind, codec.encode(message)) == message


@given(any_message(RawEvent))
def test_the_header_says_which_format_it_is(event: RawEvent) -> None:
    fingerprint = schemas.current()[RawEvent].fingerprint
    assert Codec().encode(event)[:10] == SINGLE_OBJECT + fingerprint
    assert Codec(FakeRegistry()).encode(event)[:5] == CONFLUENT + struct.pack(">I", 1)
    assert Codec().encode(event)[10:] == Codec(FakeRegistry()).encode(event)[5:]


def test_with_a_registry_single_objects_are_still_read() -> None:
    event = RawEvent(text="x")
    assert Codec(FakeRegistry()).decode(RawEvent, Codec().encode(event)) == event


def test_a_schema_is_registered_once() -> None:
    registry = FakeRegistry()
    codec = Codec(registry)
    for _ in range(3):
        codec.encode(RawEvent(text="x"))
    assert len(registry.known) == 1


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not_avro"),
        (b"{}", "not_avro"),
        (SINGLE_OBJECT, "not_avro"),
        (CONFLUENT + b"\0\0\0", "not_avro"),
        (SINGLE_OBJECT + b"\0" * 8, "unknown_schema"),
        (CONFLUENT + b"\0\0\0\1", "no_registry"),
    ],
)
def test_a_header_that_leads_nowhere_has_its_reason(data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableError) as caught:
        Codec().decode(RawEvent, data)
    assert caught.value.reason == reason


def test_every_truncation_of_a_message_is_unreadable() -> None:
    whole = Codec().encode(RawEvent(id="e1", text="hello", data="{}"))
    reasons = set()
    for end in range(len(whole)):
        with pytest.raises(UnreadableError) as caught:
            Codec().decode(RawEvent, whole[:end])
        reasons.add(caught.value.reason)
    assert reasons == {"not_avro", "truncated"}


def test_bytes_after_the_message_are_not_swallowed() -> None:
    with pytest.raises(UnreadableError, match="Bytes follow"):
        Codec().decode(RawEvent, Codec().encode(RawEvent(text="x")) + b"\0")


@given(st.sampled_from(KINDS), st.binary(max_size=200))
def test_any_bytes_give_a_message_or_are_unreadable(kind: type, body: bytes) -> None:
    reason = None
    try:
        assert isinstance(Codec().decode(kind, SINGLE_OBJECT + schemas.current()[kind].fingerprint + body), kind)
    except UnreadableError as error:
        reason = error.reason
    assert reason in (None, "truncated", "bad_avro")


def test_a_message_of_another_kind_is_unreadable() -> None:
    with pytest.raises(UnreadableError) as caught:
        Codec().decode(Result, Codec().encode(RawEvent(text="x")))
    assert caught.value.reason == "bad_avro"


def test_a_message_that_is_not_a_record_is_unreadable() -> None:
    registry = FakeRegistry()
    registry.known.append(parse_schema("string"))
    out = BytesIO()
    schemaless_writer(out, registry.known[0], "hello")
    with pytest.raises(UnreadableError):
        Codec(registry).decode(RawEvent, CONFLUENT + struct.pack(">I", 1) + out.getvalue())


def test_messages_of_one_event_and_of_others_in_turns_come_back_as_they_were() -> None:
    codec = Codec()
    events = [event("e1", "one"), event("e2", "two"), replace(event("e1", "one"), kind="json")]
    for of in [*events, *reversed(events)]:
        for message in (verdict(of), outcome(of), call(of)):
            assert codec.decode(type(message), codec.encode(message)) == message
