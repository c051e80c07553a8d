"""Events, decoded from Avro, JSON or plain text, and given their ids."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NoReturn

from streams.adapters.cloud_events import binary_id, binary_time, structured_id
from streams.adapters.codec import SINGLE_OBJECT, Codec, read_as
from streams.adapters.kafka_record import ID_HEADER, SUBJECT_HEADER, TRACE_HEADER, KafkaRecord
from streams.adapters.registered_formats import Avro
from streams.adapters.schema_ids import CONFLUENT
from streams.core import exact_json
from streams.core.errors import UnreadableError
from streams.core.fingerprint import DIGEST_DIGITS, data_subject, digest, trace_id
from streams.core.messages import Event, EventKind, Origin, RawEvent
from streams.core.time_range import YEARS

ENVELOPE = ("id", "time", "text", "image", "trace_id", "data_subject", "data")
MAX_ID = 200
MAX_DEPTH = 64
"""Levels of lists and objects in an event's data."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TRACE = re.compile(r"(?!0{32})[0-9a-f]{32}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?P<trace>[0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def derived_event_id(received: KafkaRecord, cluster_id: str) -> str:
    return received.identity("event", cluster_id)


class EventReader:
    """Reads events. Ids contain `cluster_id` and `run`; events larger than `max_bytes` are refused."""

    def __init__(self, codec: Codec, cluster_id: str, run: str, max_bytes: int) -> None:
        self._codec = codec
        self._cluster_id = cluster_id
        self._run = run
        self._max_bytes = max_bytes

    def __call__(self, received: KafkaRecord) -> Event:
        """Return the event in a record. Raises UnreadableError with the reason."""
        raw = self.read(received.value, received.schema_id)
        if raw.time is None and (sent := _time(binary_time(received.header))) is not None:
            raw = replace(raw, time=sent)
        _check_values(raw)
        event_id = self.event_id(received, raw.id)
        subject = raw.data_subject or received.header(SUBJECT_HEADER)
        topic, partition, offset = received.source or (received.topic, received.partition, received.offset)
        origin = Origin(
            event_id=event_id,
            run=self._run,
            event_time=raw.time or received.came_at,
            trace_id=_trace(received, raw) or trace_id(self._run, event_id),
            topic=topic,
            partition=partition,
            offset=offset,
            data_subject=data_subject(subject) if subject else None,
            content_digest=_content(raw, subject),
        )
        return Event(origin=origin, kind=_kind(raw), text=raw.text, data=raw.data, image=raw.image)

    def event_id(self, received: KafkaRecord, own: str | None = None) -> str:
        """Return the producer's id, from the event or a header, else the record's identity."""
        named = binary_id(received.header) or own or received.header(ID_HEADER)
        _check_id(named)
        return named or derived_event_id(received, self._cluster_id)

    def is_named(self, received: KafkaRecord, event: Event) -> bool:
        """True if an event's id is its producer's, and not made of its record."""
        named = event.origin.event_id
        return len(named) != DIGEST_DIGITS or named != derived_event_id(received, self._cluster_id)

    def read(self, value: bytes | None, schema_id: bytes | None = None) -> RawEvent:
        """Decode a record's value; `schema_id` is the header that names its schema."""
        if not value:
            _unreadable("empty", "The record has no bytes.", "Publish an event with content.")
        if len(value) > self._max_bytes:
            what = f"The event has {len(value)} bytes, {self._max_bytes} are allowed."
            _unreadable("too_large", what, "Publish large content by reference.")
        # Both bytes of the mark: UTF-8 text may begin with the first one, as every text that begins with "Ä" does.
        named = schema_id is not None or value[:1] == CONFLUENT or value[:2] == SINGLE_OBJECT
        raw = self._read_avro(value, schema_id) if named else read_text(value)
        _check_text(raw)
        return raw

    def _read_avro(self, value: bytes, schema_id: bytes | None) -> RawEvent:
        """Decode a value by its schema, which may also be a JSON Schema or of Protobuf."""
        schema, body = self._codec.format_of(value, schema_id)
        if isinstance(schema, Avro) and schema.name == "escalon.RawEvent":
            raw = read_as(RawEvent, schema.parsed, body)
            return raw if raw.data is None else replace(raw, data=_dumped(_object(raw.data)))
        # A user's own schema: its fields are the event's data.
        try:
            return from_object(json.loads(json.dumps(schema.record(body), default=jsonable)))
        except (ValueError, RecursionError) as error:
            _unreadable("bad_event", f"The record cannot be held as JSON ({error}).", "See docs/messages.md.")


def read_text(value: bytes) -> RawEvent:
    """Decode a JSON object or plain text, in UTF-8."""
    try:
        text = value.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        what = f"The event is neither Avro nor UTF-8 (byte {error.start}: {error.reason})."
        _unreadable("invalid_utf8", what, "Publish UTF-8 text, JSON or Avro.")
    if not text.lstrip().startswith("{"):
        return RawEvent(text=text)
    try:
        return from_object(exact_json.loads(text))
    except (ValueError, RecursionError) as error:
        _unreadable("invalid_json", f"The event starts like JSON but is not valid ({error}).", "Publish valid JSON.")


def from_object(fields: Mapping[str, Any]) -> RawEvent:
    """Return a JSON object as a raw event: the keys of the envelope, and all others as its data."""
    data = {key: value for key, value in fields.items() if key not in ENVELOPE}
    data |= _nested(fields.get("data"))
    return RawEvent(
        id=structured_id(fields) or _optional_text(fields, "id"),
        time=_time(fields.get("time")),
        text=_optional_text(fields, "text") or "",
        data=_dumped(data) if data else None,
        image=_optional_text(fields, "image"),
        trace_id=_optional_text(fields, "trace_id"),
        data_subject=_optional_text(fields, "data_subject"),
    )


