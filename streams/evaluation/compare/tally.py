"""Count two runs event by event, so that only a few of a hundred thousand events are held in memory."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from streams.core.fingerprint import draw
from streams.evaluation.compare.diff import ComparedEvent, EventEnd, EventPair, tally
from streams.evaluation.compare.paired_statistics import Paired

ENDINGS: Final = ("worker", "reasoner", "ignored", "duplicate", "failed")
"""The ways an event ends: answered by a tier, or not answered."""
MAX_SLICES = 1000
"""Intents, and handlers, that are counted separately; the others are counted as OTHERS."""
OTHERS = "(others)"
TO_LABEL = 200
UNKNOWN = float("nan")


@dataclass(slots=True)
class SideTally:
    """The counts of one run. `usd` and `seconds` hold one value per event, NaN if unknown."""

    endings: Counter[str] = field(default_factory=Counter)
    escalations: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    usd: array[float] = field(default_factory=lambda: array("d"))
    seconds: array[float] = field(default_factory=lambda: array("d"))

    def add(self, end: EventEnd) -> None:
        self.endings[end.tier if end.state == "answered" else end.state] += 1
        for reason in [end.escalated_for] if end.escalated_for else ["routed"] * (end.route[0] == "reasoner"):
            self.escalations[reason] += 1
        self.refusals.update(end.refusals)
        self.usd.append(UNKNOWN if end.usd is None else float(end.usd))
        self.seconds.append(UNKNOWN if end.seconds is None else end.seconds)


@dataclass(slots=True)
class LabelTally:
    """The labels of one aspect. Events of one task that ended alike count once, because repeats are not evidence."""

    events: int = 0
    differing: int = 0
    alike: Paired = field(default_factory=Paired)
    apart: Paired = field(default_factory=Paired)
    not_graded: int = 0
    _met: set[int] = field(default_factory=set)

    def add(self, right: tuple[bool, bool] | None, disputed: bool, pair: EventPair) -> None:
        if self._is_new(pair.content(disputed)):
            self.events += 1
            self.differing += disputed
        if right is None or not self._is_new(pair.content(disputed, *right)):
            return
        if disputed:
            self.apart += tally(right)
        else:
            self.alike += tally(right)

    def _is_new(self, content: str) -> bool:
        key = int(content[:16], 16)
        known = key in self._met
        self._met.add(key)
        return not known


@dataclass(slots=True)
class Tally:
    """The counts of both runs. It keeps the `examples` most important flips.

    `by_intent` counts by A's intent and whether the runs agree, `by_handler` by the handler that A sent the event to.
    `tasks` holds a number per event, equal for events of one task that ended alike. `hidden` counts events with an
    answer that redaction hid a part of. `handlers` are the tier and handler of every answer.
    """

    examples: int
    events: int = 0
    agreeing: int = 0
    flipped: int = 0
    a: SideTally = field(default_factory=SideTally)
    b: SideTally = field(default_factory=SideTally)
    changes: Counter[str] = field(default_factory=Counter)
    answers: LabelTally = field(default_factory=LabelTally)
    intents: LabelTally = field(default_factory=LabelTally)
    by_intent: Counter[tuple[str, bool]] = field(default_factory=Counter)
    by_handler: Counter[tuple[str, bool]] = field(default_factory=Counter)
    tasks: array[int] = field(default_factory=lambda: array("Q"))
    tasks_by_intent: Counter[str] = field(default_factory=Counter)
    tasks_by_handler: Counter[str] = field(default_factory=Counter)
    hidden: int = 0
    handlers: set[tuple[str, str]] = field(default_factory=set)
    _flips: list[ComparedEvent] = field(default_factory=list)
    _to_label: list[tuple[float, str]] = field(default_factory=list)
    _met: set[int] = field(default_factory=set)

    def add(self, judged: ComparedEvent) -> None:
        pair = judged.pair
        agrees = not {"state", "answer"} & set(judged.changes)
        self.events += 1
        self.agreeing += agrees
        self.a.add(pair.a)
        self.b.add(pair.b)
        self.changes.update(judged.changes)
        if judged.at_stake:
            self.answers.add(judged.right, judged.disputed, pair)
        self.answers.not_graded += judged.not_graded
        self.hidden += judged.hidden
        self.intents.add(judged.right_intent, judged.disputed_intent, pair)
        self._count_slices(pair, agrees)
        self.handlers |= {(end.tier, end.handler) for end in (pair.a, pair.b) if end.answer is not None}
        if judged.changes:
            self._keep(judged)

    def _count_slices(self, pair: EventPair, agrees: bool) -> None:
        task = int(pair.content()[:16], 16)
        self.tasks.append(task)
        new = task not in self._met
        self._met.add(task)
        self.tasks_by_intent[_count(self.by_intent, pair.a.intent, agrees)] += new
        self.tasks_by_handler[_count(self.by_handler, pair.a.route[1] or pair.a.state, agrees)] += new

    def _keep(self, judged: ComparedEvent) -> None:
        self.flipped += 1
        self._flips.append(judged)
        if len(self._flips) >= 2 * self.examples + 100:
            self._flips = self.flips()
        if judged.disputed and judged.right is None:
            self._to_label.append((draw("label", judged.pair.event_id), judged.pair.event_id))
            if len(self._to_label) >= 2 * TO_LABEL:
                self._to_label = sorted(self._to_label)[:TO_LABEL]

    def flips(self) -> list[ComparedEvent]:
        return sorted(self._flips, key=lambda one: one.rank)[: self.examples]

    def to_label(self) -> list[str]:
        """Return ids of events with different answers and no label, a fair sample of at most TO_LABEL."""
        return [event_id for _, event_id in sorted(self._to_label)[:TO_LABEL]]


def _count(slices: Counter[tuple[str, bool]], name: str, agrees: bool) -> str:
    """Count one event and return the name of its slice."""
    known = (name, True) in slices or (name, False) in slices or len(slices) < MAX_SLICES
    slices[name if known else OTHERS, agrees] += 1
    return name if known else OTHERS
