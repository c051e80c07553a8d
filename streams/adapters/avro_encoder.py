"""Encode objects in Avro from their attributes, by functions that are made once from a schema.

fastavro writes the same bytes from a dict. Making that dict and finding the branch of each union takes most of its
time.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from operator import attrgetter, call
from typing import Any, Final

Encoder = Callable[[Any], bytes]
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_END: Final = b"\0"
"""The end of an array; also the index of a union's first branch."""


def encoder(schema: Any, records: dict[str, Encoder] | None = None) -> Encoder:
    """Return the encoder of a parsed schema: of a record, it takes an object with the fields as attributes.

    `records` are the encoders of named records; those of the schema are added. Raises KeyError for a type that no
    message has.
    """
    records = {} if records is None else records
    if isinstance(schema, str):
        return _PRIMITIVES[schema] if schema in _PRIMITIVES else records[schema]
    if isinstance(schema, list):
        null, inner = schema  # no message has another kind of union
        return _optional(_NULLS[null], encoder(inner, records))
    match schema.get("logicalType", schema["type"]):
        case "record":
            if schema["name"] not in records:
                encoders = [encoder(field["type"], records) for field in schema["fields"]]
                records[schema["name"]] = _record([field["name"] for field in schema["fields"]], encoders)
            return records[schema["name"]]
        case "array":
            return _array(encoder(schema["items"], records))
        case "decimal":
            return _decimal(schema["precision"], schema["scale"])
        case logical:
            return _LOGICAL[logical]


def _record(names: list[str], encoders: list[Encoder]) -> Encoder:
    """Return the encoder of a record. It keeps the latest one, as the messages of an event share its origin."""
    values = attrgetter(*names) if len(names) > 1 else lambda one: (getattr(one, names[0]),)
    latest: tuple[Any, bytes] = object(), b""

    def encode(one: Any) -> bytes:
        nonlocal latest
        known = latest  # another thread may replace it meanwhile
        if known[0] is not one:
            known = latest = one, b"".join(map(call, encoders, values(one)))
        return known[1]

    return encode


def _optional(null: bytes, inner: Encoder) -> Encoder:
    return lambda value: null if value is None else b"\2" + inner(value)


def _array(item: Encoder) -> Encoder:
    return lambda items: _long(len(items)) + b"".join(map(item, items)) + _END if items else _END


def _decimal(precision: int, scale: int) -> Encoder:
    def encode(value: Decimal) -> bytes:
        _, digits, exponent = value.as_tuple()
        if not isinstance(exponent, int) or len(digits) > precision or exponent < -scale:
            raise ValueError(f"{value} has more than {precision} digits, or more than {scale} of them behind the point")
        unscaled = int(value.scaleb(scale))
        size = (unscaled.bit_length() + 8) // 8
        return _long(size) + unscaled.to_bytes(size, "big", signed=True)

    return encode


def _bytes(value: bytes) -> bytes:
    return _long(len(value)) + value


def _string(value: str) -> bytes:
    data = value.encode()
    return _long(len(data)) + data


def _timestamp(value: datetime) -> bytes:
    return _long((value - _EPOCH) // _MICROSECOND)


def _long(value: int) -> bytes:
    return _SHORT[value] if 0 <= value < len(_SHORT) else _varint(value)


def _varint(value: int) -> bytes:
    """Encode a number of 64 bits: the sign in the lowest bit, 7 bits a byte, the lowest first."""
    if not -(1 << 63) <= value < 1 << 63:
        raise OverflowError(f"{value} does not fit into 64 bits")
    left = value << 1 ^ value >> 63
    out = bytearray()
    while left > 0x7F:
        out.append(left & 0x7F | 0x80)
        left >>= 7
    out.append(left)
    return bytes(out)


_SHORT: Final = [_varint(value) for value in range(256)]
_NULLS: Final[Mapping[str, bytes]] = {"null": b"\0"}
_PRIMITIVES: Final[Mapping[str, Encoder]] = {
    "string": _string,
    "bytes": _bytes,
    "long": _long,
    "double": struct.Struct("<d").pack,
    "boolean": {False: b"\0", True: b"\1"}.__getitem__,
}
_LOGICAL: Final[Mapping[str, Encoder]] = {"timestamp-micros": _timestamp}
