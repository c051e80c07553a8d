"""Events made of the records of the user's own topics, as `[source]` maps them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from streams.adapters.cloud_events import TIME, binary_id, binary_time, structured_id
from streams.adapters.codec import Codec
from streams.adapters.debezium import change_id, change_of
from streams.adapters.event_reader import ENVELOPE, EventReader, check_event, derived_event_id, from_object
from streams.adapters.kafka_record import (
    EPOCH,
    ID_HEADER,
    SOURCE_HEADER,
    SUBJECT_HEADER,
    TIME_HEADER,
    TRACE_HEADER,
    KafkaRecord,
)
from streams.adapters.source_topics import SourceTopics
from streams.adapters.source_values import SourceValues
from streams.core.errors import UnreadableError
from streams.core.messages import Event, RawEvent
from streams.pipeline.selector import Selector
from streams.pipeline.source import Format, SourceSpec, as_text

SkipReason = Literal["filtered", "tombstone", "deleted"]
MICROSECONDS, NANOSECONDS = 1e14, 1e17
"""Times above these are so many units since 1970."""
_EPOCH_TIME: Final = re.compile(r"-?[0-9]{9,}(\.[0-9]+)?")


SKIPPED: Final = "skipped"


@dataclass(frozen=True, slots=True)
class Skipped:
    """A record that makes no event, and why."""

    reason: SkipReason


class SourceReader:
    """Reads records of the user's topics. Values larger than `max_bytes` are refused; ids contain `cluster_id`."""

    def __init__(self, topics: SourceTopics, codec: Codec, cluster_id: str, max_bytes: int) -> None:
        self.topics = topics
        self._codec, self._cluster_id, self._max_bytes = codec, cluster_id, max_bytes

    def __call__(self, record: KafkaRecord) -> RawEvent | Skipped:
        """Return a record's event, with an id, or why it makes none. Raises UnreadableError with the reason."""
        return self.read(record, self._spec(record))

    def read(self, record: KafkaRecord, spec: SourceSpec) -> RawEvent | Skipped:
        """Read a record by one of the tables."""
        if record.value is None:
            return Skipped("tombstone")
        values = SourceValues(record, spec.format, self._codec)
        if _filtered(spec, values, decode=False):
            return Skipped("filtered")
        if len(record.value) > self._max_bytes:
            what = f"The record has {len(record.value)} bytes, {self._max_bytes} are allowed."
            raise UnreadableError("too_large", what, "Skip it by a header or its key, or publish it by reference.")
        if _filtered(spec, values, decode=True):
            return Skipped("filtered")
        found = _READ[spec.format](spec, values)
        if isinstance(found, Skipped):
            return found
        raw, header = from_object(found), record.header
        named = found["id"] if spec.id is not None else binary_id(header) or raw.id or header(ID_HEADER)
        raw = replace(
            raw,
            id=named or derived_event_id(record, self._cluster_id),
            data_subject=raw.data_subject or header(SUBJECT_HEADER),
        )
        check_event(raw)
        return raw

    def event_id(self, record: KafkaRecord) -> str:
        """Return the id that the record's event has, or would have if the record could be read.

        Raises ServiceError if a registry is unavailable.
        """
        try:
            found = self(record)
        except UnreadableError:
            return derived_event_id(record, self._cluster_id)
        named = found.id if isinstance(found, RawEvent) else None
        return named or derived_event_id(record, self._cluster_id)

    def _spec(self, record: KafkaRecord) -> SourceSpec:
        spec = self.topics.of(record.topic)
        if spec is None:
            raise UnreadableError("no_source", f"No [source] of the pipeline reads the topic {record.topic}.")
        return spec


def source_headers(record: KafkaRecord) -> list[tuple[str, bytes]]:
    """Return the headers of an event that is made of a record: the record's place, and when it first came."""
    milliseconds = round((record.came_at - EPOCH).total_seconds() * 1000)
    place = f"{record.topic}/{record.partition}/{record.offset}"
    return [(SOURCE_HEADER, place.encode()), (TIME_HEADER, str(milliseconds).encode())]


def event_record(record: KafkaRecord, event: RawEvent, codec: Codec, topic: str) -> KafkaRecord:
    """Return the record on the topic `events` for the event that was made of a record. It has no place yet."""
    trace = [one for one in record.headers if one[0] == TRACE_HEADER]
    return KafkaRecord(
        topic=topic,
        partition=-1,
        offset=-1,
        key=(event.id or "").encode(),
        value=codec.encode(event),
        timestamp=record.timestamp,
        headers=[*source_headers(record), *trace],
    )


