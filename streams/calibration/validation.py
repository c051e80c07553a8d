"""Checks of what is read from a JSON artifact. Each raises ConfigError that names the key at fault."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, cast

from streams.core.errors import ConfigError

AGAIN = "Run `escalon calibrate` again."


def check(holds: bool, key: str, wanted: str) -> None:
    if not holds:
        raise ConfigError(f"This must be {wanted}.", AGAIN, key)


def check_keys(data: Mapping[Any, Any], wanted: set[str], prefix: str) -> None:
    for name in sorted(wanted - set(data)):
        raise ConfigError("This is missing.", AGAIN, prefix + name)
    for name in sorted(map(str, set(data) - wanted)):
        raise ConfigError("This is not a known key.", AGAIN, prefix + name)


def number(value: object) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


def share(value: object) -> bool:
    """True for a number from 0 to 1."""
    return number(value) and 0.0 <= cast("float", value) <= 1.0


def ascends(values: tuple[float, ...]) -> bool:
    return all(left <= right for left, right in pairwise(values))


def frozen(value: Any, key: str) -> Any:
    """Turn a list of numbers into a tuple of floats; return other values unchanged for the dataclass to check."""
    if not isinstance(value, list):
        return value
    check(all(map(number, value)), key, "a list of finite numbers")
    return tuple(map(float, value))
