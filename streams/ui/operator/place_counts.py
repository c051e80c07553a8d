"""The audit's figures of each place of the pipeline, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from streams.ui.operator.wording import count, percent, usd


@dataclass(frozen=True, slots=True)
class PlaceCounts:
    """The rows of the named query `places`, summed up by place and name."""

    events: Counter[tuple[str, str]] = field(default_factory=Counter)
    escalated: Counter[str] = field(default_factory=Counter)
    failed: Counter[tuple[str, str]] = field(default_factory=Counter)
    spent: dict[tuple[str, str], Any] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]]) -> PlaceCounts:
        """Sum up the rows."""
        made = cls()
        for row in rows:
            key = row["place"], row["name"]
            made.events[key] += row["events"]
            made.failed[key] += row["failed"] or 0
            made.escalated[row["name"]] += row["escalated"] or 0
            if row["usd"] is not None:
                made.spent[key] = made.spent.get(key, 0) + row["usd"]
        return made

    def words(self, tier: str, name: str) -> str:
        """Return a handler's figures, such as `1,200 events · 12 % escalated · $0.42`."""
        events = self.events[tier, name]
        parts = [events_in_words(events)]
        if tier == "worker" and events:
            parts.append(f"{percent(self.escalated[name] / events)} escalated")
        if self.failed[tier, name]:
            parts.append(f"{count(self.failed[tier, name])} failed")
        if self.spent.get((tier, name)):
            parts.append(usd(self.spent[tier, name]))
        return " · ".join(parts)


def events_in_words(number: int) -> str:
    """Return a number of events, such as `1,200 events`."""
    return {0: "no event", 1: "1 event"}.get(number, f"{count(number)} events")
