"""Exact readers of Avro's logical types, in place of those of fastavro that change a value.

Without an error, fastavro rounds a decimal to its schema's precision, reformats a UUID, and reads a negative time of
day as one of the previous day.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final

from fastavro.read import LOGICAL_READERS

MAX_DECIMAL_BYTES: Final = 1024
"""Limit of a decimal's unscaled value: some 2,400 digits."""

_DAY_MICROS: Final = 86_400_000_000


def read_exactly() -> None:
    """Make fastavro read decimals, UUIDs and times of day exactly, in this process."""
    LOGICAL_READERS["bytes-decimal"] = LOGICAL_READERS["fixed-decimal"] = _decimal
    LOGICAL_READERS["string-uuid"] = _text
    LOGICAL_READERS["int-time-millis"] = _time_of_millis
    LOGICAL_READERS["long-time-micros"] = _time_of_micros


def _decimal(data: bytes, writer_schema: Mapping[str, Any] | None = None, _: Any = None) -> Decimal:
    """Return a decimal with all its digits, including those beyond the schema's precision."""
    if len(data) > MAX_DECIMAL_BYTES:
        raise ValueError(f"a decimal has {len(data)} bytes, at most {MAX_DECIMAL_BYTES} are allowed")
    unscaled = Decimal(int.from_bytes(data, "big", signed=True)).as_tuple()
    return Decimal((unscaled.sign, unscaled.digits, -int((writer_schema or {}).get("scale", 0))))


def _time_of_millis(data: int, *_: Any) -> time:
    return _time_of_micros(1000 * data)


def _time_of_micros(data: int, *_: Any) -> time:
    if not 0 <= data < _DAY_MICROS:
        raise ValueError(f"{data} microseconds after midnight are not a time of day")
    return (datetime.min + timedelta(microseconds=data)).time()


def _text(data: str, *_: Any) -> str:
    return data
