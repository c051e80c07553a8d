"""The next case of a rater, by rules that any process derives from the same messages.

- Drawn cases are given in the order of the draw, none twice to one rater. A case is offered while fewer than
  `raters_per_case` others have judged or skipped it or hold a reservation.
- Gold cases are mixed in by the rubric's share, and go to every rater.
- A repeat goes to a rater who judged the case that it repeats, after at least REPEAT_GAP others.
- A rater's open case is the one of the latest reservation, until it ends or the rater judges the case after it began.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Set
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final, Literal

from streams.core.fingerprint import draw
from streams.core.messages import CasePurpose, Judgement, Panel, PanelCase, Reservation
from streams.panels.board import Board, Ratings, VerdictKey
from streams.panels.rubric import Rubric, read_rubric

RESERVATION_TIME: Final = timedelta(minutes=10)
REPEAT_GAP: Final = 3
TICK: Final = timedelta(microseconds=1)
Admission = Literal["admitted", "unknown", "taken"]
"""`unknown`: the case was never given to this rater. `taken`: it has all its raters."""
rubric_of = lru_cache(maxsize=64)(read_rubric)


def required(rubric: Rubric, case: PanelCase) -> frozenset[VerdictKey]:
    """Return the questions and options that a complete judgement of a case answers."""
    options = [answer.option for answer in case.answers]
    asked: set[VerdictKey] = set()
    for question in rubric.questions:
        if question.type != "pick":
            asked |= {(question.name, option) for option in options}
        elif len(options) > 1:
            asked.add((question.name, ""))
    return frozenset(asked)


class Assigner:
    """Chooses the cases of one panel's raters. Times are given, so that nothing here reads a clock."""

    def __init__(self) -> None:
        self.board = Board()
        self._ended: defaultdict[str, set[str]] = defaultdict(set)
        """By case, the raters who have judged or skipped it."""
        self._ended_by: defaultdict[str, dict[str, datetime]] = defaultdict(dict)
        """By rater, the cases that they have judged or skipped, with the time."""
        self._checking: dict[CasePurpose, list[PanelCase]] = {}
        self._open: dict[str, PanelCase] = {}
        """The drawn cases that do not have all their raters yet, in the order of the draw."""
        self._stale = True

    @property
    def panel(self) -> Panel:
        """The panel's latest message, which must have come."""
        if self.board.panel is None:
            raise LookupError("the panel's message has not come yet")
        return self.board.panel

    @property
    def rubric(self) -> Rubric:
        """The panel's rubric."""
        return rubric_of(self.panel.rubric)

    def apply(self, message: Panel | PanelCase | Judgement | Reservation) -> None:
        """Add one message of the panel, in any order."""
        known = self.board.panel
        self.board.apply(message)
        match message:
            case Panel():
                self._stale = self._stale or known is None
            case PanelCase():
                self._stale = True
            case Judgement() if not self._stale and message.judge_kind == "person":
                self._note(message.case_id, message.judge)

    # ---- Cases ----

    def open_case(self, judge: str, now: datetime) -> PanelCase | None:
        """Return the case that a rater has open: reserved, and not judged since."""
        held = self.board.latest.get(judge)
        if held is None or held.expires_at <= now or held.case_id not in self.board.cases:
            return None
        ended_at = self._index().get(judge, {}).get(held.case_id)
        return None if ended_at is not None and ended_at >= held.reserved_at else self.board.cases[held.case_id]

    def next_case(self, judge: str, now: datetime, readable: Collection[str]) -> PanelCase | None:
        """Return the case to reserve next for a rater; None without any. `readable` has the cases with a content."""
        if (found := self.open_case(judge, now)) is not None and found.case_id in readable:
            return found
        if self.panel.state != "open":
            return None
        sample = next((case for case in self._offered(judge, now) if case.case_id in readable), None)
        check = next((case for case in self._checks(judge) if case.case_id in readable), None)
        return check or sample

    def waits_for_others(self, judge: str, unreadable: Collection[str]) -> bool:
        """True if a rater could get a case if the other raters had none open. `unreadable` has cases never shown."""
        ended = self._index().get(judge, {})
        return any(case_id not in unreadable and case_id not in ended for case_id in self._open)

    def previous(self, judge: str, now: datetime) -> PanelCase | None:
        """Return the case that a rater judged last, or before the one that is open again; None without any."""
        ended = self._index().get(judge, {})
        opened = self.open_case(judge, now)
        before = ended.get(opened.case_id) if opened is not None else None
        times = [(at, case_id) for case_id, at in ended.items() if before is None or at < before]
        return self.board.cases[max(times)[1]] if times else None

    def admission(self, case_id: str, judge: str, now: datetime) -> Admission:
        """Say whether a rater may judge a case now. Judging again is always admitted."""
        case = self.board.cases.get(case_id)
        if case is None or case_id not in self.board.shown.get(judge, ()):
            return "unknown"
        if case.purpose != "sample" or case_id in self._index().get(judge, {}):
            return "admitted"
        return "admitted" if self._places(case, judge, now) else "taken"

    def counts(self, judge: str, unreadable: Set[str]) -> tuple[int, int, float]:
        """Return a rater's judged cases, those that may still come, and the seconds of the judged ones.

        What may come includes gold cases and repeats: otherwise the count would reveal them.
        """
        ended = self._index().get(judge, {})
        drawn = self._open.keys() - ended.keys() - unreadable
        left = len(drawn) + self._checks_left(judge, drawn, unreadable)
        return len(ended), left, sum(seconds_of(self.board.ratings[case_id][judge]) for case_id in ended)

    def is_ended(self, case_id: str, judge: str) -> bool:
        """True if a rater has judged or skipped a case."""
        return case_id in self._index().get(judge, {})

    # ---- Reservations ----

    def reservation(self, case: PanelCase, judge: str, now: datetime) -> Reservation:
        """Return a reservation from now on, or the extension of the one that is open."""
        held = self.board.latest.get(judge)
        opened = self.open_case(judge, now)
        if held is not None and opened is not None and opened.case_id == case.case_id:
            return replace(held, expires_at=max(held.expires_at, now + RESERVATION_TIME))
        reserved_at, expires_at = self.time_of(judge, now), now + RESERVATION_TIME
        return Reservation(
            panel=case.panel, case_id=case.case_id, judge=judge, reserved_at=reserved_at, expires_at=expires_at
        )

    def release(self, judge: str, now: datetime) -> Reservation | None:
        """Return the message that gives a rater's open case back; None without an open case."""
        opened = self.open_case(judge, now)
        if opened is None:
            return None
        reserved_at = self.time_of(judge, now)
        return Reservation(
            panel=opened.panel, case_id=opened.case_id, judge=judge, reserved_at=reserved_at, expires_at=now
        )

    def time_of(self, judge: str, now: datetime) -> datetime:
        """Return the time of what a rater does now: after all that they did before, also if the clock was set back."""
        held = self.board.latest.get(judge)
        before = [*self._index().get(judge, {}).values(), *([held.reserved_at] if held is not None else [])]
        return max([now, *(time + TICK for time in before)])

    # ---- Rules ----

    def _offered(self, judge: str, now: datetime) -> Iterator[PanelCase]:
        """Yield the drawn cases that have a place for a rater, in the order of the draw."""
        ended = self._index().get(judge, {})
        for case_id, case in self._open.items():
            if case_id not in ended and self._places(case, judge, now) > 0:
                yield case

    def _checks(self, judge: str) -> Iterator[PanelCase]:
        """Yield the gold cases and the repeats of which one is due for a rater."""
        ended = self._index().get(judge, {})
        judged = [self.board.cases[case_id] for case_id in sorted(ended, key=ended.__getitem__)]
        drawn = sum(case.purpose == "sample" for case in judged)
        settled = {case.case_id for case in judged[:-REPEAT_GAP]}
        shares: dict[CasePurpose, float] = {"gold": self.rubric.gold, "repeat": self.rubric.repeats}
        for purpose, share in shares.items():
            given = sum(case.purpose == purpose for case in judged)
            if given < self._due(purpose, share, judge, drawn):
                possible = (case for case in self._checking[purpose] if case.case_id not in ended)
                yield from (case for case in possible if purpose == "gold" or case.repeats in settled)

    def _checks_left(self, judge: str, drawn: Set[str], unreadable: Set[str]) -> int:
        """Return the gold cases and repeats that a rater gets while judging the drawn cases that may still come."""
        ended = self._index().get(judge, {})
        judged = Counter(self.board.cases[case_id].purpose for case_id in ended)
        shares: dict[CasePurpose, float] = {"gold": self.rubric.gold, "repeat": self.rubric.repeats}
        left = 0
        for purpose, share in shares.items():
            due = self._due(purpose, share, judge, judged["sample"] + len(drawn)) - judged[purpose]
            rest = (
                one for one in self._checking[purpose] if one.case_id not in ended and one.case_id not in unreadable
            )
            possible = sum(one.purpose == "gold" or one.repeats in ended or one.repeats in drawn for one in rest)
            left += max(0, min(due, possible))
        return left

    def _due(self, purpose: CasePurpose, share: float, judge: str, drawn: int) -> int:
        """Return how many checks are due after some drawn cases: one at a random place of each stretch of 1 / share."""
        whole = int(drawn * share)
        place = whole + draw(self.panel.panel, self.panel.seed, purpose, judge, whole)
        return whole + (share > 0 and place <= drawn * share)

    def _places(self, case: PanelCase, judge: str, now: datetime) -> int:
        """Return the places of a drawn case that other raters have left for this one."""
        ended = self._ended.get(case.case_id, set())
        holding = {
            other
            for other in self.board.holders.get(case.case_id, ())
            if other not in ended and self.board.latest[other].expires_at > now
        }
        return self.panel.raters_per_case - len((ended | holding) - {judge})

    # ---- Index ----

    def _index(self) -> dict[str, dict[str, datetime]]:
        """Return the ended cases by rater, after bringing the index up to date."""
        if self._stale:
            self._ended.clear()
            self._ended_by.clear()
            ordered = sorted(self.board.cases.values(), key=lambda case: (case.position, case.case_id))
            self._open = {case.case_id: case for case in ordered if case.purpose == "sample"}
            self._checking = {
                purpose: [case for case in ordered if case.purpose == purpose] for purpose in ("gold", "repeat")
            }
            self._stale = False
            for case_id, raters in self.board.ratings.items():
                for judge in raters:
                    self._note(case_id, judge)
        return self._ended_by

    def _note(self, case_id: str, judge: str) -> None:
        """Note that a rater has judged a case, if the judgement is complete."""
        case, said = self.board.cases.get(case_id), self.board.of(case_id, judge)
        if case is None or said is None:
            return
        if said.skipped or required(self.rubric, case) <= said.verdicts.keys():
            self._ended[case_id].add(judge)
            self._ended_by[judge][case_id] = said.ended_at
            if len(self._ended[case_id]) >= self.panel.raters_per_case:
                self._open.pop(case_id, None)


def seconds_of(said: Ratings) -> float:
    """Return the seconds that a rater spent on a case, by the latest judgement of it."""
    latest = max(
        (one for one in (*said.verdicts.values(), said.skip) if one is not None), key=lambda one: one.judged_at
    )
    return latest.seconds or 0.0
