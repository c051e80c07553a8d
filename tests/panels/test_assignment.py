"""The rules of assignment, by examples and by random courses of a panel."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from streams.core.messages import Judgement, Panel, PanelCase, Reservation
from streams.panels.assignment import REPEAT_GAP, RESERVATION_TIME, Assigner
from tests.builders import START
from tests.harness.panel_site import RUBRIC
from tests.harness.panels import case, panel, said, skipped

NOON = START + timedelta(days=9)
EVERYTHING = {f"c{number}" for number in range(100)}


def minutes(number: float) -> datetime:
    return NOON + timedelta(minutes=number)


def assigner(*cases: PanelCase, gold: float = 0, repeats: float = 0, raters_per_case: int = 1, **more: Any) -> Assigner:
    """The assigner of a panel with one question."""
    made = Assigner()
    made.apply(panel(rubric=RUBRIC.format(gold=gold, repeats=repeats), raters_per_case=raters_per_case, **more))
    for one in cases:
        made.apply(one)
    return made


def give(made: Assigner, judge: str, now: datetime) -> str:
    """Reserve the next case of a rater and return its id; empty without one."""
    found = made.next_case(judge, now, EVERYTHING)
    if found is None:
        return ""
    made.apply(made.reservation(found, judge, now))
    return found.case_id


def judge(made: Assigner, who: str, case_id: str, now: datetime) -> None:
    made.apply(said(case_id, who, "yes", judged_at=now))


def test_cases_are_given_in_the_order_of_the_draw() -> None:
    made = assigner(case(3), case(1), case(2))
    given = []
    for number in range(3):
        given.append(give(made, "anna", minutes(number)))
        judge(made, "anna", given[-1], minutes(number + 0.5))
    assert given == ["c1", "c2", "c3"]
    assert give(made, "anna", minutes(9)) == ""


def test_a_case_is_reserved_for_ten_minutes() -> None:
    made = assigner(case(1))
    assert give(made, "anna", NOON) == "c1"
    assert give(made, "ben", minutes(9.9)) == ""
    assert made.waits_for_others("ben", set())
    assert not made.waits_for_others("ben", {"c1"})
    assert give(made, "ben", minutes(10)) == "c1"


def test_a_rater_who_comes_back_gets_the_open_case_again() -> None:
    made = assigner(case(1), case(2))
    assert give(made, "anna", NOON) == "c1"
    assert give(made, "anna", minutes(3)) == "c1"
    held = made.board.latest["anna"]
    assert (held.reserved_at, held.expires_at) == (NOON, minutes(3) + RESERVATION_TIME)


def test_a_released_case_is_free_at_once() -> None:
    made = assigner(case(1))
    give(made, "anna", NOON)
    released = made.release("anna", minutes(1))
    assert released is not None
    made.apply(released)
    assert give(made, "ben", minutes(1)) == "c1"


def test_a_case_goes_to_as_many_raters_as_asked_for() -> None:
    made = assigner(case(1), raters_per_case=2)
    assert [give(made, name, NOON) for name in ("anna", "ben", "cleo")] == ["c1", "c1", ""]


def test_a_skip_takes_a_place_and_a_skipped_case_does_not_come_back() -> None:
    made = assigner(case(1), case(2), raters_per_case=2)
    give(made, "anna", NOON)
    made.apply(skipped("c1", "anna", judged_at=minutes(1)))
    assert give(made, "anna", minutes(2)) == "c2"
    give(made, "ben", minutes(2))
    judge(made, "ben", "c1", minutes(3))
    assert give(made, "cleo", minutes(4)) == "c2"


def test_a_judgement_with_a_question_missing_takes_no_place() -> None:
    made = assigner(case(1), rubric_id="two")
    made.apply(
        replace(panel(), updated_at=minutes(1), raters_per_case=1)
    )  # its rubric has two questions about an answer
    give(made, "anna", minutes(2))
    judge(made, "anna", "c1", minutes(3))
    assert not made.is_ended("c1", "anna")
    made.apply(said("c1", "anna", "1", "tone", judged_at=minutes(3)))
    assert made.is_ended("c1", "anna")


def test_a_late_judgement_is_admitted_only_while_there_is_a_place() -> None:
    made = assigner(case(1))
    give(made, "anna", NOON)
    assert made.admission("c1", "anna", minutes(11)) == "admitted"
    give(made, "ben", minutes(11))
    assert made.admission("c1", "anna", minutes(12)) == "taken"
    assert made.admission("c1", "ben", minutes(12)) == "admitted"


def test_a_case_that_a_rater_never_got_is_unknown() -> None:
    made = assigner(case(1))
    assert made.admission("c1", "anna", NOON) == made.admission("none", "anna", NOON) == "unknown"


def test_undo_goes_back_one_case_at_a_time_and_then_forward_again() -> None:
    made = assigner(*(case(number) for number in range(1, 5)))
    for number in range(1, 4):
        judge(made, "anna", give(made, "anna", minutes(number)), minutes(number + 0.5))
    give(made, "anna", minutes(4))
    opened = []
    for number in (5, 6):
        before = made.previous("anna", minutes(number))
        assert before is not None
        made.apply(made.reservation(before, "anna", minutes(number)))
        opened.append(before.case_id)
    assert opened == ["c3", "c2"]
    judge(made, "anna", "c2", minutes(7))
    assert give(made, "anna", minutes(8)) == "c4"


def test_a_paused_panel_gives_no_new_case() -> None:
    made = assigner(case(1), state="paused")
    assert give(made, "anna", NOON) == ""


def test_an_unreadable_case_is_not_given() -> None:
    made = assigner(case(1), case(2))
    found = made.next_case("anna", NOON, {"c2"})
    assert found is not None
    assert found.case_id == "c2"


def test_a_rater_has_left_the_readable_cases_with_a_place_that_they_have_not_judged() -> None:
    made = assigner(*(case(number) for number in range(1, 6)), raters_per_case=2)
    judge(made, "anna", give(made, "anna", NOON), minutes(1))
    judge(made, "ben", give(made, "ben", NOON), minutes(1))
    judge(made, "ben", give(made, "ben", minutes(2)), minutes(3))
    assert made.counts("anna", set()) == (1, 4, 30.0)
    assert made.counts("ben", {"c1", "c5"}) == (2, 2, 60.0)


def test_the_progress_does_not_reveal_gold_cases_and_repeats() -> None:
    checks = [case(number, purpose="gold", expected="yes") for number in range(21, 26)]
    checks += [case(number, purpose="repeat", repeats=f"c{number - 30}") for number in range(31, 36)]
    drawn = [case(number) for number in range(1, 21)]
    made = assigner(*drawn, *(replace(one, position=0) for one in checks), gold=0.2, repeats=0.2)
    totals = []
    for number in range(24):
        done, left, _ = made.counts("anna", set())
        totals.append(done + left)
        judge(made, "anna", give(made, "anna", minutes(number)), minutes(number + 0.5))
    assert len(set(totals)) == 1


def test_cases_for_a_model_are_not_given_to_people() -> None:
    assert give(assigner(case(1, purpose="judge")), "anna", NOON) == ""


def course(made: Assigner, who: str, count: int, begin: float = 0) -> list[str]:
    """Let a rater judge some cases, and return their ids."""
    given: list[str] = []
    for number in range(count):
        case_id = give(made, who, minutes(begin + number))
        if case_id:
            judge(made, who, case_id, minutes(begin + number + 0.5))
            given.append(case_id)
    return given


def test_every_rater_gets_gold_cases_by_their_share() -> None:
    drawn = [case(number) for number in range(1, 41)]
    gold = [case(number, purpose="gold", expected="yes") for number in range(41, 49)]
    gold = [replace(one, position=0) for one in gold]
    made = assigner(*drawn, *gold, gold=0.2, raters_per_case=2)
    for name in ("anna", "ben"):
        given = course(made, name, 24)
        assert sum(one in {case.case_id for case in gold} for one in given) in (3, 4, 5)
        assert given[0] == "c1"


def test_a_repeat_comes_after_at_least_three_other_cases() -> None:
    repeats = [
        replace(case(number, purpose="repeat", repeats=f"c{number - 20}"), position=0) for number in range(21, 26)
    ]
    made = assigner(*(case(number) for number in range(1, 21)), *repeats, repeats=0.25)
    given = course(made, "anna", 25)
    shown = [one.case_id for one in repeats if one.case_id in given]
    assert len(shown) >= 3
    for one in repeats:
        if one.case_id in given:
            assert given.index(one.case_id) - given.index(one.repeats) > REPEAT_GAP


def test_a_repeat_goes_only_to_a_rater_of_the_first_showing() -> None:
    repeat = replace(case(21, purpose="repeat", repeats="c1"), position=0)
    made = assigner(*(case(number) for number in range(1, 21)), repeat, repeats=0.5)
    assert "c21" in course(made, "anna", 8)
    assert "c21" not in course(made, "ben", 8, begin=20)


def test_messages_in_any_order_and_twice_make_the_same_state() -> None:
    made = assigner(*(case(number) for number in range(1, 9)))
    messages: list[Any] = [made.panel, *made.board.cases.values()]
    for number in range(12):
        who = ("anna", "ben", "cleo")[number % 3]
        case_id = give(made, who, minutes(number))
        if case_id:
            messages.append(made.board.latest[who])
            messages.append(said(case_id, who, "yes", judged_at=minutes(number + 0.5)))
            made.apply(messages[-1])
    shuffled = messages * 2
    random.Random(5).shuffle(shuffled)
    other = Assigner()
    for message in shuffled:
        other.apply(message)
    for who in ("anna", "ben", "cleo", "dora"):
        assert other.next_case(who, minutes(30), EVERYTHING) == made.next_case(who, minutes(30), EVERYTHING)
        assert other.counts(who, {"c2"}) == made.counts(who, {"c2"})


class PanelCourse(RuleBasedStateMachine):
    """Raters who open, judge, skip, undo, leave and come back; a restart that reads the messages again."""

    raters = ("anna", "ben", "cleo")

    @initialize(raters_per_case=st.integers(1, 3))
    def begin(self, raters_per_case: int) -> None:
        """Make a panel of six cases."""
        self.now = NOON
        self.messages: list[Panel | PanelCase | Judgement | Reservation] = [
            panel(rubric=RUBRIC.format(gold=0.3, repeats=0.3), raters_per_case=raters_per_case),
            *(case(number) for number in range(1, 7)),
            replace(case(7, purpose="gold", expected="yes"), position=0),
            replace(case(8, purpose="repeat", repeats="c1"), position=0),
        ]
        self.restart()

    @rule()
    def restart(self) -> None:
        """Read all messages again, in another order."""
        self.made = Assigner()
        for message in random.Random(len(self.messages)).sample(self.messages, len(self.messages)):
            self.made.apply(message)

    @rule(who=st.sampled_from(raters))
    def open(self, who: str) -> None:
        """Give a rater a case: never one that they have judged, unless it is open again."""
        opened = self.made.open_case(who, self.now)
        found = self.made.next_case(who, self.now, EVERYTHING)
        if found is not None:
            assert found == opened or not self.made.is_ended(found.case_id, who)
            self.put(self.made.reservation(found, who, self.now))

    @rule(who=st.sampled_from(raters), skip=st.booleans())
    def judge(self, who: str, skip: bool) -> None:
        """Judge the case that was given last, however late."""
        held = self.made.board.latest.get(who)
        if held is not None and self.made.admission(held.case_id, who, self.now) == "admitted":
            kind = skipped(held.case_id, who) if skip else said(held.case_id, who, "yes")
            self.put(replace(kind, judged_at=self.now))

    @rule(who=st.sampled_from(raters))
    def undo(self, who: str) -> None:
        """Open the previous case again."""
        found = self.made.previous(who, self.now)
        if found is not None:
            self.put(self.made.reservation(found, who, self.now))

    @rule(who=st.sampled_from(raters))
    def leave(self, who: str) -> None:
        """Give the open case back."""
        released = self.made.release(who, self.now)
        if released is not None:
            self.put(released)

    @rule(seconds=st.sampled_from([20, 400, 700]))
    def wait(self, seconds: int) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)

    @invariant()
    def no_case_has_more_raters_than_asked_for(self) -> None:
        """No case has more judgements and reservations than places."""
        for case_id, one in self.made.board.cases.items():
            if one.purpose == "sample":
                raters = {who for who in self.raters if self.made.is_ended(case_id, who)}
                assert len(raters) <= self.made.panel.raters_per_case

    def put(self, message: Judgement | Reservation) -> None:
        self.now += timedelta(seconds=1)
        self.messages.append(message)
        self.made.apply(message)


PanelCourse.TestCase.settings = settings(max_examples=60, stateful_step_count=30)
TestPanelCourse = PanelCourse.TestCase
