"""What `escalon verify` is asked and what it finds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

FAULTS: Final[Mapping[str, str]] = {
    "unread": "offsets that Kafka deleted before they were read",
    "lost_event": "events that came to no end",
    "doubled_outcome": "outcomes that differ from the first of their event",
    "orphan_outcome": "outcomes of an event that never was",
    "orphan_call": "calls for an event that never was",
    "orphan_verdict": "verdicts on an event that never was",
    "unreadable": "records that cannot be read and have no dead letter",
    "missing_row": "records without a row in ClickHouse",
    "stray_row": "rows in ClickHouse without a record",
    "missing_call": "outcomes whose call has no row in ClickHouse",
    "copied_outcome": "outcomes delivered again, byte by byte the same",
}
OF_WHAT_IS_HELD: Final = frozenset({"lost_event", "missing_row", "missing_call"})
"""Faults in what the topics hold. While one of these is unproven nobody can say that nothing is lost; the others are
about what the topics have forgotten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyRequest:
    """What to verify. Times are milliseconds since 1970."""

    run: str
    now: int
    grace: int
    """How long what is not finished may be on its way, in milliseconds."""
    since: int = 0
    strict: bool = False
    """Whether copies are faults too."""


@dataclass(frozen=True, slots=True)
class Fault:
    """All faults of one kind in one topic, with some of them by name."""

    kind: str
    topic: str
    count: int
    examples: tuple[Mapping[str, Any], ...]


@dataclass(slots=True, kw_only=True)
class VerifyReport:
    """What was counted and found."""

    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    """By topic: records, copies, rows, and what could not be proven."""
    ends: dict[str, int] = field(default_factory=dict)
    """How the events ended, which are on their way, and of which nobody can say."""
    reasons: dict[str, int] = field(default_factory=dict)
    """Of the open dead letters that ended an event."""
    young: Counter[str] = field(default_factory=Counter)
    """What would be a fault if it were older, by kind."""
    unproven: Counter[str] = field(default_factory=Counter)
    """What may be a fault or not, by kind: neither the topics nor ClickHouse hold what would tell."""
    trimmed: list[str] = field(default_factory=list)
    """Topics of which only a part could be read."""
    held_back: dict[str, int] = field(default_factory=dict)
    """By topic, offsets that were not read, because they lie behind a transaction that is open."""
    faults: list[Fault] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong with what the topics hold, and that is proven."""
        return not self.faults and not any(self.unproven[kind] for kind in OF_WHAT_IS_HELD)
