"""Labels and judgements, as Avro and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.adapters.codec import Codec
from streams.adapters.ground_truth import checked, from_json, label_text, read_ground_truth
from streams.adapters.kafka_record import KafkaRecord
from streams.core.errors import UnreadableError
from streams.core.messages import Judgement, Label

AT = datetime(2026, 11, 1, 12, tzinfo=UTC)
CODEC = Codec()
LABEL = Label(event_id="mail-7", label="refund", aspect="intent", source="desk", labelled_at=AT)
JUDGEMENT = Judgement(event_id="mail-7", call_id="c", judge="ann", question="polite", verdict="yes", judged_at=AT)


def record(value: bytes | None) -> KafkaRecord:
    return KafkaRecord("labels", 0, 5, b"mail-7", value, AT)


def read(fields: Mapping[str, Any] | bytes) -> Label:
    value = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
    return read_ground_truth(Label, record(value), CODEC)


def test_avro_is_read_as_it_was_written() -> None:
    assert read_ground_truth(Label, record(CODEC.encode(LABEL)), CODEC) == LABEL
    assert read_ground_truth(Judgement, record(CODEC.encode(JUDGEMENT)), CODEC) == JUDGEMENT


def test_a_label_in_json_needs_no_more_than_the_event_and_the_truth() -> None:
    assert read({"event_id": "mail-7", "label": "refund"}) == Label(event_id="mail-7", label="refund", labelled_at=AT)


def test_a_label_may_begin_with_the_mark_that_some_editors_write() -> None:
    assert read(b"\xef\xbb\xbf" + json.dumps({"event_id": "mail-7", "label": "ä"}).encode()).label == "ä"


def test_a_label_in_json_may_say_everything() -> None:
    said = {"event_id": "mail-7", "label": "refund", "aspect": "intent", "source": "desk", "run": "trial"}
    found = read(b" \r\n\t" + json.dumps(said | {"labelled_at": "2026-10-31T23:30:00-02:00"}).encode())
    assert (found.aspect, found.source, found.run) == ("intent", "desk", "trial")
    assert (found.labelled_at, found.labelled_at.tzinfo) == (datetime(2026, 11, 1, 1, 30, tzinfo=UTC), UTC)


def test_a_judgement_in_json_is_read_too() -> None:
    said = {"event_id": "mail-7", "call_id": "c", "judge": "ann", "question": "polite", "verdict": "yes"}
    assert read_ground_truth(Judgement, record(json.dumps(said).encode()), CODEC) == JUDGEMENT


@given(
    st.recursive(
        st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=8,
    )
)
def test_a_label_other_than_a_string_becomes_its_json_text(value: Any) -> None:
    assert json.loads(read({"event_id": "mail-7", "label": value}).label) == value


def test_a_label_that_is_a_string_stays_as_it_is() -> None:
    assert read({"event_id": "mail-7", "label": '{"a": 1}'}).label == '{"a": 1}'
    assert read({"event_id": "mail-7", "label": ""}).label == ""


def test_a_number_is_an_event_id_as_it_is_in_an_event() -> None:
    assert read({"event_id": 77, "label": "x"}).event_id == "77"


GOOD: dict[str, Any] = {"event_id": "mail-7", "label": "x"}


@pytest.mark.parametrize(
    ("value", "reason", "told"),
    [
        (b"", "empty", "no bytes"),
        (None, "empty", "no bytes"),
        (b"refund", "not_avro", "no Avro header"),
        (b"[1]", "not_avro", "no Avro header"),
        (CODEC.encode(LABEL)[:-3], "truncated", ""),
        (CODEC.encode(JUDGEMENT), "bad_avro", ""),
        (b'{"event_id": "\xe9"}', "invalid_utf8", "byte 14"),
        (b'{"event_id": "mail-7"', "invalid_json", "not JSON"),
        (b'{"event_id": "mail-7", "label": NaN}', "invalid_json", "NaN"),
        (b'{"event_id": "mail-7", "label": 1e999}', "invalid_json", "1e999"),
        (b'{"event_id": "mail-7", "label": "x", "label": "y"}', "invalid_json", "'label' twice"),
        (b'{"event_id": "mail-7", "label": {"a": 1, "a": 2}}', "invalid_json", "'a' twice"),
        (b'{"label": ' + b"[" * 100_000, "invalid_json", ""),
        ({**GOOD, "lable": "y"}, "bad_fields", "'lable'"),
        ({"label": "x"}, "bad_fields", "'event_id' is missing"),
        ({"event_id": "mail-7"}, "bad_fields", "'label' is missing"),
        ({**GOOD, "label": None}, "bad_fields", "null"),
        ({**GOOD, "source": 7}, "bad_fields", "source must be a string"),
        ({**GOOD, "run": None}, "bad_fields", "run must be a string"),
        ({**GOOD, "event_id": True}, "bad_fields", "event_id must be a string"),
        ({**GOOD, "aspect": "colour"}, "bad_fields", "intent, answer"),
        ({**GOOD, "event_id": ""}, "bad_id", "0 characters"),
        ({**GOOD, "event_id": "x" * 201}, "bad_id", "201 characters"),
        ({**GOOD, "labelled_at": "yesterday"}, "bad_time", "labelled_at"),
        ({**GOOD, "labelled_at": "2026-11-01T12:00:00"}, "bad_time", "offset"),
        ({**GOOD, "labelled_at": 1793611800}, "bad_time", "labelled_at"),
        ({**GOOD, "labelled_at": "0001-01-01T00:00:00+14:00"}, "bad_time", "year 1"),
        ({**GOOD, "labelled_at": "1970-01-01T00:00:00+14:00"}, "bad_time", "year 1969"),
        ({**GOOD, "label": "\ud800"}, "invalid_unicode", "label"),
        ({**GOOD, "label": {"a": "\ud800"}}, "invalid_unicode", "label"),
    ],
)
def test_an_invalid_label_is_refused_with_the_reason_and_a_remedy(value: Any, reason: str, told: str) -> None:
    payload = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
    with pytest.raises(UnreadableError) as refused:
        read_ground_truth(Label, record(payload), CODEC)
    assert refused.value.reason == reason
    assert told in refused.value.what + refused.value.remedy
    assert refused.value.remedy


def test_avro_is_checked_as_json_is() -> None:
    wrong = Label(event_id="mail-7", label="x", aspect="colour", labelled_at=AT)  # type: ignore[arg-type]
    with pytest.raises(UnreadableError, match="aspect is 'colour'"):
        read_ground_truth(Label, record(CODEC.encode(wrong)), CODEC)


def test_a_judgement_of_another_shape_is_refused() -> None:
    with pytest.raises(UnreadableError, match="A judgement has the keys event_id, run, call_id"):
        from_json(Judgement, b'{"event_id": "mail-7", "label": "x"}', AT)


def test_a_checked_time_is_in_utc_and_has_to_name_its_offset() -> None:
    local = Label(event_id="e", label="x", labelled_at=AT.astimezone(timezone(timedelta(hours=5))))
    assert checked(local).labelled_at.tzinfo is UTC
    with pytest.raises(UnreadableError, match="names no offset"):
        checked(Label(event_id="e", label="x", labelled_at=AT.replace(tzinfo=None)))


@pytest.mark.parametrize("value", [None, float("nan"), {1, 2}, object()])
def test_a_value_that_json_cannot_hold_is_refused_as_a_label(value: Any) -> None:
    with pytest.raises(UnreadableError):
        label_text(value)


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: b"{" + text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_a_label_or_refused(value: bytes) -> None:
    try:
        read_ground_truth(Label, record(value), CODEC)
    except UnreadableError:
        return


# ---- Labels from the future ----


@pytest.mark.parametrize("ahead", [timedelta(minutes=6), timedelta(days=20_000)])
def test_nothing_was_said_later_than_it_came(ahead: timedelta) -> None:
    said = (AT + ahead).isoformat()
    in_json = {"event_id": "mail-7", "label": "x", "labelled_at": said}
    judged = {"event_id": "mail-7", "call_id": "c", "judge": "a", "question": "q", "verdict": "v", "judged_at": said}
    records = [
        (Label, json.dumps(in_json).encode()),
        (Label, CODEC.encode(replace(LABEL, labelled_at=AT + ahead))),
        (Judgement, json.dumps(judged).encode()),
        (Judgement, CODEC.encode(replace(JUDGEMENT, judged_at=AT + ahead))),
    ]
    for kind, value in records:
        with pytest.raises(UnreadableError, match="later than it came") as refused:
            read_ground_truth(kind, record(value), CODEC)
        assert refused.value.reason == "bad_time"


def test_a_clock_that_is_a_little_ahead_is_tolerated() -> None:
    ahead = AT + timedelta(minutes=5)
    assert read_ground_truth(Label, record(CODEC.encode(replace(LABEL, labelled_at=ahead))), CODEC).labelled_at == ahead


@pytest.mark.parametrize(
    ("key", "near"), [("event-id", "event_id"), ("lable", "label"), ("labeled_at", "labelled_at"), ("soruce", "source")]
)
def test_a_misspelt_key_is_named_with_the_right_one(key: str, near: str) -> None:
    with pytest.raises(UnreadableError, match=f"There is no key '{key}'; is it '{near}'"):
        read({"event_id": "mail-7", "label": "x", key: "y"})
