"""The request to `escalon verify`, and its report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

FAULTS: Final[Mapping[str, str]] = {
    "unread": "offsets that Kafka deleted before they were read",
    "lost_event": "events without an outcome or a dead letter",
    "lost_record": "records of your topics that are neither an event nor skipped nor a dead letter",
    "doubled_outcome": "outcomes that differ from the first of their event",
    "orphan_outcome": "outcomes of an event that never existed",
    "orphan_call": "calls for an event that never existed",
    "orphan_verdict": "verdicts on an event that never existed",
    "unreadable": "records that cannot be read and have no dead letter",
    "missing_row": "records without a row in ClickHouse",
    "stray_row": "rows in ClickHouse without a record",
    "missing_call": "outcomes whose call has no row in ClickHouse",
    "copied_outcome": "outcomes delivered again, byte by byte the same",
}
FAULTS_OF_HELD_RECORDS: Final = frozenset({"lost_event", "lost_record", "missing_row", "missing_call"})
"""Faults in what the topics hold. While one of these is unproven, the report is not clean; the others are about what
the topics have forgotten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyRequest:
    """The run to verify. Times are milliseconds since 1970."""

    run: str
    now: int
    grace: int
    """Milliseconds for which something unfinished counts as in flight."""
    since: int = 0
    strict: bool = False
    """True if copies are faults, too."""


@dataclass(frozen=True, slots=True)
class Fault:
    kind: str
    topic: str
    count: int
    examples: tuple[Mapping[str, object], ...]


@dataclass(slots=True, kw_only=True)
class VerifyReport:
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    """By topic: records, copies, rows, and what could not be proven."""
    ends: dict[str, int] = field(default_factory=dict)
    """Events by how they ended, in flight, lost and unproven."""
    sources: dict[str, dict[str, int]] = field(default_factory=dict)
    """By topic of the user's: records, and what they became."""
    unchecked: list[str] = field(default_factory=list)
    """Topics of the user's that events were made of and that were not read, because no pipeline file names them."""
    reasons: dict[str, int] = field(default_factory=dict)
    """Reasons of the open dead letters that ended an event."""
    young: Counter[str] = field(default_factory=Counter)
    """By kind, entries that would be faults if they were older."""
    unproven: Counter[str] = field(default_factory=Counter)
    """By kind, entries that may be faults: neither the topics nor ClickHouse hold the evidence."""
    trimmed: list[str] = field(default_factory=list)
    held_back: dict[str, int] = field(default_factory=dict)
    """By topic, offsets that were not read because they lie behind an open transaction."""
    faults: list[Fault] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """True if it is proven that nothing is wrong with what the topics hold."""
        return not self.faults and not any(self.unproven[kind] for kind in FAULTS_OF_HELD_RECORDS)
