"""Whether the audit lost anything: topics against topics, and topics against ClickHouse.

The ends of the topics are fixed before anything is read, that of the events last. So what is read of the others is
about events that are read too; and what came in the meantime is too young to be a fault.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from streams.adapters.scan import Marks, Scan
from streams.app.batches import RECORDED
from streams.audit.discrepancies import Split, among, by_age, doubled, firsts, orphans, repeated, strays, without
from streams.audit.evidence import Collector, Found, Said
from streams.audit.ledger import OTHER_RUN, Array, as_events, events_of
from streams.audit.letters import Letters
from streams.audit.rows import PROVABLE, Rows
from streams.core.topics import BY_NAME

EXAMPLES: Final = 10
FAULTS: Final[Mapping[str, str]] = {
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
_ORPHANS: Final = {"outcomes": "orphan_outcome", "calls": "orphan_call", "verdicts": "orphan_verdict"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
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
class Report:
    """What was counted and found."""

    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    """By topic: records, copies, rows, and what could not be proven."""
    ends: dict[str, int] = field(default_factory=dict)
    """How the events ended, and which are on their way."""
    reasons: dict[str, int] = field(default_factory=dict)
    """Of the open dead letters that ended an event."""
    young: Counter[str] = field(default_factory=Counter)
    """What would be a fault if it were older, by kind."""
    trimmed: list[str] = field(default_factory=list)
    """Topics of which only a part could be read."""
    faults: list[Fault] = field(default_factory=list)


@dataclass(kw_only=True)
class Verifier:
    """Reads everything once and compares it."""

    scan: Scan
    collector: Collector
    client: Any
    """Of ClickHouse, for reading."""
    question: Question
    report: Report = field(default_factory=Report)

    def run(self) -> Report:
        """The report. Raises ServiceError when Kafka or ClickHouse cannot be read."""
        marks = {topic: self.scan.marks(self._full(topic)) for topic in (*RECORDED, "deferred", "postponed", "events")}
        letters = Said(Letters(self.client).acted(self.question.run))
        letter = self.collector.messages(
            "dead-letters", BY_NAME["dead-letters"].message, marks["dead-letters"], letters
        )
        events = self.collector.events(marks["events"])
        self._count(events)
        calls = self._topic("calls", marks["calls"], events, letters)
        outcomes = self._outcomes(marks, events, letters, calls)
        self._lost(events, outcomes, letters, marks)
        for topic in ("verdicts", "labels", "judgements"):
            self._topic(topic, marks[topic], events, letters)
        self._rows(letter, events, letters)
        order = list(FAULTS)
        self.report.faults.sort(key=lambda fault: order.index(fault.kind))
        return self.report

    def _topic(self, topic: str, marks: Marks, events: Found, letters: Said) -> Array:
        """Compare one topic with the events and with its table; the ids of the table's rows."""
        found = self.collector.messages(topic, BY_NAME[topic].message, marks)
        self._orphans(found, events)
        return self._rows(found, events, letters)

    def _outcomes(self, marks: Mapping[str, Marks], events: Found, letters: Said, calls: Array) -> Array:
        found = self.collector.messages("outcomes", BY_NAME["outcomes"].message, marks["outcomes"])
        entries = found.entries
        self._orphans(found, events)
        self._rows(found, events, letters)
        differing, copies = doubled(entries)
        self._fault("doubled_outcome", found, differing)
        self.report.counts["outcomes"]["copies"] = copies
        if self.question.strict and copies:
            self.report.faults.append(Fault("copied_outcome", "outcomes", copies, ()))
        named = np.flatnonzero(entries["call"] != b"")
        self._aged("missing_call", found, named[without(entries["call"][named], calls)])
        ours = entries[entries["standing"] != OTHER_RUN]
        return as_events(ours["event"], ours["said"])

    def _lost(self, events: Found, outcomes: Array, letters: Said, marks: Mapping[str, Marks]) -> None:
        each = firsts(events.entries)
        by_outcome = among(each, outcomes)
        by_letter = among(each, events_of(letters.opened)) & ~by_outcome
        dropped = among(each, events_of(letters.dropped)) & ~by_outcome & ~by_letter
        left = np.flatnonzero(~by_outcome & ~by_letter & ~dropped)
        _retried(each, left, letters.retried)
        waiting = self.collector.deferred(marks) if len(left) else {}
        due = self.question.now - self.question.grace
        rests = np.array(
            [waiting.get(bytes(each["id"][place]).ljust(16, b"\0"), 0) > due for place in left], dtype=bool
        )
        split = self._split(each, left[~rests]) if len(left) else Split(left)
        self._add("lost_event", replace(events, entries=each), split)
        self.report.ends = {
            "outcome": int(by_outcome.sum()),
            "dead_letter": int(by_letter.sum()),
            "dropped": int(dropped.sum()),
            "deferred": int(rests.sum()),
            "on_the_way": split.young,
            "lost": len(split.faults),
        }
        self.report.reasons = dict(letters.reasons)
        self.report.counts["events"]["distinct"] = len(each)

    def _orphans(self, found: Found, events: Found) -> None:
        if found.topic in _ORPHANS:
            self._add(_ORPHANS[found.topic], found, orphans(found.entries, events.entries, events.starts))

    def _rows(self, found: Found, events: Found, letters: Said) -> Array:
        """Every record has its row, every row its record, and what cannot be read has its dead letter."""
        rows = Rows(self.client, found.topic, found.runs | {self.question.run})
        held = rows.read()
        self._count(found, len(held))
        missing = without(found.entries["id"], held["id"])
        self._aged("missing_row", found, self._not_excused(found.topic, found.entries, missing, letters))
        bad = self._not_excused(found.topic, found.unreadable, np.arange(len(found.unreadable)), letters)
        self._add("unreadable", replace(found, entries=found.unreadable), self._split(found.unreadable, bad))
        if found.topic in PROVABLE:
            self._strays(found, held, _horizon(found, events), rows)
        kept: Array = held["id"].copy()
        return kept

    def _strays(self, found: Found, held: Array, horizon: int | None, rows: Rows) -> None:
        split = strays(held, found.entries, horizon)
        self.report.counts[found.topic]["rows_unproven"] = split.unproven
        if not len(split.faults):
            return
        # Some may have come after the topic's end was fixed.
        now = self.scan.marks(self._full(found.topic))
        later = {number: (high, now[number][1]) for number, (_, high) in found.marks.items()}
        newer = self.collector.messages(found.topic, BY_NAME[found.topic].message, later)
        left = split.faults[without(held["id"][split.faults], newer.entries["id"])]
        if len(left):
            examples = tuple(rows.named(held["id"][left[:EXAMPLES]]))
            self.report.faults.append(Fault("stray_row", found.topic, len(left), examples))

    def _not_excused(self, topic: str, entries: Array, places: Array, letters: Said) -> Array:
        """Without those that have a dead letter."""
        where = {place: (int(entries["partition"][place]), int(entries["offset"][place])) for place in places}
        excused = self.collector.excused(topic, where.values(), letters)
        return np.array([place for place in places if where[place] not in excused], dtype=np.int64)

    # ---- Into the report ----

    def _split(self, entries: Array, places: Array) -> Split:
        return by_age(entries, places, self.question.now, self.question.grace)

    def _aged(self, kind: str, found: Found, places: Array) -> None:
        self._add(kind, found, self._split(found.entries, places))

    def _fault(self, kind: str, found: Found, places: Array) -> None:
        self._add(kind, found, Split(places))

    def _add(self, kind: str, found: Found, split: Split) -> None:
        if split.young:
            self.report.young[kind] += split.young
        if split.unproven:
            self.report.counts.setdefault(found.topic, {})["orphans_unproven"] = split.unproven
        if len(split.faults):
            examples = tuple(self._named(found, int(place)) for place in split.faults[:EXAMPLES])
            self.report.faults.append(Fault(kind, found.topic, len(split.faults), examples))

    def _named(self, found: Found, place: int) -> Mapping[str, Any]:
        partition, offset = int(found.entries["partition"][place]), int(found.entries["offset"][place])
        return {"partition": partition, "offset": offset} | self.collector.names(found.topic, partition, offset)

    def _count(self, found: Found, rows: int | None = None) -> None:
        counts = {"records": len(found.entries) + len(found.unreadable)}
        if rows is not None:
            counts |= {"copies": repeated(found.entries["id"]), "rows": rows}
        self.report.counts[found.topic] = counts | self.report.counts.get(found.topic, {})
        if found.trimmed:
            self.report.trimmed.append(found.topic)

    def _full(self, topic: str) -> str:
        return self.collector.prefix + topic


def _retried(each: Array, left: Array, retried: Mapping[bytes, int]) -> None:
    """Let the time of an event that was retried run anew from then on."""
    for place in left if retried else ():
        each["at"][place] = max(int(each["at"][place]), retried.get(bytes(each["id"][place]).ljust(16, b"\0"), 0))


def _horizon(found: Found, events: Found) -> int | None:
    """From when on a row's record must be on its topic, in milliseconds; None when nothing says so.

    What is older than the events that are held may stem from a broker that has forgotten them.
    """
    if found.trimmed:
        known = (found.earliest, events.earliest)
        return None if None in known else max(one for one in known if one is not None)
    return events.earliest
