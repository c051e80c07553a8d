"""From bytes on the topic to an event, or to the reason why not."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_writer
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.adapters.codec import SINGLE_OBJECT, Codec
from streams.adapters.event_reader import MAX_DEPTH, MAX_ID, EventReader, derived_event_id
from streams.adapters.kafka_record import (
    ID_HEADER,
    SUBJECT_HEADER,
    TIME_HEADER,
    TRACE_HEADER,
    KafkaRecord,
    deadline_after,
    kafka_time,
)
from streams.adapters.schema_ids import CONFLUENT
from streams.calling.task import task_of
from streams.core.errors import UnreadableError
from streams.core.fingerprint import canonical, trace_id
from streams.core.messages import Event, RawEvent, Sighting
from streams.core.time_range import YEARS
from tests.harness.fakes.schema_ids import FakeRegistry

AT = datetime(2026, 11, 1, 12, tzinfo=UTC)
IMAGE = "a" * 64
TRACE = "0af7651916cd43dd8448eb211c80319c"
REASONS = {
    "empty", "too_large", "invalid_utf8", "invalid_json", "unknown_schema", "truncated", "no_registry", "not_text",
    "bad_image", "bad_time", "bad_id", "invalid_unicode", "bad_data", "bad_event", "not_avro", "bad_avro",
}  # fmt: skip
ORDER = {
    "type": "record",
    "name": "shop.Order",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "text", "type": ["null", "string"], "default": None},
        {"name": "total", "type": "double"},
        {"name": "placed", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "receipt", "type": "bytes"},
        {"name": "lines", "type": {"type": "array", "items": {"type": "map", "values": "long"}}},
    ],
}
PLACED: dict[str, Any] = {"id": "o-1", "text": "hi", "total": 1.5, "placed": AT, "receipt": b"\1", "lines": [{"a": 2}]}


def record(value: bytes | None, headers: Sequence[tuple[str, bytes]] = ()) -> KafkaRecord:
    return KafkaRecord("events", 3, 17, b"key", value, AT, headers)


def reader(registry: FakeRegistry | None = None, max_bytes: int = 100_000) -> EventReader:
    return EventReader(Codec(registry), "cluster", "live", max_bytes)


def read(value: bytes, headers: Sequence[tuple[str, bytes]] = ()) -> Event:
    return reader()(record(value, headers))


def as_json(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def reason_of(value: bytes | None, headers: Sequence[tuple[str, bytes]] = (), of: EventReader | None = None) -> str:
    with pytest.raises(UnreadableError) as caught:
        (of or reader())(record(value, headers))
    return caught.value.reason


def ordered(registry: FakeRegistry, **fields: Any) -> bytes:
    """An order in the user's own schema, as the registry's first."""
    schema = parse_schema(ORDER)
    registry.known[:] = [schema]
    out = BytesIO()
    schemaless_writer(out, schema, PLACED | fields)
    return CONFLUENT + struct.pack(">I", 1) + out.getvalue()


# ---- What is read ----


@pytest.mark.parametrize(
    "text", ["Where is my order?", "Ärger mit der Bestellung", "Élodie", "[1, 2]", '"x"', "\tcol\n"]
)
def test_plain_text_is_the_whole_event(text: str) -> None:
    event = read(text.encode())
    assert (event.kind, event.text, event.data, event.image) == ("text", text, None, None)


def test_json_is_an_envelope_and_its_other_keys_are_data() -> None:
    event = read(as_json(id="mail-7", time="2026-01-31T12:00:00Z", text="hi", trace_id=TRACE, customer=7, tags=["a"]))
    assert (event.kind, event.text, event.data) == ("text", "hi", '{"customer": 7, "tags": ["a"]}')
    assert (event.origin.event_id, event.origin.trace_id) == ("mail-7", TRACE)
    assert event.origin.event_time == datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_json_may_begin_with_white_space_or_a_byte_order_mark() -> None:
    assert read(b'\n  {"text": "x"}').text == read(b'\xef\xbb\xbf{"text": "x"}').text == "x"


@pytest.mark.parametrize(
    ("fields", "data"),
    [
        ({"a": 1, "data": {"b": 2}}, {"a": 1, "b": 2}),
        ({"a": 1, "data": {"a": 2}}, {"a": 2}),
        ({"data": '{"b": 2}'}, {"b": 2}),
        ({"data": "words"}, {"data": "words"}),
        ({"data": "5"}, {"data": "5"}),
        ({"data": [1, 2]}, {"data": [1, 2]}),
        ({"data": 5}, {"data": 5}),
        ({"data": False}, {"data": False}),
        ({"text": "x", "data": None}, None),
    ],
)
def test_nothing_of_the_data_is_lost(fields: dict[str, Any], data: Any) -> None:
    event = read(as_json(**fields))
    assert (json.loads(event.data) if event.data else None) == data


@pytest.mark.parametrize(
    ("event", "kind"),
    [(RawEvent(image=IMAGE, text="x"), "image"), (RawEvent(text="x"), "text"), (RawEvent(data='{"a":1}'), "json")],
)
def test_our_own_avro_is_read_in_both_wire_formats(event: RawEvent, kind: str) -> None:
    registry = FakeRegistry()
    for of, codec in ((reader(), Codec()), (reader(registry), Codec(registry)), (reader(registry), Codec())):
        found = of(record(codec.encode(event)))
        assert (found.kind, found.text, found.image) == (kind, event.text, event.image)
        assert json.loads(found.data or "{}") == json.loads(event.data or "{}")


def test_avro_in_the_users_own_schema_is_read_as_if_it_were_json() -> None:
    registry = FakeRegistry()
    event = reader(registry)(record(ordered(registry)))
    assert (event.origin.event_id, event.text) == ("o-1", "hi")
    expected = {"total": 1.5, "placed": "2026-11-01T12:00:00+00:00", "receipt": "01", "lines": [{"a": 2}]}
    assert json.loads(event.data or "") == expected


@pytest.mark.parametrize(
    ("time", "read_as"),
    [
        ("2026-01-31T12:00:00+02:00", datetime(2026, 1, 31, 10, tzinfo=UTC)),
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        (1_700_000_000, datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        (1_700_000_000.5, datetime(2023, 11, 14, 22, 13, 20, 500_000, tzinfo=UTC)),
        (1_700_000_000_000, datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        (None, AT),
    ],
)
def test_the_time_is_iso_8601_or_seconds_or_milliseconds_else_kafkas(time: Any, read_as: datetime) -> None:
    assert read(as_json(text="x", time=time)).origin.event_time == read_as


# ---- Ids ----


RECORD = KafkaRecord("events", 3, 17, b"key", b"x", AT)
OTHERS = {
    "topic": replace(RECORD, topic="event"),
    "partition": replace(RECORD, partition=31, offset=7),
    "offset": replace(RECORD, offset=18),
    "time": replace(RECORD, timestamp=AT + timedelta(milliseconds=1)),
    "key": replace(RECORD, key=None),
    "empty key": replace(RECORD, key=b""),
    "value": replace(RECORD, value=b"y"),
    "no value": replace(RECORD, value=None),
}


def test_an_event_without_an_id_is_known_by_its_record_in_every_process_and_release() -> None:
    assert derived_event_id(RECORD, "cluster") == "2f3592791da908d34058f2d7a0cc9a9e"
    assert (
        EventReader(Codec(), "cluster", "live", 900_000)(RECORD).origin.event_id == "2f3592791da908d34058f2d7a0cc9a9e"
    )
    assert derived_event_id(RECORD, "another cluster") != "2f3592791da908d34058f2d7a0cc9a9e"


@pytest.mark.parametrize("what", OTHERS)
def test_another_record_at_the_same_position_is_another_event(what: str) -> None:
    assert derived_event_id(OTHERS[what], "cluster") != derived_event_id(RECORD, "cluster")


def test_headers_are_not_of_the_identity() -> None:
    """A client may not be given them all: names that are not UTF-8 cannot be had in each."""
    assert derived_event_id(replace(RECORD, headers=[("a", b"1")]), "cluster") == derived_event_id(RECORD, "cluster")


def test_an_id_in_a_header_serves_where_the_event_has_none() -> None:
    headers = [(ID_HEADER, b"first"), (ID_HEADER, b"mail-7")]
    assert read(b"x", headers).origin.event_id == "mail-7"
    assert read(as_json(id="own", text="x"), headers).origin.event_id == "own"
    assert read(b"x", [(ID_HEADER, b"")]).origin.event_id == read(b"x").origin.event_id


def test_a_number_may_be_an_id() -> None:
    assert read(as_json(id=77, text="x")).origin.event_id == "77"


def test_the_trace_is_the_headers_or_the_events_or_made_of_its_id() -> None:
    parent = f"00-{TRACE}-b7ad6b7169203331-01".encode()
    assert read(as_json(text="x", trace_id="f" * 32), [(TRACE_HEADER, parent)]).origin.trace_id == TRACE
    assert read(as_json(text="x", trace_id=TRACE)).origin.trace_id == TRACE
    for none in ("0" * 32, "zz", TRACE.upper()):
        event = read(
            as_json(id="e", text="x", trace_id=none), [(TRACE_HEADER, f"00-{'0' * 32}-{'0' * 16}-01".encode())]
        )
        assert event.origin.trace_id == trace_id("live", "e")


# ---- What is not ----


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "empty"),
        (b"", "empty"),
        (b"{}", "empty"),
        (b'{"id": "x"}', "empty"),
        (b"x" * 100_001, "too_large"),
        (b"caf\xe9", "invalid_utf8"),
        (b"\xc3", "invalid_utf8"),
        (b"{", "invalid_json"),
        (b'{"a": NaN}', "invalid_json"),
        (b'{"a": ' + b"1" * 5000 + b"}", "invalid_json"),
        (b'{"a": ' + b"[" * 5000 + b"]" * 5000 + b"}", "invalid_json"),
        (b'{"a": 1e400}', "bad_data"),
        (b'{"a": ' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}", "bad_data"),
        (SINGLE_OBJECT + b"12345678rest", "unknown_schema"),
        (Codec().encode(RawEvent(text="hello"))[:-2], "truncated"),
        (Codec().encode(RawEvent(text="hello")) + b"\0", "bad_avro"),
        (CONFLUENT + b"\0\0\0\1rest", "no_registry"),
        (CONFLUENT + b"\0", "not_avro"),
        (b"\x89PNG\r\n\x1a\n", "invalid_utf8"),
        (b"GIF89a\x01\x00\x01", "not_text"),
        (b'{"text": "\\u0000"}', "not_text"),
        (as_json(image="cat.jpg"), "bad_image"),
        (as_json(image=IMAGE.upper()), "bad_image"),
        (as_json(image=f"../{IMAGE}"), "bad_image"),
        (as_json(text="x", time="yesterday"), "bad_time"),
        (as_json(text="x", time=1e300), "bad_time"),
        (as_json(text="x", time=True), "bad_time"),
        (as_json(text="x", time=[2026]), "bad_time"),
        (as_json(text="x", time="0001-01-01T00:00:00+14:00"), "bad_time"),
        (as_json(text="x", time="9999-12-31"), "bad_time"),
        (as_json(text="x", id="i" * (MAX_ID + 1)), "bad_id"),
        (as_json(text="x", id=True), "bad_event"),
        (as_json(text="x", id=["e"]), "bad_event"),
        (as_json(text="x", time="1970-01-01T00:00:00+14:00"), "bad_time"),
        (as_json(text=7), "bad_event"),
        (b'{"text": "\\ud83d"}', "invalid_unicode"),
        (b'{"text": "x", "id": "\\ud83d"}', "invalid_unicode"),
        (b'{"note": "\\ud83d"}', "invalid_unicode"),
        (Codec().encode(RawEvent(text="x", data="words")), "bad_data"),
        (Codec().encode(RawEvent(text="x", data="[1]")), "bad_data"),
        (Codec().encode(RawEvent(text="x", data='{"a": NaN}')), "bad_data"),
        (Codec().encode(RawEvent()), "empty"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_has_its_reason(value: bytes | None, reason: str) -> None:
    assert reason_of(value) == reason


def test_an_id_in_a_header_has_its_limit_too() -> None:
    assert reason_of(b"x", [(ID_HEADER, b"i" * (MAX_ID + 1))]) == "bad_id"


def test_an_event_as_large_as_allowed_is_read() -> None:
    assert len(read(b"x" * 100_000).text) == 100_000


def test_a_number_that_json_has_not_is_refused_in_the_users_avro_as_well() -> None:
    registry = FakeRegistry()
    assert reason_of(ordered(registry, total=float("nan")), of=reader(registry)) == "bad_data"


def test_data_nested_as_deep_as_allowed_goes_through_all_that_follows() -> None:
    levels = MAX_DEPTH - 1
    event = read(b'{"a": ' + b"[" * levels + b"]" * levels + b"}")
    assert canonical(task_of(event, ("data",)).input())


# ---- Any bytes at all ----

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(), max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
envelopes = st.dictionaries(
    st.sampled_from(["id", "time", "text", "image", "trace_id", "data", "other"]), json_values | st.just(IMAGE)
)
any_bytes = st.one_of(
    st.binary(),
    st.binary().map(lambda rest: Codec().encode(RawEvent(text="x"))[:10] + rest),
    st.binary().map(lambda rest: CONFLUENT + b"\0\0\0\1" + rest),
    st.text().map(str.encode),
    envelopes.map(lambda fields: json.dumps(fields).encode()),
)
any_headers = st.lists(
    st.tuples(st.sampled_from([ID_HEADER, TRACE_HEADER, "other"]), st.binary() | st.text().map(str.encode)), max_size=3
)


@settings(max_examples=400, deadline=None)
@given(any_bytes, any_headers, st.booleans())
def test_any_bytes_give_an_event_or_a_reason_and_nothing_else(
    value: bytes, headers: list[tuple[str, bytes]], registered: bool
) -> None:
    registry = FakeRegistry()
    registry.known.append(parse_schema(ORDER))
    found: Event | UnreadableError
    try:
        found = reader(registry if registered else None)(record(value, headers))
    except UnreadableError as error:
        found = error
    if isinstance(found, UnreadableError):
        assert found.reason in REASONS
        assert str(found)
    else:
        check_usable(found)


def check_usable(event: Event) -> None:
    """Nothing that follows can stumble over the event."""
    assert event.text or event.data or event.image
    assert isinstance(json.loads(event.data or "{}"), dict)
    assert canonical(task_of(event, ("text", "data", "image")).input()).encode()
    assert 0 < len(event.origin.event_id) <= MAX_ID
    assert event.origin.event_time.tzinfo is not None
    assert len(event.origin.trace_id) == 32
    sighting = Sighting(event=event, listener="seen", image_hash="0" * 16, findings=())
    assert Codec().decode(Sighting, Codec().encode(sighting)) == sighting


@given(st.integers(-(2**63), 2**63 - 1))
def test_every_timestamp_of_kafka_is_a_time_the_audit_can_hold(milliseconds: int) -> None:
    time = kafka_time(milliseconds)
    assert time.year in YEARS
    if 0 <= milliseconds < 4_291_747_200_000:
        assert time == datetime.fromtimestamp(milliseconds // 1000, UTC).replace(microsecond=milliseconds % 1000 * 1000)


@given(st.floats(-1e15, 1e15), st.floats(0.001, 100 * 365 * 86400.0))
def test_a_deadline_is_some_time_after_the_records_timestamp_and_can_be_stored(stamp: float, seconds: float) -> None:
    at = kafka_time(stamp)
    found = deadline_after(at, seconds)
    assert found.year in YEARS or found == datetime(YEARS.stop, 1, 1, tzinfo=UTC)
    assert found == deadline_after(at, seconds)
    if at.year < YEARS.stop - 101:
        assert (found - at).total_seconds() == pytest.approx(seconds, abs=1e-6)


@pytest.mark.parametrize(
    ("said", "came_at"),
    [(b"1793611800123", "2026-11-02T09:30:00.123+00:00"), (b"-1", "1970-01-01T00:00:00+00:00")]
    + [(wrong, None) for wrong in (b"", b"now", b"1e9", b"\xff", b"9" * 16, "٣".encode())],
)
def test_a_record_published_again_says_when_it_came_first(said: bytes, came_at: str | None) -> None:
    again = record(b'{"text": "x"}', [(TIME_HEADER, said)])
    expected = datetime.fromisoformat(came_at) if came_at else again.timestamp
    assert (again.came_at, reader()(again).origin.event_time) == (expected, expected)
    own = record(b'{"text": "x", "time": "2026-11-01T00:00:00Z"}', [(TIME_HEADER, said)])
    assert reader()(own).origin.event_time == datetime(2026, 11, 1, tzinfo=UTC)


# ---- Two events with one id ----


def content(value: bytes, headers: Sequence[tuple[str, bytes]] = ()) -> str:
    return read(value, headers).origin.content_digest


@pytest.mark.parametrize(
    "again",
    [
        b'{"n": 7, "text": "hi", "id": "a"}',
        b'{"id": "a", "text": "hi", "data": {"n": 7}}',
        b'{"id": "a", "text": "hi", "data": "{\\"n\\": 7}"}',
        b'{"id": "b", "text": "hi", "n": 7, "trace_id": "0af7651916cd43dd8448eb211c80319c"}',
    ],
)
def test_the_same_content_is_the_same_event_however_it_is_written(again: bytes) -> None:
    first = as_json(id="a", text="hi", n=7)
    assert content(again) == content(first) != ""
    headers = [("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), (TIME_HEADER, b"5")]
    assert content(first, headers) == content(first)


@pytest.mark.parametrize(
    "other",
    [
        {"text": "ho"},
        {"n": 8},
        {"n": "7"},
        {"image": "a" * 64},
        {"time": "2026-11-01T12:00:00Z"},
        {"data_subject": "somebody"},
        {"more": None},
    ],
)
def test_other_content_is_another_event(other: dict[str, Any]) -> None:
    assert content(as_json(**{"id": "a", "text": "hi", "n": 7} | other)) != content(as_json(id="a", text="hi", n=7))


def test_whose_event_it_is_counts_where_a_header_says_so_too() -> None:
    value = as_json(id="a", text="hi")
    assert content(value, [(SUBJECT_HEADER, b"x")]) != content(value, [(SUBJECT_HEADER, b"y")])


def test_a_cloud_event_in_headers_has_their_id_and_time() -> None:
    cloud = [("ce_specversion", b"1.0"), ("ce_id", b"7"), ("ce_source", b"/a"), ("ce_time", b"2026-11-01T12:00:00Z")]
    origin = read(as_json(id="row", text="hi"), cloud).origin
    assert (origin.event_id, origin.event_time) == ("/a 7", datetime(2026, 11, 1, 12, tzinfo=UTC))


def test_only_a_producers_own_id_is_named() -> None:
    made = reader()
    for value, headers, named in [
        (b"hi", (), False),
        (as_json(id="a", text="hi"), (), True),
        (b"hi", [(ID_HEADER, b"a")], True),
        (b"hi", [(ID_HEADER, b"0123456789abcdef" * 2)], True),
    ]:
        one = record(value, headers)
        assert made.is_named(one, made(one)) is named


@pytest.mark.parametrize("time", ["1969-12-31T23:59:59.999Z", "1960-05-01", "2106-01-01T00:00:00Z", "2150-01-01", -1])
def test_a_time_that_not_every_table_can_hold_is_refused(time: str | int) -> None:
    assert reason_of(as_json(text="x", time=time)) == "bad_time"


@pytest.mark.parametrize("time", ["1970-01-01T00:00:00Z", "2105-12-31T23:59:59.999999Z"])
def test_the_borders_of_time_can_be_read(time: str) -> None:
    assert read(as_json(text="x", time=time)).origin.event_time == datetime.fromisoformat(time)
