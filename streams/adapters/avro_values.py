"""Avro's logical types read as they were written, in place of fastavro's readers where these change a value.

In silence, fastavro rounds a decimal to its schema's precision, spells a UUID its own way, and takes a time of day
before midnight for one of the day before.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final

from fastavro.read import LOGICAL_READERS

MAX_DECIMAL_BYTES: Final = 1024
"""Of a decimal's unscaled value: some 2,400 digits."""

_DAY_MICROS: Final = 86_400_000_000


def read_exactly() -> None:
    """Make fastavro read decimals, UUIDs and times of day as they were written, in this process."""
    LOGICAL_READERS["bytes-decimal"] = LOGICAL_READERS["fixed-decimal"] = _decimal
    LOGICAL_READERS["string-uuid"] = _text
    LOGICAL_READERS["int-time-millis"] = _time_of_millis
    LOGICAL_READERS["long-time-micros"] = _time_of_micros


def _decimal(data: bytes, writer_schema: Mapping[str, Any] | None = None, _: Any = None) -> Decimal:
    """A decimal with all its digits, those beyond the schema's precision too."""
    if len(data) > MAX_DECIMAL_BYTES:
        raise ValueError(f"a decimal of {len(data)} bytes, {MAX_DECIMAL_BYTES} are allowed")
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
