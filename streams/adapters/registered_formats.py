"""Schemas of a registry as decoders of events: Avro, JSON Schema and Protobuf, with the schemas that they refer to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Final, Protocol

from fastavro import parse_schema, schemaless_reader

from streams.adapters.schema_bounds import unbounded
from streams.core import exact_json
from streams.core.errors import UnreadableError

MAX_REFERENCES: Final = 256
"""Schemas that one schema may refer to, directly or through others."""


class EventFormat(Protocol):
    """The decoder of one schema's values."""

    def record(self, data: memoryview) -> Mapping[str, Any]:
        """Return the fields of a value. Raises UnreadableError with the reason."""
        ...


class SchemaReference(Protocol):
    """A reference as confluent-kafka's client returns it. Of Protobuf the name is the path in an import."""

    @property
    def name(self) -> str | None: ...
    @property
    def subject(self) -> str | None: ...
    @property
    def version(self) -> int | None: ...


class Registered(Protocol):
    """A schema as confluent-kafka's client returns it."""

    @property
    def schema_str(self) -> str | None: ...
    @property
    def schema_type(self) -> str | None: ...
    @property
    def references(self) -> Sequence[SchemaReference] | None: ...


Fetch = Callable[[SchemaReference], Registered]
"""Gets a schema that another refers to."""


@dataclass(frozen=True, slots=True)
class Avro:
    """An Avro schema, parsed."""

    parsed: Any

    def record(self, data: memoryview) -> Mapping[str, Any]:
        return read_record(self.parsed, data)

    @property
    def name(self) -> str | None:
        return self.parsed.get("name") if isinstance(self.parsed, dict) else None


@dataclass(frozen=True, slots=True)
class Json:
    """A JSON Schema. Values are not validated: the producer's serializer has done that."""

    def record(self, data: memoryview) -> Mapping[str, Any]:
        try:
            value = exact_json.loads(bytes(data).decode("utf-8"))
        except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
            what = f"The value of a JSON Schema is not valid JSON ({error})."
            raise UnreadableError("invalid_json", what, "Publish valid JSON in UTF-8.") from error
        if not isinstance(value, dict):
            what = "The value of a JSON Schema is not an object."
            raise UnreadableError("bad_event", what, "Publish an object.")
        return value


def format_of(name: str, found: Registered, fetch: Fetch) -> EventFormat:
    """Return the decoder of a schema, `name` in errors. Raises UnreadableError for one that cannot be used."""
    match found.schema_type:
        case "AVRO":
            return _avro(name, found, fetch)
        case "JSON":
            return Json()
        case "PROTOBUF":
            return _protobuf(name, found, fetch)
    what = f"Schema {name} is of the type {found.schema_type}."
    raise UnreadableError("unknown_format", what, "Publish Avro, JSON Schema, Protobuf, plain JSON, or text.")


def _avro(name: str, found: Registered, fetch: Fetch) -> Avro:
    texts = [text for _, text in _in_order(name, found, fetch)]
    try:
        named: dict[str, Any] = {}
        *referenced, parsed = [parse_schema(json.loads(text), named) for text in (*texts, found.schema_str or "null")]
        why = unbounded(parsed, *referenced)
    except Exception as error:  # fastavro raises many kinds of errors for a broken schema
        what = f"Schema {name} cannot be used ({type(error).__name__}: {error})."
        raise UnreadableError("bad_schema", what, "Register a valid schema, with all that it refers to.") from error
    if why is not None:
        what = f"Schema {name} is refused because a small message could expand without limit: {why}."
        raise UnreadableError("bad_schema", what, "Register a flat schema.")
    # fastavro finds names through a record only.
    branches = [named.get(one, one) if isinstance(one, str) else one for one in _branches(parsed)]
    return Avro(branches if isinstance(parsed, list) else branches[0])


def _branches(parsed: Any) -> list[Any]:
    return parsed if isinstance(parsed, list) else [parsed]


def _protobuf(name: str, found: Registered, fetch: Fetch) -> EventFormat:
    try:
        from streams.adapters.protobuf_format import protobuf
    except ImportError as error:
        what = f"Schema {name} is of the type PROTOBUF, and the package protobuf is not installed."
        raise UnreadableError("no_protobuf", what, "Install the extra: pip install 'escalon[protobuf]'.") from error
    return protobuf(name, found.schema_str or "", _in_order(name, found, fetch))


def _in_order(name: str, found: Registered, fetch: Fetch) -> Iterator[tuple[str, str]]:
    """Yield the name and text of each schema that one refers to, after those that it refers to itself."""
    return _Walk(name, fetch).of(found)


@dataclass(slots=True)
class _Walk:
    name: str
    fetch: Fetch
    seen: set[tuple[str | None, str | None, int | None]] = field(default_factory=set)

    def of(self, schema: Registered) -> Iterator[tuple[str, str]]:
        for one in schema.references or ():
            key = one.name, one.subject, one.version
            if key in self.seen:
                continue
            self.seen.add(key)
            if len(self.seen) > MAX_REFERENCES:
                what = f"Schema {self.name} refers to more than {MAX_REFERENCES} others."
                raise UnreadableError("bad_schema", what, "Register a schema with fewer references.")
            referenced = self.fetch(one)
            yield from self.of(referenced)
            yield one.name or "", referenced.schema_str or ""


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
