"""Deadlines of events."""

from __future__ import annotations

from datetime import datetime

from streams.core.messages import Event


def overdue(event: Event, at: datetime) -> bool:
    """True if the event's deadline has passed at a time; an event without one has no limit."""
    return event.deadline is not None and at >= event.deadline


def too_late(event: Event) -> str:
    """Return the reason why an event that is overdue ends."""
    return f"deadline: it was to be done by {event.deadline:%Y-%m-%d %H:%M:%S} UTC"
