"""Insert the undecoded bodies of messages into ClickHouse, in one Avro object container.

Avro writes a record as its fields one after the other. So a nested record has the bytes that its fields would have in
its place, and an array of records of a text and a number has the bytes of a map. With a schema that says so, the same
bytes are rows of the table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from io import BytesIO
from json import dumps
from typing import Any, Final

from fastavro import parse_schema, schemaless_reader

from streams.adapters import schemas
from streams.adapters.codec import Codec
from streams.core.errors import UnreadableError

_SYNC: Final = b"escalon rows end"
_MAX_LAYOUTS: Final = 1000
_RENAMED: Final[Mapping[str, str]] = {
    "topic": "source_topic",
    "partition": "source_partition",
    "offset": "source_offset",
}
_MAP: Final[Mapping[str, Any]] = {"type": "map", "values": "double"}
# These columns are narrower than Avro's long: ClickHouse would silently truncate a larger number.
_U16, _U32, _I32 = range(2**16), range(2**32), range(-(2**31), 2**31)
_RANGES: Final[Mapping[str, range]] = {
    "source_partition": _I32,
    "attempt": _U16,
    "sample": _U16,
    "input_tokens": _U32,
    "output_tokens": _U32,
    "cache_read_tokens": _U32,
    "cache_write_tokens": _U32,
}
_MONEY: Final = ("cost_usd", "saved_usd")
_MONEY_BYTES: Final = 10
"""Bytes that always fit into 24 digits."""
_ID_BYTES: Final = 32


class AvroRowLayout:
    """The layout of a message's bytes as a row of its table. `columns` has the columns in the order of the bytes."""

    def __init__(self, kind: type, codec: Codec) -> None:
        self._codec = codec
        self._layout = _layout(schemas.current()[kind].parsed)
        self._known: dict[int, tuple[Any, bool]] = {}
        fields = list(_fields(self._layout))
        self.columns = [field["name"] for field in fields]
        self._head = _head(dumps({"type": "record", "name": "Row", "fields": [_as_map(field) for field in fields]}))
        bare = {"type": "record", "name": "Row", "fields": [_without_logic(field) for field in fields]}
        self._bare = parse_schema(bare)

    def body(self, value: bytes) -> memoryview | None:
        """Return a message's body if it can be forwarded unchanged; None if it must be decoded.

        Raises ServiceError if the schema registry is needed and does not answer.
        """
        try:
            writer, body = self._codec.writer_schema(value)
        except UnreadableError:
            return None
        return body if self._is_current(writer) and self._fits(body) else None

    def container(self, bodies: Iterable[bytes | memoryview]) -> bytes:
        """Return an Avro object container of bodies. Each is a block of its own, so none can run into the next."""
        parts: list[bytes | memoryview] = [self._head]
        for body in bodies:
            parts += (b"\x02", _long(len(body)), body, _SYNC)
        return b"".join(parts)

    def _is_current(self, writer: Any) -> bool:
        known = self._known.get(id(writer))
        if known is None or known[0] is not writer:
            if len(self._known) >= _MAX_LAYOUTS:
                self._known.clear()
            known = self._known[id(writer)] = (writer, _layout(writer) == self._layout)
        return known[1]

    def _fits(self, body: memoryview) -> bool:
        """True if the bytes are one whole record, its texts UTF-8, and every value within its column."""
        stream = BytesIO(body)
        try:
            row: Any = schemaless_reader(stream, self._bare, None)
        except Exception:  # fastavro raises any error for broken bytes
            return False
        return stream.tell() == len(body) and _in_columns(row)


def _in_columns(row: Mapping[str, Any]) -> bool:
    call_id, sources = row["call_id"], row["sources"]
    if len(call_id) != _ID_BYTES or not call_id.isascii():
        return False
    if any(row[name] is not None and row[name] not in allowed for name, allowed in _RANGES.items()):
        return False
    if any(row[name] is not None and len(row[name]) > _MONEY_BYTES for name in _MONEY):
        return False
    return len(sources) < 2 or len({source["label"] for source in sources}) == len(sources)


def _layout(schema: Any) -> Any:
    """Return the parts of a schema that decide the bytes and their meaning: no docs, no defaults."""
    if isinstance(schema, list):
        return [_layout(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    dropped = ("doc", "default", "aliases", "namespace")
    return {key: _layout(item) for key, item in schema.items() if key not in dropped and not key.startswith("__")}


def _fields(layout: Any) -> Iterable[dict[str, Any]]:
    """Yield the fields in the order of their bytes, with the origin's fields in its place, named as columns."""
    for field in layout["fields"]:
        if field["name"] == "origin":
            for inner in field["type"]["fields"]:
                yield inner | {"name": _RENAMED.get(inner["name"], inner["name"])}
        else:
            yield field


def _as_map(field: dict[str, Any]) -> dict[str, Any]:
    return field | {"type": _MAP} if field["name"] == "sources" else field


def _without_logic(schema: Any) -> Any:
    """Return a schema of plain numbers and bytes instead of decimals and times."""
    if isinstance(schema, list):
        return [_without_logic(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "logicalType" in schema:
        return schema["type"]
    return {key: _without_logic(item) for key, item in schema.items()}


def _head(schema: str) -> bytes:
    """Return the start of an object container: https://avro.apache.org/docs/1.12.0/specification/#object-container-files."""
    entries = (("avro.schema", schema.encode()), ("avro.codec", b"null"))
    pairs = b"".join(_long(len(key)) + key.encode() + _long(len(value)) + value for key, value in entries)
    return b"Obj\x01" + _long(len(entries)) + pairs + b"\x00" + _SYNC


def _long(number: int) -> bytes:
    """Return a number of at least 0 as an Avro long: zigzag, seven bits a byte."""
    number <<= 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
