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
from io import BytesIO
from typing import Any, Protocol, TypeVar

from fastavro import schemaless_reader

from streams.adapters import schemas
from streams.adapters.avro_encoder import Encoder, encoder
from streams.adapters.avro_values import read_exactly
from streams.core.errors import UnreadableError

M = TypeVar("M")

read_exactly()
SINGLE_OBJECT = b"\xc3\x01"
CONFLUENT = b"\x00"
_BUILDERS: dict[Any, Callable[[Mapping[str, Any]], Any]] = {}


class Registry(Protocol):
    """A schema registry: ids for the schemas that are written, schemas for the ids that are read."""

    def id_of(self, schema: schemas.Schema) -> int:
        """Return the registry's id of one of our schemas, after registering it if necessary."""
        ...

    def schema_of(self, schema_id: int) -> Any:
        """Return the parsed schema of an id. Raises UnreadableError if the registry does not know it."""
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
        view = memoryview(data)
        if data[:2] == SINGLE_OBJECT and len(data) >= 10:
            schema = schemas.released().get(bytes(view[2:10]))
            if schema is None:
                raise UnreadableError(
                    "unknown_schema",
                    f"No schema has the fingerprint {view[2:10].hex()}.",
                    "Write with one of the schemas in schemas/, or use a schema registry.",
                )
            return schema.parsed, view[10:]
        if data[:1] == CONFLUENT and len(data) >= 5:
            return self._registered(struct.unpack(">I", view[1:5])[0]), view[5:]
        raise UnreadableError(
            "not_avro", "The message has no Avro header.", "Write it in a format named in docs/messages.md."
        )

    def _registered(self, schema_id: int) -> Any:
        if self._registry is None:
            raise UnreadableError(
                "no_registry",
                f"The message names schema {schema_id} of a schema registry, and none is configured.",
                "Set ESCALON_SCHEMA_REGISTRY.",
            )
        return self._registry.schema_of(schema_id)

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


def read_record(writer: Any, body: memoryview | bytes, reader: Any = None) -> dict[str, Any]:
    """Decode one Avro record that takes up all of `body`."""
    stream = BytesIO(body)
    try:
        record = schemaless_reader(stream, writer, reader)
    except Exception as error:  # fastavro raises many kinds of errors for broken bytes
        reason = "truncated" if isinstance(error, (EOFError, IndexError)) else "bad_avro"
        what = f"The Avro message cannot be decoded ({type(error).__name__}: {error})."
        raise UnreadableError(reason, what, "Check that its bytes and its schema belong together.") from error
    if stream.read(1):
        raise UnreadableError("bad_avro", "Bytes follow after the Avro message.", "Send one message a record.")
    if not isinstance(record, dict):
        raise UnreadableError("bad_avro", "The Avro message is not a record.", "Send a record.")
    return record


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
