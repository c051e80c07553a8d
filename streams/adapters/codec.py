"""Messages to bytes and back.

Messages are written in Avro's single-object encoding, or in Confluent's wire format when a schema registry is
configured. Both are read; their first bytes differ.
"""

from __future__ import annotations

import dataclasses
import struct
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from streams.adapters import schemas
from streams.adapters.avro_encoder import Encoder, encoder
from streams.adapters.avro_values import read_exactly
from streams.adapters.registered_formats import Avro, EventFormat, read_record
from streams.adapters.schema_ids import CONFLUENT, SchemaId, split_id
from streams.core.errors import UnreadableError

M = TypeVar("M")

read_exactly()
SINGLE_OBJECT = b"\xc3\x01"
_BUILDERS: dict[Any, Callable[[Mapping[str, Any]], Any]] = {}


class Registry(Protocol):
    """A schema registry: ids for the schemas that are written, schemas for the ids that are read."""

    def id_of(self, schema: schemas.Schema) -> int:
        """Return the registry's id of one of our schemas, after registering it if necessary."""
        ...

    def schema_of(self, schema_id: SchemaId) -> Any:
        """Return the parsed Avro schema of an id. Raises UnreadableError if the registry does not know it."""
        ...

    def format_of(self, schema_id: SchemaId) -> EventFormat:
        """Return the decoder of an id's schema, of any format. Raises UnreadableError as well."""
        ...


class Codec:
    """Encodes and decodes every message; `registry` None means single-object encoding."""

    def __init__(self, registry: Registry | None = None) -> None:
        self._registry = registry
        self._encodings: dict[type, tuple[bytes, Encoder]] = {}
        self._records: dict[str, Encoder] = {}

    def prepare(self) -> None:
        """Register every schema now, so that no message waits for the registry. Raises ServiceError."""
        for kind in schemas.current():
            self._encoding(kind)

    def encode(self, message: Any) -> bytes:
        prefix, encode = self._encoding(type(message))
        return prefix + encode(message)

    def decode(self, kind: type[M], data: bytes) -> M:
        """Decode a message of a kind. Raises UnreadableError with the reason."""
        writer, body = self.writer_schema(data)
        return read_as(kind, writer, body)

    def writer_schema(self, data: bytes) -> tuple[Any, memoryview]:
        """Return the parsed schema that a message was written with, and the bytes after its header."""
        if data[:2] == SINGLE_OBJECT and len(data) >= 10:
            return self._released(data), memoryview(data)[10:]
        schema_id, body = split_id(data)
        return self._known(schema_id).schema_of(schema_id), body

    def format_of(self, data: bytes, header: bytes | None = None) -> tuple[EventFormat, memoryview]:
        """Return the decoder of an event and what it decodes. `header` holds the id of the schema, if there is one."""
        if header is None and data[:2] == SINGLE_OBJECT and len(data) >= 10:
            return Avro(self._released(data)), memoryview(data)[10:]
        schema_id, body = split_id(data, header)
        return self._known(schema_id).format_of(schema_id), body

    def _released(self, data: bytes) -> Any:
        schema = schemas.released().get(data[2:10])
        if schema is None:
            raise UnreadableError(
                "unknown_schema",
                f"No schema has the fingerprint {data[2:10].hex()}.",
                "Write with one of the schemas in schemas/, or use a schema registry.",
            )
        return schema.parsed

    def _known(self, schema_id: SchemaId) -> Registry:
        """Return the registry that has a schema. Raises UnreadableError if there is none."""
        if self._registry is None:
            raise UnreadableError(
                "no_registry",
                f"The message names schema {schema_id} of a schema registry, and none is configured.",
                "Set ESCALON_SCHEMA_REGISTRY.",
            )
        return self._registry

    def _encoding(self, kind: type) -> tuple[bytes, Encoder]:
        """Return the header of a kind's messages, and what encodes the rest."""
        if kind not in self._encodings:
            schema = schemas.current()[kind]
            self._encodings[kind] = self._prefix(schema), encoder(schema.parsed, self._records)
        return self._encodings[kind]

    def _prefix(self, schema: schemas.Schema) -> bytes:
        if self._registry is None:
            return SINGLE_OBJECT + schema.fingerprint
        return CONFLUENT + struct.pack(">I", self._registry.id_of(schema))


def read_as(kind: type[M], writer: Any, body: memoryview | bytes) -> M:
    """Decode Avro written with `writer` as one of our messages, resolving older schemas."""
    return typing.cast(M, _builder(kind)(read_record(writer, body, schemas.current()[kind].parsed)))


def _builder(kind: Any) -> Callable[[Mapping[str, Any]], Any]:
    if kind not in _BUILDERS:
        _BUILDERS[kind] = _new_builder(kind)
    return _BUILDERS[kind]


def _new_builder(kind: Any) -> Callable[[Mapping[str, Any]], Any]:
    hints = typing.get_type_hints(kind)
    fields = [(name, getattr(kind, name).__set__, _converter(hints[name])) for name in kind.__dataclass_fields__]

    def build(record: Mapping[str, Any]) -> Any:
        message = object.__new__(kind)  # twice as fast as its constructor: a decoded record has every field
        for name, put, convert in fields:
            put(message, record[name] if convert is None else convert(record[name]))
        return message

    return build


def _converter(hint: Any) -> Callable[[Any], Any] | None:
    """Return the conversion of a decoded value to a field's type; None if it needs none."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        inner = _converter(next(argument for argument in arguments if argument is not type(None)))
        return None if inner is None else lambda value: None if value is None else inner(value)
    if origin is tuple:
        item = _converter(arguments[0])
        return tuple if item is None else lambda values: tuple(item(value) for value in values)
    return _builder(hint) if dataclasses.is_dataclass(hint) else None
