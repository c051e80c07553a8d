"""The calls of an event over time: when each was handed over, began and ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any


@dataclass(frozen=True, slots=True)
class WaterfallBar:
    """One call, with the times at which it was handed over, began and ended."""

    tier: str
    handler: str
    handed: datetime
    began: datetime
    ended: datetime
    stored: bool
    """True if the answer was cached or reused, which took no time."""
    call_id: str

    @property
    def waited(self) -> float:
        """The seconds in the queue."""
        return (self.began - self.handed).total_seconds()

    @property
    def took(self) -> float:
        """The seconds of the call."""
        return (self.ended - self.began).total_seconds()


def bars_of(calls: Sequence[Mapping[str, Any]]) -> list[WaterfallBar]:
    """Return a bar for each call, in the order they began."""
    return [_bar(call) for call in sorted(calls, key=lambda one: (one["started_at"], one["call_id"]))]


def _bar(call: Mapping[str, Any]) -> WaterfallBar:
    began, stored = call["started_at"], bool(call["cache_hit"])
    return WaterfallBar(
        tier=call["tier"],
        handler=call["handler"],
        handed=began - timedelta(seconds=call["queue_seconds"] or 0.0),
        began=began,
        ended=began + timedelta(seconds=0.0 if stored else call["duration_seconds"] or 0.0),
        stored=stored,
        call_id=call["call_id"],
    )
