"""From the bytes on the topic events to an identified event: Avro of both kinds, plain JSON, or plain text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn

from streams.adapters.codec import CONFLUENT, SINGLE_OBJECT, Codec, read_as, read_record
from streams.core.errors import UnreadableError
from streams.core.fingerprint import positional_event_id, trace_id
from streams.core.messages import Event, EventKind, Origin, RawEvent

ENVELOPE = ("id", "time", "text", "image", "trace_id", "data")
ID_HEADER, TRACE_HEADER = "escalon-event-id", "traceparent"
MAX_ID = 200
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?P<trace>[0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


@dataclass(frozen=True, slots=True)
class Received:
    """A Kafka record, of any client."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: datetime
    headers: Sequence[tuple[str, bytes]] = ()

    def header(self, name: str) -> str | None:
        """The last header of a name, as text; None when absent or no UTF-8."""
        for key, value in reversed(self.headers):
            if key == name:
                return value.decode("utf-8", "ignore") or None
        return None


class EventReader:
    """Reads events. `cluster_id` and `run` make the ids; larger events than `max_bytes` are refused."""

    def __init__(self, codec: Codec, cluster_id: str, run: str, max_bytes: int) -> None:
        self._codec = codec
        self._cluster_id = cluster_id
        self._run = run
        self._max_bytes = max_bytes

    def __call__(self, received: Received) -> Event:
        """The event in a record; raises UnreadableError with the reason."""
        raw = self.read(received.value)
        if raw.image is not None and not _SHA256.fullmatch(raw.image):
            _unreadable(
                "bad_image",
                "image must be the SHA-256 of an image in the blob store.",
                "Use escalon publish.",
            )
        event_id = self.event_id(received, raw.id)
        trace = _TRACEPARENT.fullmatch(received.header(TRACE_HEADER) or "")
        origin = Origin(
            event_id=event_id,
            run=self._run,
            event_time=raw.time or received.timestamp,
            trace_id=trace["trace"] if trace else raw.trace_id or trace_id(self._run, event_id),
            topic=received.topic,
            partition=received.partition,
            offset=received.offset,
        )
        return Event(origin=origin, kind=_kind(raw), text=raw.text, data=raw.data, image=raw.image)

    def event_id(self, received: Received, own: str | None = None) -> str:
        """The producer's id, in the event or in a header; else one made of the position."""
        named = own or received.header(ID_HEADER)
        if named is not None and len(named) > MAX_ID:
            _unreadable("bad_id", f"The id has {len(named)} characters, {MAX_ID} are allowed.", "Shorten it.")
        return named or positional_event_id(self._cluster_id, received.topic, received.partition, received.offset)

    def read(self, value: bytes | None) -> RawEvent:
        """The raw event in a record's bytes."""
        if not value:
            _unreadable("empty", "The record has no bytes.", "Publish an event with content.")
        if len(value) > self._max_bytes:
            what = f"The event has {len(value)} bytes, {self._max_bytes} are allowed."
            _unreadable("too_large", what, "Publish large content by reference.")
        raw = self._read_avro(value) if value[:1] in (CONFLUENT, SINGLE_OBJECT[:1]) else read_text(value)
        _check_text(raw)
        return raw

    def _read_avro(self, value: bytes) -> RawEvent:
        writer, body = self._codec.writer_schema(value)
        if isinstance(writer, dict) and writer.get("name") == "escalon.RawEvent":
            return read_as(RawEvent, writer, body)
        # A schema of the user's own: its fields are the event's data.
        record = json.loads(json.dumps(read_record(writer, body), default=_jsonable))
        return from_object(record)


def read_text(value: bytes) -> RawEvent:
    """Plain JSON (an object) or plain text, in UTF-8."""
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError as error:
        what = f"The event is neither Avro nor UTF-8 (byte {error.start}: {error.reason})."
        _unreadable("invalid_utf8", what, "Publish UTF-8 text, JSON or Avro.")
    if not text.lstrip().startswith("{"):
        return RawEvent(text=text)
    try:
        return from_object(json.loads(text, parse_constant=_no_constant))
    except (ValueError, RecursionError) as error:
        _unreadable("invalid_json", f"The event starts like JSON and is none ({error}).", "Publish valid JSON.")


def from_object(fields: Mapping[str, Any]) -> RawEvent:
    """A JSON object as a raw event: the envelope's keys, and all others as its data."""
    data = {key: value for key, value in fields.items() if key not in ENVELOPE}
    nested = fields.get("data")
    if isinstance(nested, str):
        nested = _loads(nested)
    data |= nested if isinstance(nested, Mapping) else {}
    dumped = json.dumps(data, ensure_ascii=False, sort_keys=True) if data else None
    return RawEvent(
        id=_optional_text(fields, "id"),
        time=_time(fields.get("time")),
        text=_optional_text(fields, "text") or "",
        data=dumped,
        image=_optional_text(fields, "image"),
        trace_id=_optional_text(fields, "trace_id"),
    )


def _loads(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return {"data": text}


def _optional_text(fields: Mapping[str, Any], key: str) -> str | None:
    value = fields.get(key)
    if isinstance(value, (int, float)) and key == "id":
        return str(value)
    if value is not None and not isinstance(value, str):
        _unreadable("bad_event", f"{key} must be a string.", "See docs/messages.md.")
    return value or None


def _time(value: Any) -> datetime | None:
    """ISO 8601, or seconds or milliseconds since 1970."""
    try:
        if isinstance(value, str):
            parsed = datetime.fromisoformat(value)
            return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return datetime.fromtimestamp(value / 1000 if value > 1e11 else value, UTC)
    except (ValueError, OverflowError, OSError) as error:
        _unreadable("bad_time", f"time cannot be read ({error}).", "Use ISO 8601, for example 2026-01-31T12:00:00Z.")
    if value is not None:
        _unreadable("bad_time", "time must be a string or a number.", "Use ISO 8601.")
    return None


def _check_text(raw: RawEvent) -> None:
    for text in (raw.id, raw.text, raw.data, raw.trace_id):
        try:
            (text or "").encode("utf-8")
        except UnicodeEncodeError:
            _unreadable("invalid_unicode", "The event holds half a surrogate pair.", "Publish valid Unicode.")
    if _CONTROL.search(raw.text):
        _unreadable("not_text", "The text holds control characters.", "Publish text; publish images by reference.")
    if not (raw.text or raw.data or raw.image):
        _unreadable("empty", "The event has neither text nor data nor an image.", "Publish an event with content.")


def _kind(raw: RawEvent) -> EventKind:
    if raw.image is not None:
        return "image"
    return "text" if raw.text else "json"


def _jsonable(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return value.hex() if isinstance(value, bytes) else str(value)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _unreadable(reason: str, what: str, remedy: str) -> NoReturn:
    raise UnreadableError(reason, what, remedy)
