"""One event in two runs: how it ended in each, what of that differs, and which run was right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from streams.core.answer_comparison import Agree, Comparison, same_json, value_of
from streams.core.fingerprint import digest
from streams.core.grading import USUAL_MARKERS, Grader, Markers
from streams.evaluation.compare.paired_statistics import Paired

Aspect = Literal["answer", "intent"]
Change = Literal["state", "answer", "intent", "tier", "handler"]
CHANGES: Final[tuple[Change, ...]] = ("state", "answer", "intent", "tier", "handler")
"""What may differ, the most telling first."""

Rules = Mapping[tuple[str, str], Agree]
"""By tier and handler, when two answers say the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How one event ended in one run, and what it took. None is unknown."""

    state: str
    tier: str
    handler: str
    intent: str
    answer: str | None
    reasons: tuple[str, ...] = ()
    route: tuple[str, str] = ("", "")
    """Tier and handler that it was first sent to; empty where it was sent nowhere."""
    usd: Decimal | None = None
    """What it would cost live."""
    seconds: float | None = None
    """Of models, along its way to the outcome."""
    escalated_for: str | None = None
    refusals: tuple[str, ...] = ()
    """The classes of the refusals on its way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One event in both runs, with its truth where somebody told it."""

    event_id: str
    text: str
    a: End
    b: End
    label: str | None = None
    """The right answer."""
    intent_label: str | None = None
    task: str = ""
    """The same for events that are one task; empty where that is not known."""

    def content(self, *more: object) -> str:
        """The same for events that are one task and went alike: what they say of the runs is said once."""
        ends = (part for one in (self.a, self.b) for part in (one.state, one.tier, one.handler, one.answer))
        return digest("pair", self.task or self.event_id, *ends, *map(str, more))


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A pair, compared."""

    pair: Pair
    changes: tuple[Change, ...]
    """Empty where it ended alike."""
    right: tuple[bool, bool] | None
    """Whether A and B answered rightly; None without a label, or where that cannot be known."""
    right_intent: tuple[bool, bool] | None
    not_graded: bool = False
    """Whether there is a label that an answer cannot be compared with."""
    hidden: bool = False
    """Whether redaction hid a part of an answer, so that two different ones may look alike."""

    @property
    def at_stake(self) -> bool:
        """Whether an answer was looked for: what both runs ignored, or took for a duplicate, needs none."""
        return self.right is not None or not {self.pair.a.state, self.pair.b.state} <= {"ignored", "duplicate"}

    @property
    def disputed(self) -> bool:
        """Whether the runs' answers may be of different worth."""
        return "answer" in self.changes or (self.right is not None and self.right[0] != self.right[1])

    @property
    def disputed_intent(self) -> bool:
        """The same of the intents."""
        return "intent" in self.changes or (self.right_intent is not None and len(set(self.right_intent)) == 2)

    @property
    def telling(self) -> tuple[int, Decimal, str]:
        """Sorts the most telling first: by a label only one run was right, then by what changed, then by money."""
        told = self.right is not None and self.right[0] != self.right[1]
        rank = -1 if told else min((CHANGES.index(change) for change in self.changes), default=len(CHANGES))
        return rank, -abs((self.pair.b.usd or Decimal(0)) - (self.pair.a.usd or Decimal(0))), self.pair.event_id


def judge(pair: Pair, rules: Rules, markers: Markers = USUAL_MARKERS) -> Judged:
    """Compare both ends of an event, their answers by the rules of the handlers on its way in either run."""
    own = [rules[name] for name in sorted({*_way(pair.a), *_way(pair.b)}) if name in rules]
    differs = {name: getattr(pair.a, name) != getattr(pair.b, name) for name in CHANGES}
    differs["answer"] = not same(pair.a.answer, pair.b.answer, own)
    right = None if pair.label is None else _both(*(says(one, pair.label, own, markers) for one in (pair.a, pair.b)))
    return Judged(
        pair=pair,
        changes=tuple(name for name in CHANGES if differs[name]),
        right=right,
        not_graded=pair.label is not None and right is None,
        hidden=markers.hide(pair.a.answer, pair.b.answer),
        right_intent=None
        if pair.intent_label is None
        else (_means(pair.a.intent, pair.intent_label), _means(pair.b.intent, pair.intent_label)),
    )


def _way(end: End) -> tuple[tuple[str, str], tuple[str, str]]:
    return (end.tier, end.handler), end.route


def same(one: str | None, other: str | None, rules: list[Agree]) -> bool:
    """Whether two answers say the same: as canonical JSON, or by one of the rules, either taken for the truth."""
    if one is None or other is None or one == other:
        return one == other
    x, y = value_of(one), value_of(other)
    return same_json(x, y) or any(rule(x, y) or rule(y, x) for rule in rules)


def says(end: End, label: str, rules: list[Agree], markers: Markers = USUAL_MARKERS) -> bool | None:
    """Whether an answer says what its label says; what was not answered does not.

    None where redaction hid a part that decides, or where by no rule an answer could be like that label.
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
    """One labelled event as a table of pairs."""
    a, b = right
    return Paired(both=int(a and b), only_a=int(a and not b), only_b=int(b and not a), neither=int(not (a or b)))
