"""The one range of time: what every document, table, sum, query and option can hold.

ClickHouse counts the hours of its sums, the days of its queries and the expiry of its rows in 32 bits or fewer from
1970 on. A time outside of them is another time there, without an error.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

YEARS: Final = range(1970, 2106)
EARLIEST: Final = datetime(YEARS.start, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(YEARS.stop, 1, 1, tzinfo=UTC)
"""The first moment beyond."""


def clamped(time: datetime) -> datetime:
    """The time, or the end of the range that it lies beyond."""
    return min(max(time, EARLIEST), LATEST)
