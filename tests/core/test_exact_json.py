"""JSON is read without silent changes."""

from __future__ import annotations

import json
import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core import exact_json


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_a_number_is_the_one_that_was_written(number: Decimal) -> None:
    text = format(number, "f") if abs(number.adjusted()) < 40 else str(number)
    read = exact_json.loads(text)
    if isinstance(read, float) and math.isfinite(read):
        assert Decimal(repr(read)) == number or Decimal(read) == number or Decimal(f"{read:.16e}") == number
    elif isinstance(read, float):
        assert abs(number) > Decimal("1.7e308")
    else:
        assert Decimal(read) == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_is_read_as_itself_however_it_is_printed(number: float) -> None:
    assert exact_json.loads(json.dumps(number)) == number
    assert exact_json.loads(f"{number:.16e}") == number


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12345678901234567.89", "12345678901234567.89"),
        ("0.1234567890123456789", "0.1234567890123456789"),
        ("-1.00000000000000000001e5", "-1.00000000000000000001e5"),
        ("1e-400", "1e-400"),
        ("9007199254740993.0", "9007199254740993.0"),  # 2**53 + 1
        ("90071992547409.931", "90071992547409.931"),
        ("12345678901234567.0", "12345678901234567.0"),
        ("9007199254740992.0", 9007199254740992.0),
        ("0.30000000000000000000", 0.3),
        ("0.1", 0.1),
        ("52.520006599999995", float("52.520006599999995")),
        ("0.10000000000000001", 0.1),
        ("5.960464477539063e-08", 2**-24),
        ("999999999999999.99", "999999999999999.99"),
        ("0.1000000000000000055511151231257827021181583404541015625", 0.1),
        ("-0.0", 0.0),
        ("0e-500", 0.0),
        ("9007199254740993", 9007199254740993),
        ("123456789012345678901234567890", 123456789012345678901234567890),
    ],
)
def test_what_a_float_cannot_hold_is_text(text: str, value: object) -> None:
    assert exact_json.loads(text) == value
    assert exact_json.loads(f'{{"a": [{text}]}}') == {"a": [value]}


@pytest.mark.parametrize(
    "text", ["NaN", "-Infinity", '{"a": 1, "a": 2}', '[{"b": {"a": 1, "a": 1}}]', "", "{", "1.5.2"]
)
def test_what_is_not_json_or_says_two_things_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  the words are json's own
        exact_json.loads(text)
