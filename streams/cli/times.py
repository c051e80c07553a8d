"""Times as users write them on a command line."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from streams.core.errors import ConfigError
from streams.core.time_range import EARLIEST, clamped
from streams.pipeline.values import seconds


def utc_now() -> datetime:
    return datetime.now(UTC)


def today() -> str:
    """Return the date in UTC, as YYYY-MM-DD."""
    return utc_now().date().isoformat()


def parse_time(text: str | None, now: Callable[[], datetime] = utc_now, key: str = "since") -> datetime:
    """Parse a time: ISO 8601 (UTC if it has no offset), or an age such as 7d. None is the earliest time.

    Raises ConfigError, which names the option `key`.
    """
    if text is None:
        return EARLIEST
    try:
        return clamped(now() - timedelta(seconds=float(seconds(text))))
    except OverflowError:
        return EARLIEST
    except ValueError:
        pass
    try:
        read = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(
            f"{text!r} is not a time.", "Write 2026-11-01, 2026-11-01T09:00+01:00, or 7d.", key
        ) from error
    return clamped(read if read.tzinfo else read.replace(tzinfo=UTC))