@dataclass(frozen=True, slots=True)
class MappedEvents:
    """Reads the events that a pipeline would make of the records of the user's topics."""

    source: SourceReader
    reader: EventReader
    codec: Codec
    topic: str
    """The full name of the topic `events`."""

    def __call__(self, record: KafkaRecord) -> Event:
        """Return the event of a record. Raises UnreadableError, with the reason SKIPPED for one that makes none."""
        found = self.source(record)
        if isinstance(found, Skipped):
            raise UnreadableError(SKIPPED, f"[source] skips the record ({found.reason}).")
        return self.reader(event_record(record, found, self.codec, self.topic))


def _filtered(spec: SourceSpec, values: SourceValues, *, decode: bool) -> bool:
    """True if a filter skips the record, by its value if `decode`, else by what is known without decoding it."""

    def meets(place: Selector, wanted: frozenset[str]) -> bool:
        found = values.at(place)
        return found is not None and as_text(found) in wanted

    return not all(meets(*one) for one in spec.where.items() if one[0].needs_value == decode) or any(
        meets(*one) for one in spec.unless.items() if one[0].needs_value == decode
    )


def _plain(spec: SourceSpec, values: SourceValues) -> dict[str, Any]:
    """Return an event in the form of docs/messages.md, with what the mapping takes from elsewhere."""
    document = values.document
    fields = _unnamed(spec, document) if isinstance(document, Mapping) else {"text": document}
    if spec.data is not None:
        fields = {name: value for name, value in fields.items() if name in ENVELOPE}
    if fields.get("time") is None:
        fields["time"] = binary_time(values.record.header)
    return fields | _mapped(spec, values)


def _cloud_event(spec: SourceSpec, values: SourceValues) -> dict[str, Any]:
    document = values.document
    event: dict[str, Any] = {"id": structured_id(document), "time": document.get(TIME)}
    if event["id"] is None and spec.id is None:
        raise UnreadableError("bad_event", "The CloudEvent has no source or no id.", "Publish valid CloudEvents.")
    if spec.data is None:
        data = document.get("data")
        event["text" if isinstance(data, str) else "data"] = _unnamed(spec, data, "data")
    return event | _mapped(spec, values)


def _change(spec: SourceSpec, values: SourceValues) -> dict[str, Any] | Skipped:
    change = change_of(values.document, values.record)
    if change.row is None or (change.op == "d" and not spec.deletes):
        return Skipped("deleted")
    event: dict[str, Any] = {"time": _time(change.time)}
    if spec.id is None:
        event["id"] = change_id(values.record.topic, values.key, change)
    if spec.data is None:
        event["data"] = _unnamed(spec, change.row, *change.row_at)
    return event | _mapped(spec, values)


def _unnamed(spec: SourceSpec, fields: Any, *inside: str) -> Any:
    """Return an object, whose path in the value is `inside`, without the fields that the table names as other parts."""
    if not isinstance(fields, Mapping):
        return fields
    parts = (*(spec.id or ()), spec.time, *(spec.text or ()), spec.image, spec.data_subject)
    paths = [one.path for one in parts if one is not None and one.needs_value and one.path]
    named = {path[-1] for path in paths if path[:-1] == inside}
    return {name: value for name, value in fields.items() if name not in named}


_READ: Final[Mapping[Format, Callable[[SourceSpec, SourceValues], dict[str, Any] | Skipped]]] = {
    "plain": _plain,
    "cloudevents": _cloud_event,
    "debezium": _change,
}


def _mapped(spec: SourceSpec, values: SourceValues) -> dict[str, Any]:
    """Return the parts of the event that the table names. Raises UnreadableError for a missing id."""
    found: dict[str, Any] = {}
    if spec.id is not None:
        parts = [_text(values.at(place)) for place in spec.id]
        if missing := [str(place) for place, part in zip(spec.id, parts, strict=True) if not part]:
            what = f"The record has no {missing[0]}, where [source] says that its id is."
            raise UnreadableError("bad_id", what, "Correct the record, or [source].id.")
        found["id"] = " ".join(filter(None, parts))
    if spec.text is not None:
        found["text"] = "\n".join(filter(None, (_text(values.at(place)) for place in spec.text)))
    if spec.time is not None:
        found["time"] = _time(values.at(spec.time))
    for name, place in (("image", spec.image), ("data_subject", spec.data_subject)):
        if place is not None:
            found[name] = _text(values.at(place)) or None
    if isinstance(spec.data, Selector):
        found["data"] = values.at(spec.data)
    elif spec.data is not None:
        every = {name: values.at(place) for name, place in spec.data.items()}
        found["data"] = {name: value for name, value in every.items() if value is not None}
    return found


def _text(value: Any) -> str:
    """Return a value as text: lists and objects as JSON."""
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (Mapping, list)) else as_text(value)


def _time(value: Any) -> Any:
    """Return a time as docs/messages.md allows it: digits as a number, micro- and nanoseconds as milliseconds."""
    if isinstance(value, str) and _EPOCH_TIME.fullmatch(value):
        value = float(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value / 1e6 if abs(value) > NANOSECONDS else value / 1e3 if abs(value) > MICROSECONDS else value
    return value
