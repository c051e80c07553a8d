"""The id of a registry's schema, which a record names before its value or in a header.

Confluent's clients write a byte 0 and 4 bytes of an id before the value or, for headers, a byte 1 and the 16 bytes of
a GUID into `__value_schema_id`. With Protobuf, the place of the message in its file follows: a count and that many
indexes, as zigzag varints; a single 0 for the first message.
https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format
"""

from __future__ import annotations

import struct
from typing import Final
from uuid import UUID

from streams.core.errors import UnreadableError

CONFLUENT: Final = b"\x00"
GUID: Final = b"\x01"
SchemaId = int | UUID
MAX_INDEXES: Final = 64
_SHORT: Final = "Write it with a serializer for a Confluent-compatible registry."


def split_id(value: bytes, header: bytes | None = None) -> tuple[SchemaId, memoryview]:
    """Return the id of a record's schema and what follows it; the one in the header comes first.

    What follows an id in the header is put before the value. Raises UnreadableError if there is no whole id.
    """
    data = value if header is None else header
    kind, rest = data[:1], memoryview(data)
    if kind == CONFLUENT and len(data) >= 5:
        found: SchemaId = struct.unpack(">I", rest[1:5])[0]
        rest = rest[5:]
    elif kind == GUID and len(data) >= 17 and header is not None:
        found, rest = UUID(bytes=data[1:17]), rest[17:]
    elif header is not None:
        raise UnreadableError("bad_schema_id", "The header __value_schema_id holds no id of a schema.", _SHORT)
    else:
        raise UnreadableError("not_avro", "The message has no Avro header.", "See docs/messages.md for the formats.")
    return found, rest if header is None else memoryview(bytes(rest) + value)


def split_indexes(data: memoryview) -> tuple[tuple[int, ...], memoryview]:
    """Return the indexes of a Protobuf message in its file, outermost first, and what follows them."""
    count, at = _varint(data, 0)
    if not 0 <= count <= MAX_INDEXES:
        raise UnreadableError("bad_protobuf", f"The message's place in its schema has {count} levels.", _SHORT)
    indexes = []
    for _ in range(count):
        index, at = _varint(data, at)
        indexes.append(index)
    return tuple(indexes) or (0,), data[at:]


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """Return a zigzag number of at most 5 bytes, and the position after it."""
    number = 0
    for shift, byte in enumerate(data[at : at + 5]):
        number |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return number >> 1 ^ -(number & 1), at + shift + 1
    raise UnreadableError("bad_protobuf", "The message's place in its schema is cut off.", _SHORT)
