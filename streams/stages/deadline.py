"""Whether there is still time for an event."""

from __future__ import annotations

from datetime import datetime

from streams.core.messages import Event


def overdue(event: Event, at: datetime) -> bool:
    """Whether the event's deadline is over at some time; an event without one always has time."""
    return event.deadline is not None and at >= event.deadline


def too_late(event: Event) -> str:
    """Why nothing more is done about an event, in words."""
    return f"deadline: it was to be done by {event.deadline:%Y-%m-%d %H:%M:%S} UTC"
