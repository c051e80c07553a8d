"""Records of the user's own topics: what [source] makes of them, and what it skips or refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.adapters.codec import Codec
from streams.adapters.event_reader import EventReader
from streams.adapters.kafka_record import ID_HEADER, SUBJECT_HEADER, KafkaRecord
from streams.adapters.source_reader import MappedEvents, Skipped, SourceReader, event_record, source_headers
from streams.adapters.source_topics import SourceTopics
from streams.core.errors import ConfigError, UnreadableError
from streams.core.messages import RawEvent
from streams.pipeline.source import SourceSpec
from tests.harness.user_topics import CHANGED_AT, Sent, binary, change, flattened, note, structured

AT = datetime(2026, 11, 3, 12, tzinfo=UTC)
CODEC = Codec()
EVENTS = EventReader(CODEC, "cluster", "live", 900_000)
NOTES: dict[str, Any] = {
    "id": ["/note/number", "header:version"],
    "time": "/note/written",
    "text": ["/subject", "/body"],
    "data_subject": "/customer/mail",
}


def record(sent: Sent, topic: str = "t", offset: int = 5) -> KafkaRecord:
    headers = [(name, value.encode()) for name, value in sent.headers.items()]
    return KafkaRecord(topic, 0, offset, sent.bytes_of(sent.key), sent.bytes_of(sent.value), AT, headers)


def table_of(**keys: Any) -> SourceSpec:
    return SourceSpec.model_validate(keys)


def reader(max_bytes: int = 100_000, **table: Any) -> SourceReader:
    topics = SourceTopics([table_of(**({"topics": ["t"]} | table))], "pre.")
    return SourceReader(topics, CODEC, "cluster", max_bytes)


def made(sent: Sent, **table: Any) -> RawEvent:
    found = reader(**table)(record(sent))
    assert isinstance(found, RawEvent)
    return found


def skipped(sent: Sent, **table: Any) -> str:
    found = reader(**table)(record(sent))
    assert isinstance(found, Skipped)
    return found.reason


def refused(sent: Sent, **table: Any) -> UnreadableError:
    with pytest.raises(UnreadableError) as caught:
        reader(**table)(record(sent))
    return caught.value


# ---- The mapping ----


def test_parts_come_from_fields_headers_and_the_key() -> None:
    found = made(note(7, "Is it open?"), data={"region": "header:region", "customer": "key", "none": "/x"}, **NOTES)
    assert (found.id, found.text, found.data_subject) == ("7 1", "Note 7\nIs it open?", "ann@example.com")
    assert found.time == datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
    assert json.loads(found.data or "") == {"region": "eu", "customer": "C-7"}


def test_fields_that_are_other_parts_are_left_out_of_the_data() -> None:
    found = made(Sent({"body": "hi", "number": 7, "left": 1, "in": {"body": 2}}), text="/body", id="/number")
    assert (found.id, found.text, json.loads(found.data or "")) == ("7", "hi", {"left": 1, "in": {"body": 2}})


def test_a_missing_id_is_refused_and_not_made_up() -> None:
    assert refused(Sent({"body": "hi"}), id="/number").reason == "bad_id"
    assert refused(Sent({"body": "hi"}), id=["/body", "header:version"]).reason == "bad_id"


def test_without_a_mapped_id_the_id_is_made_of_the_record() -> None:
    one, other = (reader(text="/body")(record(Sent({"body": "hi"}), offset=number)) for number in (1, 2))
    assert isinstance(one, RawEvent)
    assert isinstance(other, RawEvent)
    assert one.id != other.id
    assert one == reader(text="/body")(record(Sent({"body": "hi"}), offset=1))


@pytest.mark.parametrize(
    ("time", "place"),
    [
        ("2026-11-02T09:30:00Z", "/at"),
        (CHANGED_AT, "/at"),
        (CHANGED_AT // 1000, "/at"),
        (CHANGED_AT * 1000, "/at"),  # Debezium's MicroTimestamp
        (CHANGED_AT * 1_000_000, "/at"),
        (str(CHANGED_AT), "header:at"),
        ("2026-11-02T09:30:00Z", "header:at"),
    ],
)
def test_a_time_may_be_written_in_any_usual_way(time: Any, place: str) -> None:
    sent = Sent({"text": "x", "at": time}, headers={"at": str(time)})
    assert made(sent, time=place).time == datetime(2026, 11, 2, 9, 30, tzinfo=UTC)


def test_a_number_or_an_object_as_text_is_its_json() -> None:
    assert made(Sent({"a": {"b": True}, "n": 1.5, "l": [1]}), text=["/a", "/n", "/l"]).text == '{"b": true}\n1.5\n[1]'


def test_a_record_of_text_is_its_text() -> None:
    assert made(Sent(b"hello", b"C-7"), id="key").text == "hello"
    assert made(Sent(b"hello", b'{"n": 7}'), id="key:/n").id == "7"


@pytest.mark.parametrize(
    ("sent", "table", "reason"),
    [
        (Sent(b""), {}, "empty"),
        (Sent(b"{ no"), {}, "invalid_json"),
        (Sent(b"\xff\xff"), {}, "invalid_utf8"),
        (Sent({"a": 1}), {"text": "/b", "data": "/c"}, "empty"),
        (Sent({"text": "x"}, b"\xff"), {"id": "key"}, "bad_key"),
        (Sent({"text": "x"}, b"{"), {"id": "key:/a"}, "bad_key"),
        (Sent({"text": "x", "n": "y" * 201}), {"id": "/n"}, "bad_id"),
        (Sent({"text": "x", "at": "soon"}), {"time": "/at"}, "bad_time"),
        (Sent({"text": "x", "photo": "no hash"}), {"image": "/photo"}, "bad_image"),
        (Sent({"text": "\x00"}), {}, "not_text"),
        (Sent({"text": "x" * 99_999}), {"max_bytes": 99_999}, "too_large"),
        (Sent({"text": "x"}), {"format": "cloudevents"}, "bad_event"),
        (Sent({"specversion": "1.0", "id": "7", "data": {}}), {"format": "cloudevents"}, "bad_event"),
        (Sent(b"text"), {"format": "debezium"}, "bad_event"),
    ],
)
def test_what_cannot_be_an_event_is_refused_with_its_reason(sent: Sent, table: dict[str, Any], reason: str) -> None:
    assert refused(sent, **table).reason == reason


# ---- Filters and tombstones ----


FIELDS = Sent({"status": "new", "count": 1, "done": False, "text": "x"}, b'{"region": "eu"}', {"type": "order"})
MEETS = [
    {"header:type": "order"},
    {"header:type": ["mail", "order"]},
    {"key:/region": "eu"},
    {"/status": ["new", "open"], "/count": 1, "/done": False},
    {"topic": "t"},
]
MISSES = [{"header:type": "mail"}, {"header:none": "x"}, {"key:/region": "us"}, {"/count": 2}, {"/status": []}]


@pytest.mark.parametrize("condition", MEETS)
def test_a_record_that_meets_a_condition(condition: dict[str, Any]) -> None:
    assert made(FIELDS, where=condition).text == "x"
    assert skipped(FIELDS, unless=condition if len(condition) == 1 else {"/count": 1}) == "filtered"


@pytest.mark.parametrize("condition", MISSES)
def test_a_record_that_does_not_meet_a_condition(condition: dict[str, Any]) -> None:
    assert skipped(FIELDS, where={"/status": "new"} | condition) == "filtered"
    assert made(FIELDS, unless=condition).text == "x"


def test_headers_and_keys_decide_before_anything_is_decoded() -> None:
    unreadable = Sent(b"\x00\x00\x00\x00\x07not avro" + b"x" * 100_000, b"C-7", {"type": "mail"})
    assert skipped(unreadable, where={"header:type": "order"}) == "filtered"
    assert skipped(unreadable, unless={"key": "C-7"}) == "filtered"
    assert skipped(unreadable, where={"/status": "new", "header:type": "order"}) == "filtered"
    assert refused(unreadable, where={"header:type": "mail", "/status": "new"}).reason == "too_large"


@pytest.mark.parametrize("format_", ["plain", "cloudevents", "debezium"])
def test_a_tombstone_is_skipped_before_any_filter(format_: str) -> None:
    assert skipped(Sent(None, {"id": 1}), format=format_, unless={"topic": "t"}) == "tombstone"


# ---- Plain records without a mapping are read as the topic events is ----

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab7", max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=2),
    max_leaves=4,
)
KEYS = st.sampled_from(["id", "time", "text", "image", "data", "data_subject", "specversion", "source", "x"])


@given(
    st.dictionaries(KEYS, JSON | st.just("2026-11-02T09:30:00Z"), max_size=6),
    st.dictionaries(st.sampled_from([ID_HEADER, SUBJECT_HEADER, "ce_specversion", "ce_id", "ce_source"]), st.just("h")),
)
def test_a_plain_record_is_the_event_that_it_would_be_on_the_topic_events(
    fields: dict[str, Any], headers: dict[str, str]
) -> None:
    sent = Sent(fields, headers=headers)
    there = record(sent)
    mapped = MappedEvents(reader(), EVENTS, CODEC, "pre.events")

    def tried(read: Callable[[KafkaRecord], Any]) -> Any:
        try:
            event = read(there)
        except UnreadableError as error:
            return error.reason
        return replace(event, origin=replace(event.origin, event_id="", content_digest="", trace_id="")), (
            event.origin.event_id,
            event.origin.content_digest,
        )

    assert tried(mapped) == tried(EVENTS)


# ---- CloudEvents ----


@pytest.mark.parametrize("send", [structured, binary])
def test_both_modes_of_a_cloud_event_make_the_same_event(send: Callable[[int, str], Sent]) -> None:
    found = made(send(7, "Where is it?"), format="cloudevents", text="/data/text", where={"/type": "com.example.mail"})
    assert found == RawEvent(
        id="/desk 7", time=datetime(2026, 11, 2, 9, 30, tzinfo=UTC), text="Where is it?", data='{"lang": "en"}'
    )


@pytest.mark.parametrize(
    ("kind", "value", "text", "data"),
    [
        ("text/plain; charset=utf-8", b"hi", "hi", None),
        ("application/xml", b"<a/>", "<a/>", None),
        ("application/json", b'{"a": 1}', "", '{"a": 1}'),
        ("application/vnd.shop+json", b"[1]", "", '{"data": [1]}'),
        ("application/json", b'"hi"', "hi", None),
    ],
)
def test_the_data_of_a_cloud_event_is_read_by_its_content_type(
    kind: str, value: bytes, text: str, data: str | None
) -> None:
    sent = binary(7, "")
    found = made(Sent(value, headers={**sent.headers, "content-type": kind}), format="cloudevents")
    assert (found.text, found.data) == (text, data)


def test_data_in_base64_is_read_by_its_content_type_too() -> None:
    value = structured(7, "").value | {"data_base64": "aGk=", "datacontenttype": "text/plain"}
    del value["data"]
    assert made(Sent(value), format="cloudevents").text == "hi"
    assert refused(Sent(value | {"data_base64": "?"}), format="cloudevents").reason == "bad_event"
    assert refused(Sent(value | {"datacontenttype": "image/png"}), format="cloudevents").reason == "bad_event"


# ---- Debezium ----

POSTGRES = {"format": "debezium", "text": "/after/remark"}


def test_a_change_has_the_same_id_wrapped_or_not_and_the_row_as_its_data() -> None:
    one, other = (made(change(1, "c", 100, wrapped=wrapped), **POSTGRES) for wrapped in (True, False))
    assert one == other
    assert one.id == f't {{"id":1}} 100 c {CHANGED_AT}'
    assert (one.text, json.loads(one.data or "")) == ("Where is order 1?", {"id": 1, "state": "new"})
    assert one.time == datetime(2026, 11, 2, 9, 30, tzinfo=UTC)


def test_a_flattened_change_has_the_id_of_the_whole_one() -> None:
    whole = made(change(1, "c", 100), **POSTGRES)
    assert made(flattened(1, 100), format="debezium", text="/remark") == whole


def test_what_the_flattening_adds_may_be_in_headers() -> None:
    plain = {key: value for key, value in flattened(1, 100).value.items() if not key.startswith("__")}
    headers = {"__op": "c", "__source_lsn": "100", "__source_ts_ms": str(CHANGED_AT)}
    found = made(Sent(plain, {"id": 1}, headers), format="debezium", text="/remark")
    assert found.id == made(flattened(1, 100), format="debezium").id


@pytest.mark.parametrize(
    "other",
    [change(2, "c", 100), change(1, "c", 101), change(1, "r", 100)],
    ids=["another row", "a later change", "read again by a snapshot"],
)
def test_another_change_has_another_id(other: Sent) -> None:
    assert made(other, **POSTGRES).id != made(change(1, "c", 100), **POSTGRES).id


@pytest.mark.parametrize(
    "source",
    [
        {"file": "mysql-bin.000003", "pos": 154, "row": 1},
        {"commit_lsn": "00000027:00000758:0005", "change_lsn": "00000027:00000758:0003", "event_serial_no": 2},
        {"scn": "2122184", "commit_scn": "2122185"},
        {"ord": 31},
    ],
    ids=["mysql", "sqlserver", "oracle", "mongodb"],
)
def test_every_connectors_place_in_the_log_is_part_of_the_id(source: dict[str, Any]) -> None:
    def at(place: dict[str, Any]) -> str | None:
        sent = change(1, "u", 0)
        value = sent.value | {"source": {"ts_ms": CHANGED_AT, **place}}
        return made(replace(sent, value=value), format="debezium").id

    assert at(source) == at(source)
    for name, value in source.items():
        assert at(source) != at({**source, name: f"{value}1"})


def test_without_a_place_or_a_key_the_id_is_made_of_the_record() -> None:
    sent = change(1, "u", 100)
    placeless = replace(sent, value=sent.value | {"source": {"ts_ms": CHANGED_AT}})
    for one in (placeless, replace(sent, key=None)):
        assert len(made(one, **POSTGRES).id or "") == 32


def test_a_document_of_mongodb_is_json_text() -> None:
    sent = change(1, "c", 100)
    value = sent.value | {"after": '{"_id": 1, "remark": "hi"}'}
    assert json.loads(made(replace(sent, value=value), format="debezium").data or "")["remark"] == "hi"


def test_deletes_are_skipped_unless_they_are_asked_for() -> None:
    gone = flattened(1, 100, __deleted="true")
    assert skipped(change(1, "d", 100), **POSTGRES) == "deleted"
    assert skipped(gone, format="debezium") == "deleted"
    wanted = made(change(1, "d", 100), format="debezium", deletes=True, text="/before/remark", data={"op": "/op"})
    assert (wanted.text, wanted.data) == ("Where is order 1?", '{"op": "d"}')
    assert made(gone, format="debezium", deletes=True).data is not None


@pytest.mark.parametrize("op", ["t", "m"])
def test_a_change_of_no_row_never_makes_an_event(op: str) -> None:
    sent = change(1, "c", 100)
    value = sent.value | {"op": op, "after": None}
    assert skipped(replace(sent, value=value), format="debezium", deletes=True) == "deleted"


# ---- On the topic events ----


def test_an_event_has_the_place_the_first_time_and_the_trace_of_its_record() -> None:
    received = record(note(7, "Is it open?"))
    mapped = reader(**NOTES)(received)
    assert isinstance(mapped, RawEvent)
    there = event_record(received, mapped, CODEC, "pre.events")
    came = replace(there, partition=2, offset=99, timestamp=AT.replace(hour=13))
    origin = EVENTS(came).origin
    assert (origin.topic, origin.partition, origin.offset) == ("t", 0, 5)
    assert (origin.event_id, origin.trace_id) == ("7 1", "0af7651916cd43dd8448eb211c80319c")
    assert (came.deadline_from, came.came_at) == (AT, AT)
    retried = replace(came, headers=[*came.headers, ("escalon-retry-of", b"x")])
    assert retried.deadline_from == came.timestamp, "a retry has its time again"


@pytest.mark.parametrize("place", [b"t", b"t/0", b"t/0/x", b"t/0/5/6", b"a b/0/5", b""])
def test_a_header_that_names_no_place_is_ignored(place: bytes) -> None:
    came = KafkaRecord("events", 2, 99, None, b"hi", AT, [("escalon-source", place)])
    assert EVENTS(came).origin.topic == "events"


def test_headers_name_the_record_and_its_time() -> None:
    named = dict(source_headers(record(note(7, "hi"))))
    assert named == {"escalon-source": b"t/0/5", "escalon-event-time": b"1793707200000"}


# ---- Which topics ----


def test_patterns_match_whole_names_and_never_escalons_own_topics() -> None:
    topics = SourceTopics([table_of(pattern=".*"), table_of(topics=["named"], text="/a")], "pre.")
    existing = ["named", "shop", "events", "pre.events", "pre.verdicts", "escalon-pre.listen-x-changelog", "__offsets"]
    assert topics.among(existing) == ["events", "named", "shop"]
    named = topics.of("named")
    assert named is not None
    assert named.text is not None, "a table that names a topic is before a pattern"
    assert SourceTopics([table_of(pattern="shop")], "").of("shop.orders") is None


@pytest.mark.parametrize("topic", ["pre.events", "pre.calls", "__consumer_offsets"])
def test_no_table_may_name_a_topic_that_is_kept(topic: str) -> None:
    with pytest.raises(ConfigError, match="keeps for itself"):
        SourceTopics([table_of(topics=[topic])], "pre.")


def test_no_two_tables_may_name_one_topic() -> None:
    with pytest.raises(ConfigError, match="two tables"):
        SourceTopics([table_of(topics=["a"]), table_of(topics=["a", "b"])], "")
