"""The events of a topic that a replay takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from streams.core.errors import ConfigError
from streams.core.fingerprint import draw


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSelection:
    """Conditions that an event must meet, all of them; None sets no condition. The earliest `limit` are taken."""

    since: datetime | None = None
    """By the event's own time, or Kafka's timestamp where it has none. The beginning belongs to it, the end not."""
    until: datetime | None = None
    offsets: Mapping[int, tuple[int, int]] | None = None
    """By partition: from the first offset up to, but without, the second. Other partitions are left out."""
    events: frozenset[str] | None = None
    """By event id."""
    condition: str = ""
    """The condition that gave `events`, in the user's words."""
    share: float = 1.0
    """A random part of them, the same each time."""
    limit: int | None = None
    words: str = ""
    """The user's words, where a time was given as a duration ago."""

    def holds_position(self, partition: int, offset: int) -> bool:
        """True if an event at this position may be selected."""
        if self.offsets is None:
            return True
        first, stop = self.offsets.get(partition, (0, 0))
        return first <= offset < stop

    def takes(self, event_id: str, event_time: datetime) -> bool:
        """True if an event is selected by its id and time."""
        return (
            (self.since is None or event_time >= self.since)
            and (self.until is None or event_time < self.until)
            and (self.events is None or event_id in self.events)
            and (self.share == 1 or draw("sample", event_id) < self.share)
        )

    def __str__(self) -> str:
        """Return the selection in words, for the table of runs; the same words mean the same events."""
        said = [
            f"since {self.since.isoformat()}" if self.since else "",
            f"until {self.until.isoformat()}" if self.until else "",
            f"offsets {_spans(self.offsets)}" if self.offsets is not None else "",
            self.condition,
            f"a share of {self.share:g}" if self.share < 1 else "",
            f"the earliest {self.limit}" if self.limit is not None else "",
        ]
        return ", ".join(filter(None, said)) or "all events"


def _spans(offsets: Mapping[int, tuple[int, int]]) -> str:
    return " ".join(f"{partition}:{first}-{stop}" for partition, (first, stop) in sorted(offsets.items()))


def parse_offsets(texts: list[str]) -> dict[int, tuple[int, int]]:
    """Parse offsets written as `PARTITION:FIRST-STOP`, without `STOP` up to the end. Raises ConfigError."""
    spans: dict[int, tuple[int, int]] = {}
    for text in texts:
        partition, _, span = text.partition(":")
        first, dash, stop = span.partition("-")
        numbers = [partition, first, *([stop] if stop else [])]
        if not dash or not all(number.isdecimal() for number in numbers) or int(partition) in spans:
            remedy = "Write PARTITION:FIRST-STOP once a partition, as in 0:100-200, or 0:100- up to the end."
            raise ConfigError(f"{text!r} does not name offsets.", remedy, "offsets")
        spans[int(partition)] = int(first), int(stop) if stop else 2**63 - 1
    return spans
