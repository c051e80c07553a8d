"""The range of time that every document, table, sum, query and option can hold.

ClickHouse counts hours, days and the expiry of rows in 32 bits or fewer from 1970 on. Outside of that range it stores
another time, without an error.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

YEARS: Final = range(1970, 2106)
EARLIEST: Final = datetime(YEARS.start, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(YEARS.stop, 1, 1, tzinfo=UTC)
"""The first time beyond the range."""


def clamped(time: datetime) -> datetime:
    """Return the time, moved to the nearer end of the range if it lies outside."""
    return min(max(time, EARLIEST), LATEST)
