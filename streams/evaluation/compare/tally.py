"""Two runs, counted event by event, so that of a hundred thousand only some are held."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from streams.core.fingerprint import draw
from streams.core.flips import End, Judged, tally
from streams.core.paired import Paired

ENDINGS: Final = ("worker", "reasoner", "ignored", "duplicate", "failed")
"""How an event may end: answered by a tier, or not answered."""
MAX_SLICES = 1000
"""Intents, and handlers, that are told apart; the rest are counted together as OTHERS."""
OTHERS = "(others)"
TO_LABEL = 200
UNKNOWN = float("nan")


@dataclass(slots=True)
class SideTally:
    """One run."""

    endings: Counter[str] = field(default_factory=Counter)
    escalations: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    usd: array[float] = field(default_factory=lambda: array("d"))
    """Per event, NaN where unknown; the exact sums are the database's."""
    seconds: array[float] = field(default_factory=lambda: array("d"))

    def add(self, end: End) -> None:
        """Count one event."""
        self.endings[end.tier if end.state == "answered" else end.state] += 1
        for reason in [end.escalated_for] if end.escalated_for else ["routed"] * (end.route[0] == "reasoner"):
            self.escalations[reason] += 1
        self.refusals.update(end.refusals)
        self.usd.append(UNKNOWN if end.usd is None else float(end.usd))
        self.seconds.append(UNKNOWN if end.seconds is None else end.seconds)


@dataclass(slots=True)
class Truth:
    """One aspect of the labels."""

    events: int = 0
    differing: int = 0
    alike: Paired = field(default_factory=Paired)
    apart: Paired = field(default_factory=Paired)

    def add(self, right: tuple[bool, bool] | None, disputed: bool) -> None:
        """Count one event."""
        self.events += 1
        self.differing += disputed
        if right is not None and disputed:
            self.apart += tally(right)
        elif right is not None:
            self.alike += tally(right)


@dataclass(slots=True)
class Tally:
    """Both runs. Of the flips the `examples` most telling are kept."""

    examples: int
    events: int = 0
    agreeing: int = 0
    flipped: int = 0
    a: SideTally = field(default_factory=SideTally)
    b: SideTally = field(default_factory=SideTally)
    changes: Counter[str] = field(default_factory=Counter)
    answers: Truth = field(default_factory=Truth)
    intents: Truth = field(default_factory=Truth)
    by_intent: Counter[tuple[str, bool]] = field(default_factory=Counter)
    """By A's intent, and whether the runs agree."""
    by_handler: Counter[tuple[str, bool]] = field(default_factory=Counter)
    """By where A sent the event."""
    handlers: set[tuple[str, str]] = field(default_factory=set)
    """Tier and handler of every answer."""
    _flips: list[Judged] = field(default_factory=list)
    _to_label: list[tuple[float, str]] = field(default_factory=list)

    def add(self, judged: Judged) -> None:
        """Count one event."""
        pair = judged.pair
        agrees = not {"state", "answer"} & set(judged.changes)
        self.events += 1
        self.agreeing += agrees
        self.a.add(pair.a)
        self.b.add(pair.b)
        self.changes.update(judged.changes)
        if judged.at_stake:
            self.answers.add(judged.right, judged.disputed)
        self.intents.add(judged.right_intent, judged.disputed_intent)
        _count(self.by_intent, pair.a.intent, agrees)
        _count(self.by_handler, pair.a.route[1] or pair.a.state, agrees)
        self.handlers |= {(end.tier, end.handler) for end in (pair.a, pair.b) if end.answer is not None}
        if judged.changes:
            self._keep(judged)

    def _keep(self, judged: Judged) -> None:
        self.flipped += 1
        self._flips.append(judged)
        if len(self._flips) >= 2 * self.examples + 100:
            self._flips = self.flips()
        if judged.disputed and judged.right is None:
            self._to_label.append((draw("label", judged.pair.event_id), judged.pair.event_id))
            if len(self._to_label) >= 2 * TO_LABEL:
                self._to_label = sorted(self._to_label)[:TO_LABEL]

    def flips(self) -> list[Judged]:
        """The most telling flips, the most telling first."""
        return sorted(self._flips, key=lambda one: one.telling)[: self.examples]

    def to_label(self) -> list[str]:
        """Ids of events with different answers and no label, a fair sample of at most TO_LABEL."""
        return [event_id for _, event_id in sorted(self._to_label)[:TO_LABEL]]


def _count(slices: Counter[tuple[str, bool]], name: str, agrees: bool) -> None:
    known = (name, True) in slices or (name, False) in slices or len(slices) < MAX_SLICES
    slices[name if known else OTHERS, agrees] += 1
