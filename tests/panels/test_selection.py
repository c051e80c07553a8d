"""The draw of a panel's cases from its population."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from streams.core.errors import ConfigError
from streams.panels.checks import KnownTruth, gold_cases, repeat_cases
from streams.panels.population import Population
from streams.panels.rubric import read_rubric
from streams.panels.selection import DrawSettings, case_weights, select_cases
from tests.builders import START
from tests.harness.panel_stream import pair, population, task

RUBRIC = read_rubric(
    'title = "T"\ngold = 0.3\nrepeats = 0.2\n[[question]]\nname = "right"\nask = "Right?"\ntype = "yes/no"\n'
    'means_right = "yes"\n'
)


def settings(count: int = 10, seed: int = 1, **more: Any) -> DrawSettings:
    return DrawSettings(panel="p", count=count, seed=seed, created_at=START, **more)


def some(count: int) -> Population:
    return population([task(number, tiers_disagree=number < 5) for number in range(count)])


def test_the_weights_keep_the_random_share_and_split_the_rest_over_the_reasons() -> None:
    scores = {"rare": np.array([1.0, 0.0, 0.0, 0.0]), "common": np.array([0.0, 2.0, 1.0, 1.0])}
    weights = case_weights(scores, 0.5, 4)
    assert weights.tolist() == [3.0, 2.0, 1.5, 1.5]
    assert len(weights) / weights.sum() == 0.5


def test_without_reasons_all_weights_are_equal() -> None:
    assert case_weights({}, 0.5, 3).tolist() == [1.0, 1.0, 1.0]


def test_the_same_seed_draws_the_same_cases_and_another_one_others() -> None:
    found = some(200)
    assert select_cases(found, settings()) == select_cases(found, settings())
    assert select_cases(found, settings()).cases != select_cases(found, settings(seed=2)).cases


def test_the_peoples_cases_come_first_and_then_those_of_the_judge() -> None:
    cases = select_cases(some(200), settings(10, judge_count=20)).cases
    assert [case.position for case in cases] == list(range(1, 31))
    assert [case.purpose for case in cases] == ["sample"] * 10 + ["judge"] * 20
    assert all(0 < case.probability < case.judge_probability < 1 for case in cases)


def test_all_tasks_are_drawn_with_certainty_if_there_are_no_more() -> None:
    cases = select_cases(some(7), settings(10)).cases
    assert sorted(case.event_id for case in cases) == [f"e{n}" for n in range(7)]
    assert {case.probability for case in cases} == {1.0}


def test_no_two_cases_share_an_id() -> None:
    drawn = select_cases(some(50), settings(20, judge_count=20))
    cases = [*drawn.cases, *repeat_cases(drawn, RUBRIC, settings(20))]
    truths = [KnownTruth(f"e{number}", right=True) for number in range(50)]
    cases += gold_cases(some(50), drawn, truths, RUBRIC, settings(20))
    assert len({case.case_id for case in cases}) == len(cases) == 20 + 20 + 4 + 6


def test_the_strata_add_up_to_the_population() -> None:
    tasks = [task(0, confidence=0.9), task(1, confidence=0.7), task(2, tier="reasoner", handler="think")]
    by_reasoner, by_worker = select_cases(population(tasks), settings(random=0.5)).strata
    assert (by_worker.tier, by_worker.handler, by_worker.tasks) == ("worker", "answer", 2)
    assert by_worker.prediction == pytest.approx(0.4)
    assert (by_reasoner.tier, by_reasoner.handler, by_reasoner.tasks) == ("reasoner", "think", 1)
    assert by_reasoner.prediction == pytest.approx(0.2)
    assert by_worker.weight + by_reasoner.weight == pytest.approx(6.0)


def test_a_case_says_why_it_was_more_likely_than_others() -> None:
    drawn = select_cases(some(50), settings(50))
    reasons = {case.event_id: case.reasons for case in drawn.cases}
    assert {name for name, why in reasons.items() if why == ("tiers disagree",)} == {f"e{n}" for n in range(5)}
    assert set(reasons.values()) == {("tiers disagree",), ()}
    assert drawn.reasons == {"tiers disagree": 5}


@pytest.mark.parametrize("seed", range(5))
def test_each_option_is_on_the_left_equally_often_wherever_a_panel_stops(seed: int) -> None:
    tasks = [pair(n) if n % 3 else task(n) for n in range(90)]
    cases = select_cases(population(tasks), settings(60, seed)).cases
    assert {case.left for case in cases if len(case.answers) == 1} == {""}
    lefts = [case.left for case in cases if len(case.answers) == 2]
    for stop in range(1, len(lefts) + 1):
        sides = Counter(lefts[:stop])
        assert abs(sides["worker"] - sides["reasoner"]) <= 1


def test_the_sides_differ_between_seeds() -> None:
    cases = (select_cases(population([pair(0), pair(1)]), settings(2, seed)).cases for seed in range(20))
    assert len({tuple(case.left for case in one) for one in cases}) == 2


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1, float("nan")])
def test_a_random_share_that_leaves_tasks_out_is_refused(share: float) -> None:
    with pytest.raises(ConfigError, match=r"random: .* is not a share above 0"):
        select_cases(some(5), settings(random=share))


def test_repeats_exchange_the_sides_of_a_case_that_was_drawn_early_enough() -> None:
    drawn = select_cases(population([pair(n) for n in range(50)]), settings(20))
    sample = {case.case_id: case for case in drawn.sample}
    found = repeat_cases(drawn, RUBRIC, settings(20))
    assert len({one.repeats for one in found}) == len(found) == 4
    for one in found:
        original = sample[one.repeats]
        assert {one.left, original.left} == {"worker", "reasoner"}
        assert (one.event_id, one.answers, one.position) == (original.event_id, original.answers, 0)
        assert original.position <= 17


def test_half_of_the_gold_cases_have_wrong_answers_and_none_was_drawn() -> None:
    found, own = some(100), settings(20)
    drawn = select_cases(found, own)
    truths = [KnownTruth(f"e{n}", right=n % 10 != 0) for n in range(100)]
    gold = gold_cases(found, drawn, truths, RUBRIC, own)
    assert Counter(case.expected for case in gold) == {"yes": 3, "no": 3}
    right = {f"e{n}": n % 10 != 0 for n in range(100)}
    assert all((case.expected == "yes") == right[case.event_id] for case in gold)
    assert not {case.event_id for case in gold} & {case.event_id for case in drawn.sample}


def test_right_answers_take_the_places_of_wrong_ones_that_are_missing() -> None:
    found, own = some(100), settings(20)
    truths = [KnownTruth(f"e{n}", right=True) for n in range(100)]
    gold = gold_cases(found, select_cases(found, own), truths, RUBRIC, own)
    assert Counter(case.expected for case in gold) == {"yes": 6}


def test_a_rubric_that_does_not_ask_about_right_answers_has_no_gold_cases() -> None:
    rubric = read_rubric('title = "T"\n[[question]]\nname = "tone"\nask = "Kind?"\ntype = "yes/no"\n')
    found, own = some(100), settings(20)
    truths = [KnownTruth(f"e{n}", right=True) for n in range(100)]
    assert gold_cases(found, select_cases(found, own), truths, rubric, own) == []
