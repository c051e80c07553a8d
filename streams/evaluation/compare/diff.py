"""Compare one event in two runs: how it ended in each, what differs, and which run was right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from streams.core.answer_comparison import Agree, Comparison, same_json, value_of
from streams.core.fingerprint import digest
from streams.core.grading import USUAL_MARKERS, Grader, Markers
from streams.evaluation.compare.paired_statistics import Paired
from streams.evaluation.panel_labels import JudgedAnswer

Aspect = Literal["answer", "intent"]
Change = Literal["state", "answer", "intent", "tier", "handler"]
CHANGES: Final[tuple[Change, ...]] = ("state", "answer", "intent", "tier", "handler")
"""The aspects that may differ, the most important first."""

Rules = Mapping[tuple[str, str], Agree]
"""By tier and handler, the rule that compares two answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventEnd:
    """The end of one event in one run. None is unknown.

    `route` is the tier and handler that it was first sent to, empty for none. `usd` is its cost if live, `seconds` the
    model time until the outcome, `refusals` the classes of all refusals.
    """

    state: str
    tier: str
    handler: str
    intent: str
    answer: str | None
    reasons: tuple[str, ...] = ()
    route: tuple[str, str] = ("", "")
    usd: Decimal | None = None
    seconds: float | None = None
    escalated_for: str | None = None
    refusals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPair:
    """One event in both runs, with its labels, if any.

    Events of one task share `task`; it is empty if the task is unknown. `judged` are answers to the event that a panel
    judged, if panels are the source of truth; then labels do not count.
    """

    event_id: str
    text: str
    a: EventEnd
    b: EventEnd
    label: str | None = None
    intent_label: str | None = None
    task: str = ""
    judged: tuple[JudgedAnswer, ...] = ()

    def content(self, *more: object) -> str:
        """Return an id that events of one task share if they ended alike, so that they count once as evidence."""
        ends = (part for one in (self.a, self.b) for part in (one.state, one.tier, one.handler, one.answer))
        return digest("pair", self.task or self.event_id, *ends, *map(str, more))


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedEvent:
    """A compared pair.

    `changes` is empty if both ends are alike. `right` says whether A and B answered rightly; None without a label, or
    if that cannot be known. `not_graded`: a label or a judgement exists, but not about this answer. `hidden`: redaction
    hid a part of an answer, so different answers may look equal.
    """

    pair: EventPair
    changes: tuple[Change, ...]
    right: tuple[bool, bool] | None
    right_intent: tuple[bool, bool] | None
    not_graded: bool = False
    hidden: bool = False

    @property
    def at_stake(self) -> bool:
        """True if the event needs an answer: not if both runs ignored it or took it for a duplicate."""
        return self.right is not None or not {self.pair.a.state, self.pair.b.state} <= {"ignored", "duplicate"}

    @property
    def disputed(self) -> bool:
        """True if one run's answer may be better than the other's."""
        return "answer" in self.changes or (self.right is not None and self.right[0] != self.right[1])

    @property
    def disputed_intent(self) -> bool:
        """True if one run's intent may be better than the other's."""
        return "intent" in self.changes or (self.right_intent is not None and len(set(self.right_intent)) == 2)

    @property
    def rank(self) -> tuple[int, Decimal, str]:
        """Sort key, the most important first: only one run right by a label, then by the change, then by cost."""
        decided = self.right is not None and self.right[0] != self.right[1]
        rank = -1 if decided else min((CHANGES.index(change) for change in self.changes), default=len(CHANGES))
        return rank, -abs((self.pair.b.usd or Decimal(0)) - (self.pair.a.usd or Decimal(0))), self.pair.event_id


def judge(pair: EventPair, rules: Rules, markers: Markers = USUAL_MARKERS) -> ComparedEvent:
    """Compare both ends of an event, their answers by the rules of the handlers involved in either run."""
    own = [rules[name] for name in sorted({*_way(pair.a), *_way(pair.b)}) if name in rules]
    differs = {name: getattr(pair.a, name) != getattr(pair.b, name) for name in CHANGES}
    differs["answer"] = not same(pair.a.answer, pair.b.answer, own)
    right = _both(_right(pair.a, pair, own, markers), _right(pair.b, pair, own, markers))
    return ComparedEvent(
        pair=pair,
        changes=tuple(name for name in CHANGES if differs[name]),
        right=right,
        not_graded=(pair.label is not None or bool(pair.judged)) and right is None,
        hidden=markers.hide(pair.a.answer, pair.b.answer),
        right_intent=None
        if pair.intent_label is None
        else (_means(pair.a.intent, pair.intent_label), _means(pair.b.intent, pair.intent_label)),
    )


def _right(end: EventEnd, pair: EventPair, rules: list[Agree], markers: Markers) -> bool | None:
    """Return whether one end is right, by the panel's verdict or by the label; None if unknown."""
    if pair.judged:
        return judged_rightly(end, pair.judged, rules)
    return None if pair.label is None else answers_rightly(end, pair.label, rules, markers)


def judged_rightly(end: EventEnd, judged: Sequence[JudgedAnswer], rules: list[Agree]) -> bool | None:
    """Return a panel's verdict on an answer like this one; False without an answer, None if none was judged."""
    if end.answer is None:
        return False
    found = {one.right for one in judged if one.answer is not None and same(end.answer, one.answer, rules)}
    return found.pop() if len(found) == 1 else None


def _way(end: EventEnd) -> tuple[tuple[str, str], tuple[str, str]]:
    return (end.tier, end.handler), end.route


def same(one: str | None, other: str | None, rules: list[Agree]) -> bool:
    """True if two answers agree: as canonical JSON, or by one of the rules with either as the truth."""
    if one is None or other is None or one == other:
        return one == other
    x, y = value_of(one), value_of(other)
    return same_json(x, y) or any(rule(x, y) or rule(y, x) for rule in rules)


def answers_rightly(end: EventEnd, label: str, rules: list[Agree], markers: Markers = USUAL_MARKERS) -> bool | None:
    """Return whether an answer agrees with its label; False without an answer.

    None if redaction hid a part that decides, or if by no rule the label can be an answer.
    """
    if end.answer is None:
        return False
    found = {Grader(agree=rule, markers=markers)(end.answer, label) for rule in (rules or [Comparison()])}
    if "right" in found or same_json(value_of(end.answer), value_of(label)):
        return None if "hidden" in found and "right" not in found else True
    return False if "wrong" in found else None


def _both(a: bool | None, b: bool | None) -> tuple[bool, bool] | None:
    return None if a is None or b is None else (a, b)


def _means(intent: str, label: str) -> bool:
    return label.strip() == intent or value_of(label) == intent


def tally(right: tuple[bool, bool]) -> Paired:
    a, b = right
    return Paired(both=int(a and b), only_a=int(a and not b), only_b=int(b and not a), neither=int(not (a or b)))
