"""The parts of a user's record that `[source]` may name, each decoded once and only if it is asked for."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from functools import cached_property
from typing import Any, Final, NoReturn

from streams.adapters.cloud_events import HEADER, VERSION
from streams.adapters.codec import SINGLE_OBJECT, Codec
from streams.adapters.event_reader import jsonable
from streams.adapters.kafka_record import KafkaRecord
from streams.adapters.schema_ids import CONFLUENT
from streams.core import exact_json
from streams.core.errors import UnreadableError
from streams.pipeline.selector import Selector, at
from streams.pipeline.source import Format

CONTENT_TYPE: Final = "content-type"
_STRUCTURED: Final = "application/cloudevents"


class SourceValues:
    """One record of a topic of some format. What cannot be decoded raises UnreadableError when it is asked for."""

    def __init__(self, record: KafkaRecord, format_: Format, codec: Codec) -> None:
        self.record, self._format, self._codec = record, format_, codec

    def at(self, place: Selector) -> Any:
        """Return what is at a place; None if there is nothing."""
        if place.of == "topic":
            return self.record.topic
        if place.of == "header":
            return self.record.header(place.name)
        if place.of == "key":
            return self.key_text if place.path is None else at(self.key, place.path)
        return at(self.document, place.path or ())

    @cached_property
    def key_text(self) -> str | None:
        """The key as text. Raises UnreadableError if it is not UTF-8."""
        try:
            return self.record.key.decode() if self.record.key is not None else None
        except UnicodeDecodeError as error:
            _unreadable("bad_key", "The key is not UTF-8 text.", 'Name a field of it, as "key:/id".', error)

    @cached_property
    def key(self) -> Any:
        """The decoded key: an object with a schema, a JSON object, or text; without Debezium's wrapper."""
        if not self.record.key:
            return None
        try:
            return self._unwrapped(decoded(self.record.key, self._codec, self.record.key_schema_id))
        except UnreadableError as error:
            raise UnreadableError("bad_key", f"The key cannot be read ({error.what}).", error.remedy) from error

    @cached_property
    def document(self) -> Any:
        """The decoded value that pointers lead into.

        It is a CloudEvent in its JSON format, in either mode; a change of Debezium without its wrapper;
        else an object, or text.
        """
        value = self.record.value or b""
        if self._format == "cloudevents":
            return self._cloud_event(value)
        return self._unwrapped(decoded(value, self._codec, self.record.schema_id))

    def _unwrapped(self, document: Any) -> Any:
        """Return Debezium's payload without the schema beside it, which Kafka Connect's JSON converter may write."""
        if self._format == "debezium" and isinstance(document, dict) and document.keys() == {"schema", "payload"}:
            return document["payload"]
        return document

    def _cloud_event(self, value: bytes) -> Any:
        kind = self.record.header(CONTENT_TYPE) or ""
        if not kind.startswith(_STRUCTURED) and self.record.header(HEADER + VERSION) is not None:
            names = dict.fromkeys(name for name, _ in self.record.headers if name.startswith(HEADER))
            attributes: dict[str, Any] = {name.removeprefix(HEADER): self.record.header(name) for name in names}
            return attributes | {"datacontenttype": kind or None, "data": self._content(value, kind)}
        found = decoded(value, self._codec, self.record.schema_id)
        if not isinstance(found, dict) or not isinstance(found.get(VERSION), str):
            what = "The record is not a CloudEvent: neither its headers nor its fields name a specversion."
            _unreadable("bad_event", what, 'Use format = "plain", or skip such records with a filter.')
        if isinstance(encoded := found.get("data_base64"), str):
            kind = str(found.get("datacontenttype") or "")
            found = found | {"data": self._content(_base64(encoded), kind)}
        return found

    def _content(self, value: bytes, kind: str) -> Any:
        """Return the data of a CloudEvent, by its content type: without one it is JSON."""
        media = kind.partition(";")[0].strip().lower()
        if not value:
            return None
        if self.record.schema_id is not None or _names_schema(value):
            return decoded(value, self._codec, self.record.schema_id)
        text = _text(value)
        if media.startswith("text/") or media.endswith(("/xml", "+xml")):
            return text
        if media and not media.endswith(("/json", "+json")):
            _unreadable("bad_event", f"Data of the type {media:.100} cannot be read.", "Publish JSON, text or Avro.")
        return _json(text)


def decoded(value: bytes, codec: Codec, schema_id: bytes | None) -> Any:
    """Decode a value: one with a schema, which the header `schema_id` may name, as an object; a JSON object; or text.

    Raises UnreadableError.
    """
    if schema_id is not None or _names_schema(value):
        schema, body = codec.format_of(value, schema_id)
        return _plain(lambda: json.loads(json.dumps(schema.record(body), default=jsonable)))
    text = _text(value)
    return _json(text) if text.lstrip().startswith("{") else text


def _names_schema(value: bytes) -> bool:
    return value[:1] == CONFLUENT or value[:2] == SINGLE_OBJECT


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        what = f"The record is neither Avro nor UTF-8 (byte {error.start}: {error.reason})."
        _unreadable("invalid_utf8", what, "Publish UTF-8 text, JSON or Avro.", error)


def _json(text: str) -> Any:
    try:
        return exact_json.loads(text)
    except (ValueError, RecursionError) as error:
        _unreadable("invalid_json", f"The record is not valid JSON ({error}).", "Publish valid JSON.", error)


def _plain(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except (ValueError, RecursionError) as error:
        _unreadable("bad_event", f"The record cannot be held as JSON ({error}).", "See docs/messages.md.", error)


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        _unreadable("bad_event", "data_base64 is not Base64.", "Publish valid CloudEvents.", error)


def _unreadable(reason: str, what: str, remedy: str, cause: Exception | None = None) -> NoReturn:
    raise UnreadableError(reason, what, remedy) from cause
