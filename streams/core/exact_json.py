"""JSON that is read as it was written: what a reader would change in silence is refused, or kept as text."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NoReturn

SURE_DIGITS: Final = 15
"""A 64-bit float holds every number of so many significant digits."""
PRINTED_DIGITS: Final = 17
"""A print of a 64-bit float has so many significant digits at most, or all of them."""


def loads(text: str) -> Any:
    """A JSON value. A number with a fraction that a 64-bit float cannot hold becomes text, digit by digit.

    Raises ValueError for what is not JSON, and for an object that names one key twice; RecursionError for what is
    nested too deep.
    """
    return json.loads(text, parse_constant=_no_constant, parse_float=_number, object_pairs_hook=once)


def _number(text: str) -> float | str:
    number = float(text)
    return number if math.isinf(number) or _holds(number, text) else text


def _holds(number: float, text: str) -> bool:
    """Whether a float is the number in a text, or a text that has as many digits as a print of it is that print."""
    mantissa = text.lower().partition("e")[0]
    digits = mantissa.replace(".", "").strip("-0")
    if len(digits) <= SURE_DIGITS and (number or not digits):
        return True
    try:
        # The shortest print may round a half away from zero, where the one of so many digits rounds it to even.
        short = (repr(number), f"{number:.{len(digits) - 1}e}") if len(digits) <= PRINTED_DIGITS else ()
        return Decimal(text) in (Decimal(number), *map(Decimal, short))
    except InvalidOperation:  # an exponent beyond those of decimals
        return False


def once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these pairs. Raises ValueError where it names one key twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(f"an object names the key {twice[:100]!r} twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
