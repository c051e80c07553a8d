"""The state of one panel in memory, from its messages in any order.

A message that comes twice changes nothing. Of two about the same thing the later one counts: by `updated_at` for the
panel, by `judged_at` for a judgement, by `reserved_at` and then `expires_at` for a reservation.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from streams.core.messages import Judgement, Panel, PanelCase, Reservation

VerdictKey = tuple[str, str]
"""Question and option."""


@dataclass(slots=True)
class Ratings:
    """All judgements of one person about one case: the latest of each question and option, and of skipping."""

    verdicts: dict[VerdictKey, Judgement] = field(default_factory=dict)
    skip: Judgement | None = None

    def add(self, judgement: Judgement) -> None:
        """Keep a judgement unless a later one of the same kind, question and option is known."""
        if judgement.kind == "skip":
            self.skip = _later(self.skip, judgement)
        else:
            key = judgement.question, judgement.option
            self.verdicts[key] = _later(self.verdicts.get(key), judgement)

    @property
    def rated_at(self) -> datetime | None:
        """The time of the latest verdict; None without any."""
        return max((one.judged_at for one in self.verdicts.values()), default=None)

    @property
    def skipped(self) -> bool:
        """True if the case was skipped, and not judged later."""
        if self.skip is None:
            return False
        return self.rated_at is None or self.skip.judged_at > self.rated_at

    @property
    def ended_at(self) -> datetime:
        """The time of the latest judgement, verdict or skip."""
        return max(one.judged_at for one in (*self.verdicts.values(), self.skip) if one is not None)


def _later(known: Judgement | None, new: Judgement) -> Judgement:
    return new if known is None or new.judged_at >= known.judged_at else known


@dataclass(slots=True)
class Board:
    """One panel with its cases, judgements of people, and reservations."""

    panel: Panel | None = None
    """None until the panel's own message has come."""
    cases: dict[str, PanelCase] = field(default_factory=dict)
    ratings: defaultdict[str, dict[str, Ratings]] = field(default_factory=lambda: defaultdict(dict))
    """By case, then by rater."""
    decisions: defaultdict[str, Ratings] = field(default_factory=lambda: defaultdict(Ratings))
    """By case, the adjudicator's."""
    judgements: dict[tuple[str, ...], Judgement] = field(default_factory=dict)
    """The latest of each case, judge, kind, question and option, of people and models."""
    latest: dict[str, Reservation] = field(default_factory=dict)
    """By rater, the latest reservation."""
    shown: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """By rater, every case that was ever reserved or judged."""
    holders: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """By case, the raters whose latest reservation it is."""

    def apply(self, message: Panel | PanelCase | Judgement | Reservation) -> None:
        """Add one message of this panel."""
        match message:
            case Panel():
                if self.panel is None or message.updated_at >= self.panel.updated_at:
                    self.panel = message
            case PanelCase():
                self.cases[message.case_id] = message
            case Judgement():
                self._judged(message)
            case Reservation():
                self._reserved(message)

    def of(self, case_id: str, judge: str) -> Ratings | None:
        """Return a rater's judgements about a case; None without any."""
        return self.ratings[case_id].get(judge) if case_id in self.ratings else None

    def _judged(self, one: Judgement) -> None:
        key = (one.case_id, one.judge, "adjudication" if one.kind == "adjudication" else "", one.question, one.option)
        known = self.judgements.get(key)
        if known is None or one.judged_at >= known.judged_at:
            self.judgements[key] = one
        if one.judge_kind != "person":
            return
        if one.kind == "adjudication":
            self.decisions[one.case_id].add(one)
            return
        self.ratings[one.case_id].setdefault(one.judge, Ratings()).add(one)
        self.shown[one.judge].add(one.case_id)

    def _reserved(self, one: Reservation) -> None:
        self.shown[one.judge].add(one.case_id)
        known = self.latest.get(one.judge)
        if known is not None and (known.reserved_at, known.expires_at) >= (one.reserved_at, one.expires_at):
            return
        if known is not None:
            self.holders[known.case_id].discard(one.judge)
        self.latest[one.judge] = one
        self.holders[one.case_id].add(one.judge)
