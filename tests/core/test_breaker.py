"""The circuit breaker: when it opens, how long it rests, and what a trial decides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.breaker import TRANSITIONS, Breaker, BreakerPolicy, Sign, State

POLICY = BreakerPolicy(latest=10, least=5, share=0.8, rest=2.0, longest_rest=10.0, trial_wait=1.0)


def calls(breaker: Breaker, failed: Sequence[bool], now: float = 0.0) -> None:
    """Calls one after another, each failed or answered."""
    for one in failed:
        permit = breaker.enter()
        breaker.failed(permit, now) if one else breaker.answered(permit)


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker(POLICY)
    calls(breaker, [True] * 5, now)
    assert breaker.state == "open"
    return breaker


def test_the_table_leads_from_every_state_to_another_one() -> None:
    states = set(get_args(State))
    assert {state for state, _ in TRANSITIONS} == set(TRANSITIONS.values()) == states
    assert {sign for _, sign in TRANSITIONS} == set(get_args(Sign))
    assert all(after != before for (before, _), after in TRANSITIONS.items())


@pytest.mark.parametrize(
    ("failed", "state"),
    [
        ([True] * 4, "closed"),
        ([True] * 5, "open"),
        ([False] + [True] * 4, "open"),
        ([False] * 2 + [True] * 3, "closed"),
        ([False] * 2 + [True] * 7, "closed"),
        ([False] * 2 + [True] * 8, "open"),
        ([False] * 20 + [True] * 7, "closed"),
        ([False] * 20 + [True] * 8, "open"),
    ],
)
def test_it_opens_when_most_of_the_latest_calls_failed_and_there_were_enough(failed: list[bool], state: str) -> None:
    breaker = Breaker(POLICY)
    calls(breaker, failed)
    assert breaker.state == state


@pytest.mark.parametrize(("failing", "state"), [(10, "closed"), (20, "open")])
def test_failures_that_come_back_before_the_answers_do_not_open_it(failing: int, state: State) -> None:
    breaker = Breaker(POLICY)
    under_way = [breaker.enter() for _ in range(20)]
    step = 20 // failing
    for permit in under_way[::step]:
        breaker.failed(permit, 0.0)
    assert breaker.state == state


def test_calls_that_begin_as_others_fail_do_not_keep_it_closed() -> None:
    breaker = Breaker(POLICY)
    under_way = [breaker.enter() for _ in range(20)]
    for _ in range(5):
        breaker.failed(under_way.pop(0), 0.0)
        under_way.append(breaker.enter())
    assert breaker.state == "open"


def test_a_call_that_is_cut_off_counts_as_none() -> None:
    breaker = Breaker(POLICY)
    for _ in range(50):
        breaker.abandoned(breaker.enter())
    calls(breaker, [True] * 4)
    assert breaker.wait(0.0) == 0
    calls(breaker, [True])
    assert breaker.wait(0.0) > 0


def test_while_it_rests_no_call_is_made_and_then_one_is() -> None:
    breaker = opened(now=100.0)
    assert breaker.wait(100.0) == 2.0
    assert breaker.wait(101.5) == 0.5
    assert breaker.wait(102.0) == 0.0
    breaker.enter()
    assert breaker.state == "half-open"
    assert breaker.wait(102.0) == breaker.wait(200.0) == POLICY.trial_wait


def test_an_answered_trial_closes_it_and_the_failures_before_are_forgotten() -> None:
    breaker = opened()
    assert breaker.wait(2.0) == 0
    breaker.answered(breaker.enter())
    assert (breaker.state, breaker.wait(2.0)) == ("closed", 0.0)
    calls(breaker, [True] * 4)
    assert breaker.state == "closed"


def test_each_failed_trial_doubles_the_rest_up_to_its_limit() -> None:
    breaker, now, rests = opened(), 0.0, []
    for _ in range(5):
        rests.append(breaker.wait(now))
        now += rests[-1]
        assert breaker.wait(now) == 0
        breaker.failed(breaker.enter(), now)
    assert rests == [2.0, 4.0, 8.0, 10.0, 10.0]


def test_after_an_answered_trial_the_rests_are_short_again() -> None:
    breaker = opened()
    assert breaker.wait(2.0) == 0
    breaker.failed(breaker.enter(), 2.0)
    assert breaker.wait(6.0) == 0
    breaker.answered(breaker.enter())
    calls(breaker, [True] * 5, 6.0)
    assert breaker.wait(6.0) == POLICY.rest


@pytest.mark.parametrize("late", ["answered", "failed"])
def test_calls_from_before_it_opened_decide_nothing(late: str) -> None:
    breaker = Breaker(POLICY)
    old = breaker.enter()
    calls(breaker, [True] * 4)  # four of five calls
    assert breaker.wait(2.0) == 0
    trial = breaker.enter()
    breaker.answered(old) if late == "answered" else breaker.failed(old, 2.0)
    assert breaker.state == "half-open"
    assert breaker.wait(2.0) > 0, "the trial is still under way"
    breaker.answered(trial)
    assert breaker.wait(2.0) == 0


def test_a_trial_that_is_cut_off_gives_its_place_back() -> None:
    breaker = opened()
    assert breaker.wait(2.0) == 0
    breaker.abandoned(breaker.enter())
    assert (breaker.state, breaker.wait(2.0)) == ("half-open", 0.0)


@given(st.lists(st.tuples(st.floats(0, 5), st.sampled_from(["answered", "failed", "abandoned"])), max_size=80))
def test_it_never_lets_two_trials_run_and_never_shuts_for_good(steps: list[tuple[float, str]]) -> None:
    breaker, now = Breaker(POLICY), 0.0
    for passed, end in steps:
        now += passed
        if breaker.wait(now) > 0:
            continue
        permit = breaker.enter()
        if breaker.state == "half-open":
            assert breaker.wait(now) > 0
        match end:
            case "answered":
                breaker.answered(permit)
            case "failed":
                breaker.failed(permit, now)
            case _:
                breaker.abandoned(permit)
    assert breaker.wait(now + POLICY.longest_rest) == 0
