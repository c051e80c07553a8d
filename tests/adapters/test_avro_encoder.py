"""The encoder made of a schema, against fastavro."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from io import BytesIO
from typing import Any

import pytest
from fastavro import schemaless_writer
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.adapters import schemas
from streams.adapters.avro_encoder import encoder
from tests.builders import CALL, START
from tests.harness.arbitrary_messages import KINDS, any_message


def by_fastavro(message: Any) -> bytes:
    """The bytes that fastavro writes."""
    out = BytesIO()
    schemaless_writer(out, schemas.current()[type(message)].parsed, dataclasses.asdict(message))
    return out.getvalue()


def encoded(message: Any) -> bytes:
    """The bytes that the encoder writes."""
    return encoder(schemas.current()[type(message)].parsed)(message)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_every_message_has_the_bytes_that_fastavro_writes(kind: type, data: st.DataObject) -> None:
    message = data.draw(any_message(kind))
    assert encoded(message) == by_fastavro(message)


@given(st.sampled_from([2**bits for bits in range(63)]), st.integers(-2, 2), st.sampled_from([-1, 1]))
def test_whole_numbers_have_fastavros_bytes_around_every_power_of_two(power: int, more: int, sign: int) -> None:
    message = dataclasses.replace(CALL, input_tokens=sign * (power + more), sample=-power)
    assert encoded(message) == by_fastavro(message)


@pytest.mark.parametrize("size", [0, 1, 63, 64, 127, 128, 255, 256, 8191, 8192, 70_000])
def test_texts_of_every_length_have_fastavros_bytes(size: int) -> None:
    message = dataclasses.replace(CALL, prompt="x" * size, response="ä" * size)
    assert encoded(message) == by_fastavro(message)


@pytest.mark.parametrize(
    "usd", [Decimal("0.0000000000001"), Decimal("1234567890123.123456789012"), Decimal("NaN"), Decimal("Infinity")]
)
def test_a_decimal_that_the_schema_cannot_hold_is_refused_as_by_fastavro(usd: Decimal) -> None:
    message = dataclasses.replace(CALL, cost_usd=usd)
    for encode in (encoded, by_fastavro):
        with pytest.raises((ValueError, TypeError)):
            encode(message)


@pytest.mark.parametrize("number", [1 << 63, -(1 << 63) - 1])
def test_a_number_that_64_bits_cannot_hold_is_refused(number: int) -> None:
    with pytest.raises(OverflowError):
        encoded(dataclasses.replace(CALL, input_tokens=number))


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "\ud800"},
        {"prompt": None},
        {"started_at": None},
        {"started_at": START.replace(tzinfo=None)},
        {"attempt": "1"},
        {"sources": (None,)},
    ],
    ids=str,
)
def test_a_value_that_is_not_of_its_fields_type_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError, AttributeError)):
        encoded(dataclasses.replace(CALL, **change))


def test_a_type_that_no_message_has_is_refused_when_the_encoder_is_made() -> None:
    with pytest.raises(KeyError):
        encoder({"type": "record", "name": "x", "fields": [{"name": "a", "type": "float"}]})
    with pytest.raises(KeyError):
        encoder({"type": "record", "name": "x", "fields": [{"name": "a", "type": ["string", "null"]}]})


def test_a_record_named_again_is_encoded_as_the_first_time() -> None:
    point = {"type": "record", "name": "point", "fields": [{"name": "hour", "type": "long"}]}
    pair = {
        "type": "record",
        "name": "pair",
        "fields": [{"name": n, "type": t} for n, t in [("min", point), ("max", "point")]],
    }
    parsed: Any = pair
    times = type("Pair", (), {"min": START, "max": START.replace(hour=2)})
    assert encoder(parsed)(times) == bytes([24, 4])
