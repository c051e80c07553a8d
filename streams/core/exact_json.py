"""Read JSON without silent changes: what a parser would alter is refused or kept as text."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NoReturn

SURE_DIGITS: Final = 15
"""A 64-bit float holds every number of this many significant digits."""
PRINTED_DIGITS: Final = 17
"""The shortest exact print of a 64-bit float has at most this many significant digits."""


def loads(text: str) -> Any:
    """Parse JSON. A number with a fraction that a 64-bit float cannot hold becomes text, digit by digit.

    Raises ValueError for invalid JSON and for an object that names one key twice; RecursionError for a value that is
    nested too deeply.
    """
    return _DECODER.decode(text)


def _number(text: str) -> float | str:
    number = float(text)
    return number if math.isinf(number) or _holds(number, text) else text


def _holds(number: float, text: str) -> bool:
    """True if a float equals the number in a text, or the text is a print of the float."""
    mantissa = text.lower().partition("e")[0]
    digits = mantissa.replace(".", "").strip("-0")
    if len(digits) <= SURE_DIGITS and (number or not digits):
        return True
    try:
        # Two prints of one float may differ: the shortest may round a half away from zero, the other rounds it to even.
        short = (repr(number), f"{number:.{len(digits) - 1}e}") if len(digits) <= PRINTED_DIGITS else ()
        return Decimal(text) in (Decimal(number), *map(Decimal, short))
    except InvalidOperation:  # an exponent beyond those of decimals
        return False


def once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return the pairs as an object. Raises ValueError if a key occurs twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(f"an object names the key {twice[:100]!r} twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER: Final = json.JSONDecoder(parse_constant=_no_constant, parse_float=_number, object_pairs_hook=once)
