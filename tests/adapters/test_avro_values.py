"""An Avro record of a producer's own schema becomes data without a change of value."""

from __future__ import annotations

import json
import struct
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from io import BytesIO
from typing import Any
from uuid import UUID

import pytest
from fastavro import parse_schema, schemaless_writer
from hypothesis import given
from hypothesis import strategies as st

from streams.adapters.avro_values import MAX_DECIMAL_BYTES
from streams.adapters.codec import Codec
from streams.adapters.event_reader import EventReader
from streams.adapters.kafka_record import KafkaRecord
from streams.adapters.schema_ids import CONFLUENT
from streams.core.errors import UnreadableError
from tests.harness.fakes.schema_ids import FakeRegistry

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)


def read(of: Any, raw: Any, written: Any) -> Any:
    """A field of a logical type, of which the bytes are written as those of the type beneath it."""
    schemas = [{"type": "record", "name": "R", "fields": [{"name": "value", "type": kind}]} for kind in (of, raw)]
    registry = FakeRegistry()
    registry.known[:] = [parse_schema(schemas[0])]
    out = BytesIO()
    schemaless_writer(out, parse_schema(schemas[1]), {"value": written})
    value = CONFLUENT + struct.pack(">I", 1) + out.getvalue()
    event = EventReader(Codec(registry), "c", "live", 100_000)(KafkaRecord("events", 0, 0, None, value, AT))
    return json.loads(event.data or "{}")["value"]


def decimal(unscaled: int, precision: int, scale: int, size: int | None = None) -> Any:
    length = size or (unscaled.bit_length() + 8) // 8
    data = unscaled.to_bytes(length, "big", signed=True)
    kind = {"type": "bytes"} if size is None else {"type": "fixed", "name": "F", "size": size}
    logical = {"logicalType": "decimal", "precision": precision, "scale": scale}
    return read(kind | logical, kind, data)


@given(st.integers(-(10**60), 10**60), st.integers(1, 38), st.data())
def test_a_decimal_has_the_value_that_was_written(unscaled: int, precision: int, data: st.DataObject) -> None:
    scale = data.draw(st.integers(0, precision))
    assert Fraction(decimal(unscaled, precision, scale)) == Fraction(unscaled, 10**scale)
    assert Fraction(decimal(unscaled % 10**18, precision=18, scale=2, size=8)) == Fraction(unscaled % 10**18, 100)


def test_a_decimal_with_more_digits_than_its_precision_is_not_rounded() -> None:
    assert decimal(1234567, precision=4, scale=2) == "12345.67"
    assert decimal(-(10**40) - 1, precision=4, scale=0) == str(-(10**40) - 1)
    assert decimal(99999, precision=4, scale=2, size=8) == "999.99"


def test_a_small_decimal_is_written_without_an_exponent() -> None:
    assert decimal(0, precision=18, scale=8) == "0.00000000"
    assert decimal(-1, precision=38, scale=18) == "-0.000000000000000001"


def test_a_decimal_beyond_all_reason_is_refused() -> None:
    with pytest.raises(UnreadableError, match="1024 are allowed") as caught:
        decimal(1 << 8 * MAX_DECIMAL_BYTES, precision=4, scale=2)
    assert caught.value.reason == "bad_avro"


@given(st.uuids(), st.booleans())
def test_a_uuid_is_the_text_that_was_written(uuid: UUID, upper: bool) -> None:
    text = str(uuid).upper() if upper else str(uuid)
    assert read({"type": "string", "logicalType": "uuid"}, "string", text) == text


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
micros = st.integers(-(10**16), 10**17)


@given(micros)
def test_times_are_those_that_were_written(value: int) -> None:
    at = EPOCH + timedelta(microseconds=value)
    for kind in ("timestamp-micros", "local-timestamp-micros"):
        found = datetime.fromisoformat(read({"type": "long", "logicalType": kind}, "long", value))
        assert found.replace(tzinfo=UTC) == at
    of_day = value % 86_400_000_000
    clock = time.fromisoformat(read({"type": "long", "logicalType": "time-micros"}, "long", of_day))
    assert (datetime.combine(EPOCH, clock, UTC) - EPOCH) == timedelta(microseconds=of_day)
    day = read({"type": "int", "logicalType": "date"}, "int", value // 86_400_000_000)
    assert date.fromisoformat(day) == at.date()


@given(st.integers(-(2**63), 2**63 - 1))
def test_nanoseconds_stay_whole_numbers(value: int) -> None:
    assert read({"type": "long", "logicalType": "timestamp-nanos"}, "long", value) == value


@pytest.mark.parametrize(
    ("kind", "of", "value"),
    [
        ("date", "int", 2**31 - 1),
        ("timestamp-millis", "long", 2**62),
        ("timestamp-micros", "long", -(2**62)),
        ("local-timestamp-millis", "long", 2**62),
        ("time-micros", "long", 2**40),
        ("time-millis", "int", -1),
        ("time-millis", "int", 86_400_000),
        ("time-micros", "long", -1),
    ],
)
def test_a_time_that_cannot_be_read_is_refused(kind: str, of: str, value: int) -> None:
    with pytest.raises(UnreadableError) as caught:
        read({"type": of, "logicalType": kind}, of, value)
    assert caught.value.reason == "bad_avro"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_float_that_json_has_not_is_refused(value: float) -> None:
    with pytest.raises(UnreadableError) as caught:
        read("double", "double", value)
    assert caught.value.reason == "bad_data"


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**63), 2**63 - 1))
def test_numbers_are_those_that_were_written(number: float, whole: int) -> None:
    assert read("double", "double", number) == number
    assert read("long", "long", whole) == whole
