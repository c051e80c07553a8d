"""The time that a call may wait for a provider's batch, by its handler's `batch` and its event's deadline.

`batch` is the time that a call may well take in a batch: a quarter of it at most to gather calls, the rest for the
provider. A batch that is not done in time is cancelled while the ordinary API can still be asked.
"""

from __future__ import annotations

from datetime import datetime, timedelta

GATHERING = 0.25
"""Share of `batch` in which calls are gathered."""
USEFUL = 0.5
"""Share of `batch` that must be left before a call goes into another batch."""
CANCELLING = 300.0
"""Seconds for a provider to end a cancelled batch: it finishes the requests that it has begun."""
ORDINARY_CALLS = 2
"""Calls by the ordinary API, of the handler's timeout each, for which time is left at the end."""


def gathered_by(queued_at: datetime, batch: float) -> datetime:
    """Return the latest time at which the batch of a call is created."""
    return queued_at + timedelta(seconds=batch * GATHERING)


def last_call(deadline: datetime | None, timeout: float) -> datetime | None:
    """Return the time from which only the ordinary API is asked; None without a deadline."""
    return None if deadline is None else deadline - timedelta(seconds=ORDINARY_CALLS * timeout)


def cancelled_at(deadline: datetime | None, timeout: float) -> datetime | None:
    """Return the time at which a batch that is not done is cancelled; None without a deadline."""
    last = last_call(deadline, timeout)
    return None if last is None else last - timedelta(seconds=CANCELLING)


def has_room(deadline: datetime | None, timeout: float, batch: float, now: datetime) -> bool:
    """True if a call may wait for a batch: its event's deadline leaves the time for one, and for a call after it."""
    cancelled = cancelled_at(deadline, timeout)
    return cancelled is None or (cancelled - now).total_seconds() >= batch
