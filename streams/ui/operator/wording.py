"""Figures as text, the same on every page. Unknown is an en dash."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final

from streams.core.dollars import dollars
from streams.core.harmless import one_line
from streams.ui.operator.scope import in_utc

UNKNOWN: Final = "–"
Number = int | float | Decimal
usd = dollars


def count(value: Number | None) -> str:
    """Return a number of things, with thin groups: `12,345`."""
    return UNKNOWN if value is None else f"{value:,.0f}"


def percent(value: Number | None) -> str:
    """Return a share of 1 as a percentage, with one decimal below 10 %."""
    if value is None:
        return UNKNOWN
    share = 100 * float(value)
    return f"{share:.1f} %" if 0 < share < 9.95 else f"{share:.0f} %"


def seconds(value: Number | None) -> str:
    """Return a duration: `12 ms`, `1.4 s`, `3 min`, `2 h`."""
    if value is None:
        return UNKNOWN
    length = float(value)
    if length < 1:
        return f"{1000 * length:.0f} ms" if length >= 0.001 or length == 0 else "under 1 ms"
    for unit, size in (("h", 3600), ("min", 60)):
        if length >= 2 * size:
            return f"{length / size:.0f} {unit}"
    return f"{length:.1f} s" if length < 10 else f"{length:.0f} s"


def moment(value: datetime | None) -> str:
    """Return a time in UTC to the second."""
    return UNKNOWN if value is None else f"{in_utc(value):%Y-%m-%d %H:%M:%S}"


def excerpt(text: str, characters: int = 200) -> str:
    """Return the beginning of a foreign text on one line, without control characters."""
    return one_line(text, characters)


FILTERS: Final[Mapping[str, Callable[..., str]]] = {
    "count": count, "excerpt": excerpt, "usd": usd, "percent": percent, "seconds": seconds, "moment": moment,
}  # fmt: skip
"""The filters of the templates. `count` replaces Jinja's alias of `length`."""