def _nested(data: Any) -> Mapping[str, Any]:
    """Return the fields in `data`: of an object, or of an object as JSON text; other values become a field."""
    value = data
    if isinstance(data, str):
        try:
            value = exact_json.loads(data)
        except (ValueError, RecursionError):
            value = data
    if isinstance(value, Mapping):
        return value
    return {} if data is None else {"data": data}


def _object(text: str) -> Mapping[str, Any]:
    try:
        value = exact_json.loads(text)
    except (ValueError, RecursionError) as error:
        _unreadable("bad_data", f"data is not JSON ({error}).", "Write a JSON object as text.")
    if not isinstance(value, dict):
        _unreadable("bad_data", "data is not a JSON object.", "Write a JSON object as text.")
    return value


def _dumped(data: Mapping[str, Any]) -> str:
    """Return data as JSON text. Refuse values that later stages could not parse or write again."""
    level: list[Any] = [data]
    for depth in itertools.count(1):
        if depth > MAX_DEPTH:
            _unreadable("bad_data", f"data is nested more than {MAX_DEPTH} levels deep.", "Flatten it.")
        level = [item for one in level for item in (one.values() if isinstance(one, Mapping) else one)]
        if any(isinstance(item, float) and not math.isfinite(item) for item in level):
            _unreadable("bad_data", "data holds a number that JSON cannot represent.", "Leave it out, or send null.")
        level = [item for item in level if isinstance(item, (Mapping, list))]
        if not level:
            break
    return json.dumps(data, ensure_ascii=False, sort_keys=True)


def _optional_text(fields: Mapping[str, Any], key: str) -> str | None:
    value = fields.get(key)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and key in ("id", "data_subject"):
        if not math.isfinite(value):
            _unreadable("bad_event", f"{key} is too large a number.", "Write it as a string.")
        return str(value)
    if value is not None and not isinstance(value, str):
        _unreadable("bad_event", f"{key} must be a string.", "See docs/messages.md.")
    return value or None


def _content(raw: RawEvent, subject: str | None) -> str:
    """Return a hash of an event's content, without its id and trace, which a redelivery may change."""
    time = raw.time.isoformat() if raw.time is not None else None
    return digest("content", time, raw.text, raw.data, raw.image, subject)


def _trace(received: KafkaRecord, raw: RawEvent) -> str | None:
    """Return the producer's trace id. As W3C requires, an invalid one is ignored."""
    parent = _TRACEPARENT.fullmatch(received.header(TRACE_HEADER) or "")
    named = parent["trace"] if parent else raw.trace_id or ""
    return named if _TRACE.fullmatch(named) else None


def _time(value: Any) -> datetime | None:
    """Parse ISO 8601, or seconds or milliseconds since 1970."""
    try:
        if isinstance(value, str):
            parsed = datetime.fromisoformat(value)
            return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return datetime.fromtimestamp(value / 1000 if value > 1e11 else value, UTC)
    except (ValueError, OverflowError, OSError) as error:
        _unreadable("bad_time", f"time cannot be read ({error}).", "Use ISO 8601, for example 2026-01-31T12:00:00Z.")
    if value is not None:
        _unreadable("bad_time", "time must be a string or a number.", "Use ISO 8601.")
    return None


def check_event(raw: RawEvent) -> None:
    """Raise UnreadableError for an event that no reader would accept."""
    _check_text(raw)
    _check_values(raw)
    _check_id(raw.id)


def _check_id(named: str | None) -> None:
    if named is not None and len(named) > MAX_ID:
        _unreadable("bad_id", f"The id has {len(named)} characters, {MAX_ID} are allowed.", "Shorten it.")


def _check_text(raw: RawEvent) -> None:
    for text in (raw.id, raw.text, raw.data, raw.trace_id, raw.data_subject):
        try:
            (text or "").encode("utf-8")
        except UnicodeEncodeError:
            _unreadable("invalid_unicode", "The event holds half a surrogate pair.", "Publish valid Unicode.")
    if _CONTROL.search(raw.text):
        _unreadable("not_text", "The text holds control characters.", "Publish text; publish images by reference.")
    if not (raw.text or raw.data or raw.image):
        _unreadable("empty", "The event has neither text nor data nor an image.", "Publish an event with content.")


def _check_values(raw: RawEvent) -> None:
    if raw.time is not None and raw.time.year not in YEARS:
        what = f"time is in the year {raw.time.year}."
        _unreadable("bad_time", what, f"Give a time from {YEARS.start} to {YEARS.stop - 1}.")
    if raw.image is not None and not _SHA256.fullmatch(raw.image):
        what = "image must be the SHA-256 of an image in the blob store."
        _unreadable("bad_image", what, "Use escalon publish.")


def _kind(raw: RawEvent) -> EventKind:
    if raw.image is not None:
        return "image"
    return "text" if raw.text else "json"


def jsonable(value: Any) -> Any:
    """Return a value of an Avro record that JSON lacks in a form that it has."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return f"{value:f}"  # with its scale, and without an exponent
    return value.hex() if isinstance(value, bytes) else str(value)


def _unreadable(reason: str, what: str, remedy: str) -> NoReturn:
    raise UnreadableError(reason, what, remedy)
