"""The comparison of topics with topics, and of topics with ClickHouse, that shows whether the audit lost anything.

The ends of the topics are fixed before anything is read, that of the events last. So the messages that are read are
about events that are read, too, and later ones are too young to be a fault.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from streams.adapters.clickhouse_connection import ClickHouseClient
from streams.adapters.log_reader import Gap
from streams.adapters.topic_reader import Marks, TopicReader
from streams.audit.dead_letters.table import DeadLetterTable
from streams.audit.verify.arrays import EVENT_KEY, OTHER_RUN, OUTCOME_ROW, Array, event_keys
from streams.audit.verify.clickhouse_evidence import PROVABLE, RunEvidence, TableRows
from streams.audit.verify.discrepancies import (
    Split,
    conflicting_outcomes,
    count_repeated,
    distinct_events,
    in_events,
    missing_from,
    split_by_age,
    stray_rows,
)
from streams.audit.verify.proof import (
    complete_since,
    earliest_arrivals,
    first_mentioned,
    link_to_events,
    may_have_expired,
    orphans,
    padded,
)
from streams.audit.verify.report import FAULTS, Fault, VerifyReport, VerifyRequest
from streams.audit.verify.source_check import SourceCheck, SourceEnds
from streams.audit.verify.topic_evidence import DeadLetterEvidence, EvidenceReader, TopicEvidence
from streams.core.errors import ServiceError
from streams.core.topics import BY_NAME, DEFERRED
from streams.sink.batch import SINK_TABLES

EXAMPLES: Final = 10
_ORPHANS: Final = {"outcomes": "orphan_outcome", "calls": "orphan_call", "verdicts": "orphan_verdict"}


@dataclass(frozen=True, slots=True)
class _UnknownEvents:
    found: TopicEvidence
    first_confirmed: int | None
    """The time of the first message of the topic that is about one that is held."""


@dataclass(kw_only=True)
class ConsistencyCheck:
    """One verification: reads all topics and tables once and compares them."""

    scan: TopicReader
    reader: EvidenceReader
    client: ClickHouseClient
    question: VerifyRequest
    source: SourceCheck | None = None
    """Reads the user's own topics; None if the pipeline names none, or is not known."""
    report: VerifyReport = field(default_factory=VerifyReport)
    _unknown: list[_UnknownEvents] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._recorded = RunEvidence(self.client, self.question.run)
        self.reader = replace(self.reader, latest=self.question.now + self.question.grace)

    def run(self) -> VerifyReport:
        """Return the report. Raises ServiceError when Kafka or ClickHouse cannot be read."""
        source_ends = self.source.ends() if self.source is not None else None
        topics = (*SINK_TABLES, *(spec.name for spec in DEFERRED.values()), "events")
        before = self.scan.incarnations(map(self._full, topics))
        written = {topic: self.scan.written(self._full(topic)) for topic in topics}
        marks = {topic: self.scan.marks(self._full(topic)) for topic in topics}
        self.report.held_back = _held_back(written, marks)
        letters = DeadLetterEvidence(DeadLetterTable(self.client).last_actions(self.question.run))
        letter = self.reader.messages("dead-letters", BY_NAME["dead-letters"].message, marks["dead-letters"], letters)
        for name, (topic, *place), event, reason in self._recorded.dead_letters():
            letters.add(name, (topic.removeprefix(self.reader.prefix), place[0], place[1]), event, reason)
        events = self.reader.events(marks["events"])
        self._count(events)
        calls = self._topic("calls", marks["calls"], events, letters)
        outcomes = self._outcomes(marks, events, letters, calls)
        self._lost(events, outcomes, letters, marks)
        self._sources(source_ends, events, outcomes, letters)
        for topic in ("verdicts", "labels", "judgements", "panel-cases"):
            self._topic(topic, marks[topic], events, letters)
        self._rows(self.reader.messages("panels", BY_NAME["panels"].message, marks["panels"]), letters)
        self._orphans(events)
        self._rows(letter, letters)
        self._unread()
        _check_same(before, self.scan.incarnations(before))
        order = list(FAULTS)
        self.report.faults.sort(key=lambda fault: order.index(fault.kind))
        return self.report

    def _topic(self, topic: str, marks: Marks, events: TopicEvidence, letters: DeadLetterEvidence) -> Array:
        """Compare one topic with the events and with its table; return the ids of its records and rows."""
        found = self.reader.messages(topic, BY_NAME[topic].message, marks)
        self._link(found, events)
        known: Array = np.concatenate([self._rows(found, letters), found.entries["id"]])
        return known

    def _outcomes(
        self, marks: Mapping[str, Marks], events: TopicEvidence, letters: DeadLetterEvidence, calls: Array
    ) -> TopicEvidence:
        found = self.reader.messages("outcomes", BY_NAME["outcomes"].message, marks["outcomes"])
        entries = found.entries
        self._link(found, events)
        self._rows(found, letters)
        differing, copies = conflicting_outcomes(entries)
        self._fault("doubled_outcome", found, differing)
        self.report.counts["outcomes"]["copies"] = copies
        if self.question.strict and copies:
            self.report.faults.append(Fault("copied_outcome", "outcomes", copies, ()))
        named = np.flatnonzero(entries["call"] != b"")
        self._kept("missing_call", "calls", found, named[missing_from(entries["call"][named], calls)])
        return found

    def _lost(
        self, events: TopicEvidence, outcomes: TopicEvidence, letters: DeadLetterEvidence, marks: Mapping[str, Marks]
    ) -> None:
        each, ours = distinct_events(events.entries), outcomes.entries[outcomes.entries["scope"] != OTHER_RUN]
        by_outcome = in_events(each, event_keys(ours["event"], ours["content"]))
        rows = self._recorded.outcomes() if not by_outcome.all() else np.empty(0, OUTCOME_ROW)
        by_outcome |= in_events(each, rows)
        by_letter = in_events(each, np.array(letters.opened, EVENT_KEY)) & ~by_outcome
        dropped = in_events(each, np.array(letters.dropped, EVENT_KEY)) & ~by_outcome & ~by_letter
        left = np.flatnonzero(~by_outcome & ~by_letter & ~dropped)
        _retried(each, left, letters.retried)
        waiting = self.reader.deferred(marks) if len(left) else {}
        due = self.question.now - self.question.grace
        rests = np.array([waiting.get(one, 0) > due for one in padded(each["id"][left])], dtype=bool)
        split = self._split(each, left[~rests]) if len(left) else Split(left)
        proven = self._would_show(events, outcomes, rows, each[split.faults])
        faults = split.faults[proven]
        self._add("lost_event", replace(events, entries=each), Split(faults, split.young, int((~proven).sum())))
        self.report.ends = {
            "outcome": int(by_outcome.sum()),
            "dead_letter": int(by_letter.sum()),
            "dropped": int(dropped.sum()),
            "deferred": int(rests.sum()),
            "in_flight": split.young,
            "lost": len(faults),
        }
        if not proven.all():
            self.report.ends["unproven"] = int((~proven).sum())
        self.report.reasons = dict(letters.reasons)
        self.report.counts["events"]["distinct"] = len(each)

    def _sources(
        self, ends: SourceEnds | None, events: TopicEvidence, outcomes: TopicEvidence, letters: DeadLetterEvidence
    ) -> None:
        """Compare the user's own topics with all events of which there is any evidence."""
        self.report.unchecked = sorted(self.reader.sources - (set() if ends is None else ends.marks.keys()))
        if self.source is None or ends is None:
            return
        ended = [event for event, _ in (*letters.opened, *letters.dropped)] + [*letters.retried]
        every = [events.entries["id"], outcomes.entries["event"], self._recorded.outcomes()["id"]]
        known = np.concatenate([*every, np.array(ended, "S16")])
        forgotten = events.compacted or any(low > 0 for low, _ in events.marks.values())
        for topic in ends.marks:
            found = self.source.run(topic, ends, known, letters)
            self.report.sources[topic] = dict(found.counts)
            for kind, places in (("lost_record", found.lost), ("unreadable", found.unreadable)):
                if not places:
                    continue
                if kind == "lost_record" and forgotten:
                    self.report.unproven += Counter({kind: len(places)})
                    continue
                examples = tuple({"partition": one, "offset": offset} for one, offset in places[:EXAMPLES])
                self.report.faults.append(Fault(kind, topic, len(places), examples))
        self.reader.gaps.extend(self.source.gaps)

    def _would_show(self, events: TopicEvidence, outcomes: TopicEvidence, rows: Array, each: Array) -> Array:
        """Return a mask of the events whose outcome would still be on its topic or in ClickHouse if it existed."""
        came = earliest_arrivals(events.entries, each, self.reader.latest)
        forgot = bool(outcomes.trimmed) or self.report.counts["outcomes"].get("rows_unproven", 0) > 0
        since = complete_since(outcomes)
        by_topic = np.full(len(each), not forgot)
        if since is not None:
            by_topic |= came >= since + self.question.grace
        if by_topic.all() or not len(rows):
            return by_topic
        days, times = self._recorded.days_kept(SINK_TABLES["outcomes"]), np.zeros(len(each), dtype=np.int64)
        if days is not None:
            own = self.reader.event_times({(int(one["partition"]), int(one["offset"])) for one in each})
            times = np.array([own.get((int(one["partition"]), int(one["offset"])), 0) for one in each], dtype=np.int64)
        inside = (came >= rows["at"].min()) & (came <= rows["at"].max())
        by_row: Array = inside & ~may_have_expired(times, days, self.question.now)
        return by_topic | by_row

    def _link(self, found: TopicEvidence, events: TopicEvidence) -> None:
        if found.topic in _ORPHANS:
            linked = link_to_events(found.entries, events.entries)
            entries = found.entries[linked.unknown]
            self._unknown.append(_UnknownEvents(replace(found, entries=entries), linked.first_confirmed))

    def _orphans(self, events: TopicEvidence) -> None:
        """Judge the messages about events that are not held, once the first mention of each is known."""
        alive = min((one.first_confirmed for one in self._unknown if one.first_confirmed is not None), default=None)
        for one, spoken in zip(
            self._unknown, first_mentioned([one.found.entries for one in self._unknown]), strict=True
        ):
            entries = one.found.entries
            suspects = padded(entries["event"][orphans(entries, events, alive, spoken).faults])
            seen = self._recorded.first_seen(sorted(set(suspects)))
            earlier = np.array([seen.get(event, 2**62) for event in padded(entries["event"])], dtype=np.int64)
            split = orphans(entries, events, alive, np.minimum(spoken, earlier) if seen else spoken)
            if split.unproven:
                self.report.counts[one.found.topic]["orphans_unproven"] = split.unproven
            self._add(_ORPHANS[one.found.topic], one.found, split)

    def _rows(self, found: TopicEvidence, letters: DeadLetterEvidence) -> Array:
        """Find records without a row, rows without a record, and unreadable records without a dead letter."""
        rows = TableRows(self.client, found.topic, found.runs | {self.question.run})
        held = rows.read()
        self._count(found, len(held))
        missing = self._not_excused(found.topic, found.entries, missing_from(found.entries["id"], held["id"]), letters)
        self._kept("missing_row", found.topic, found, missing)
        bad = self._not_excused(found.topic, found.unreadable, np.arange(len(found.unreadable)), letters)
        self._add("unreadable", replace(found, entries=found.unreadable), self._split(found.unreadable, bad))
        if found.topic in PROVABLE:
            self._strays(found, held, rows)
        kept: Array = held["id"].copy()
        return kept

    def _kept(self, kind: str, topic: str, found: TopicEvidence, places: Array) -> None:
        """Add records without their own or their call's row: faults, unless the table's TTL may have removed it."""
        split = self._split(found.entries, places)
        if len(split.faults):
            days = self._recorded.days_kept(SINK_TABLES[topic])
            old = may_have_expired(found.entries["event_time"][split.faults], days, self.question.now)
            split = Split(split.faults[~old], split.young, int(old.sum()))
        self._add(kind, found, split)

    def _not_excused(self, topic: str, entries: Array, places: Array, letters: DeadLetterEvidence) -> Array:
        where = {place: (int(entries["partition"][place]), int(entries["offset"][place])) for place in places}
        excused = self.reader.with_dead_letter(topic, where.values(), letters)
        return np.array([place for place in places if where[place] not in excused], dtype=np.int64)

    def _strays(self, found: TopicEvidence, held: Array, rows: TableRows) -> None:
        since = complete_since(found)
        split = stray_rows(held, found.entries, None if since is None else since + self.question.grace)
        left = split.faults
        if len(left):
            # Some records may have come after the topic's end was fixed.
            now = self.scan.marks(self._full(found.topic))
            later = {number: (high, max(high, now[number][1])) for number, (_, high) in found.marks.items()}
            newer = self.reader.messages(found.topic, BY_NAME[found.topic].message, later)
            left = left[missing_from(held["id"][left], newer.entries["id"])]
        self.report.counts[found.topic]["rows_unproven"] = split.unproven
        self.report.unproven["stray_row"] += split.unproven
        if len(left):
            examples = tuple(rows.named(held["id"][left[:EXAMPLES]]))
            self.report.faults.append(Fault("stray_row", found.topic, len(left), examples))

    def _unread(self) -> None:
        gaps = defaultdict[str, list[Gap]](list)
        for gap in self.reader.gaps:
            gaps[gap.topic.removeprefix(self.reader.prefix)].append(gap)
        for topic, found in gaps.items():
            examples = tuple(
                {"partition": one.partition, "first": one.first, "end": one.end} for one in found[:EXAMPLES]
            )
            self.report.faults.append(Fault("unread", topic, sum(one.end - one.first for one in found), examples))

    # ---- Into the report ----

    def _split(self, entries: Array, places: Array) -> Split:
        return split_by_age(entries, places, self.question.now, self.question.grace)

    def _fault(self, kind: str, found: TopicEvidence, places: Array) -> None:
        self._add(kind, found, Split(places))

    def _add(self, kind: str, found: TopicEvidence, split: Split) -> None:
        self.report.young += Counter({kind: split.young})
        self.report.unproven += Counter({kind: split.unproven})
        if len(split.faults):
            examples = tuple(self._named(found, int(place)) for place in split.faults[:EXAMPLES])
            self.report.faults.append(Fault(kind, found.topic, len(split.faults), examples))

    def _named(self, found: TopicEvidence, place: int) -> Mapping[str, Any]:
        partition, offset = int(found.entries["partition"][place]), int(found.entries["offset"][place])
        return {"partition": partition, "offset": offset} | self.reader.describe(found.topic, partition, offset)

    def _count(self, found: TopicEvidence, rows: int | None = None) -> None:
        counts = {"records": len(found.entries) + len(found.unreadable)}
        if rows is not None:
            counts |= {"copies": count_repeated(found.entries["id"]), "rows": rows}
        self.report.counts[found.topic] = counts | self.report.counts.get(found.topic, {})
        if found.trimmed:
            self.report.trimmed.append(found.topic)

    def _full(self, topic: str) -> str:
        return self.reader.prefix + topic


def _held_back(written: Mapping[str, Mapping[int, int]], marks: Mapping[str, Marks]) -> dict[str, int]:
    """Return, by topic, the number of offsets that were written and cannot be read yet."""
    behind = {
        topic: sum(max(0, end - marks[topic][number][1]) for number, end in ends.items() if number in marks[topic])
        for topic, ends in written.items()
    }
    return {topic: count for topic, count in behind.items() if count}


def _retried(each: Array, left: Array, retried: Mapping[bytes, int]) -> None:
    """Count the age of a retried event from its retry."""
    for place in left if retried else ():
        each["at"][place] = max(int(each["at"][place]), retried.get(bytes(each["id"][place]).ljust(16, b"\0"), 0))


def _check_same(before: Mapping[str, str], after: Mapping[str, str]) -> None:
    """Raise ServiceError if a topic was created again, since records of both may have been read."""
    for topic, known in before.items():
        if after[topic] != known:
            what = f"The topic {topic} was deleted and created again while it was being read."
            raise ServiceError(what, "Run `escalon verify` again.")
