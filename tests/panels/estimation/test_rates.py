from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint  # type: ignore[import-untyped]
from statsmodels.stats.weightstats import DescrStatsW  # type: ignore[import-untyped]

from streams.panels.estimation.rates import (
    JudgedCases,
    RateInterval,
    two_phase_rate,
    weighted_rate,
    weighted_ratio,
)
from tests.harness.drawn_panels import DrawnPanel, Population, Values, drawn_panel, predicted_population

STREAM = predicted_population(2000, 0.15, seed=11)
SEEDS = range(300)


def people_rate(panel: DrawnPanel, population: Population = STREAM) -> RateInterval:
    some = panel.indices[: panel.people]
    return weighted_rate(
        population.wrong[some],
        panel.probabilities[: panel.people],
        population.predictions[some],
        tasks=len(population.wrong),
        predicted=float(population.predictions.sum()),
    )


def judged_rate(panel: DrawnPanel, said: Values, population: Population = STREAM) -> RateInterval:
    people = slice(panel.people)
    some = panel.indices[people]
    return two_phase_rate(
        population.wrong[some],
        panel.probabilities[people],
        population.predictions[some],
        said[some],
        panel.judge_probabilities[people],
        JudgedCases(said[panel.indices], population.predictions[panel.indices], panel.judge_probabilities),
        tasks=len(population.wrong),
        predicted=float(population.predictions.sum()),
    )


def coverage(rates: list[RateInterval], truth: float) -> float:
    return float(np.mean([one.low <= truth <= one.high for one in rates]))


def test_the_rate_is_the_predictions_mean_corrected_by_the_cases() -> None:
    found = weighted_rate(np.array([1.0, 0.0]), np.array([0.5, 0.25]), np.array([0.7, 0.1]), tasks=10, predicted=3.0)
    assert found.value == pytest.approx(3.0 / 10 + (2 * 0.3 - 4 * 0.1) / (2 + 4))


def test_a_weighted_share_is_that_of_statsmodels() -> None:
    random = np.random.default_rng(0)
    values, probabilities = random.integers(0, 2, 50).astype(np.float64), random.uniform(0.1, 0.9, 50)
    expected = DescrStatsW(values, weights=1 / probabilities).mean
    assert weighted_ratio(values, probabilities).value == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("errors", "cases"), [(0, 20), (1, 20), (3, 100), (40, 100), (100, 100), (7, 500)])
@pytest.mark.parametrize("certainty", [0.9, 0.95])
def test_a_plain_random_sample_has_the_exact_interval_of_statsmodels(errors: int, cases: int, certainty: float) -> None:
    values = np.array([1.0] * errors + [0.0] * (cases - errors))
    found = weighted_ratio(values, np.full(cases, 1e-9), certainty=certainty)
    expected = proportion_confint(errors, cases, 1 - certainty, method="beta")
    assert (found.low, found.high) == pytest.approx(expected, abs=5e-4)
    assert found.informative == pytest.approx(cases)


def test_a_census_has_no_interval_but_the_rate() -> None:
    values = np.array([1.0, 0.0, 0.0, 0.0])
    found = weighted_rate(values, np.ones(4), np.full(4, 0.5), tasks=4, predicted=2.0)
    assert (found.low, found.value, found.high) == (0.25, 0.25, 0.25)


def test_without_a_case_nothing_is_known() -> None:
    none = np.array([])
    assert weighted_rate(none, none, none, tasks=50, predicted=5.0) == RateInterval(None, 0.0, 1.0, 0)


@pytest.mark.parametrize("values", [np.zeros(10), np.ones(10)])
def test_a_rate_lies_between_0_and_1_however_wrong_the_predictions_are(values: Values) -> None:
    found = weighted_rate(values, np.full(10, 0.1), 1 - values, tasks=100, predicted=100 * (1 - values[0]) * 0.5)
    assert found.value is not None
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_cases_without_an_error_do_not_make_the_interval_narrower_than_exact_ones() -> None:
    predictions = np.full(60, 0.02)
    found = weighted_rate(np.zeros(60), np.full(60, 0.01), predictions, tasks=6000, predicted=120.0)
    assert found.high >= proportion_confint(0, 60, 0.05, method="beta")[1] - 0.001


def test_the_reweighted_interval_covers_the_truth_and_the_unweighted_one_does_not() -> None:
    panels = [drawn_panel(STREAM, 100, seed) for seed in SEEDS]
    plain = [weighted_ratio(STREAM.wrong[one.indices], np.full(100, 0.05)) for one in panels]
    assert coverage([people_rate(one) for one in panels], STREAM.rate) >= 0.935
    assert coverage(plain, STREAM.rate) < 0.935


@pytest.mark.parametrize(("rate", "people"), [(0.02, 20), (0.02, 200), (0.5, 20)])
def test_the_interval_covers_rates_near_0_and_small_panels(rate: float, people: int) -> None:
    stream = predicted_population(1000, rate, seed=4)
    assert coverage([people_rate(drawn_panel(stream, people, seed), stream) for seed in SEEDS], stream.rate) >= 0.935


@pytest.mark.parametrize(("tasks", "people"), [(2, 1), (10, 9), (20, 10), (30, 25)])
@pytest.mark.parametrize("rate", [0.05, 0.3])
def test_the_interval_covers_where_few_tasks_are_left(tasks: int, people: int, rate: float) -> None:
    held = []
    for seed in SEEDS:
        stream = predicted_population(tasks, rate, seed)
        found = people_rate(drawn_panel(stream, people, seed), stream)
        held.append(found.low - 1e-9 <= stream.rate <= found.high + 1e-9)
    assert np.mean(held) >= 0.935


def test_the_interval_of_a_part_covers_where_few_tasks_are_left() -> None:
    """Every third task belongs to the part."""
    held = []
    for seed in SEEDS:
        stream = predicted_population(24, 0.3, seed)
        panel = drawn_panel(stream, 20, seed)
        inside = panel.indices % 3 == 0
        if inside.any():
            found = weighted_ratio(stream.wrong[panel.indices[inside]], panel.probabilities[inside])
            held.append(found.low - 1e-9 <= stream.wrong[::3].mean() <= found.high + 1e-9)
    assert np.mean(held) >= 0.935


def test_one_case_of_a_part_says_little_however_probably_it_was_drawn() -> None:
    found = weighted_ratio(np.array([0.25]), np.array([0.97]))
    assert found.low < 0.1
    assert found.high > 0.6


def test_the_part_of_which_all_tasks_are_known_has_no_interval() -> None:
    found = weighted_ratio(np.array([1.0, 0.0]), np.ones(2))
    assert (found.low, found.high) == (0.5, 0.5)


def test_useless_predictions_cost_width_and_not_coverage() -> None:
    shuffled = np.random.default_rng(1).permutation(STREAM.predictions)
    stream = Population(STREAM.wrong, shuffled, STREAM.weights)
    rates = [people_rate(drawn_panel(stream, 100, seed), stream) for seed in SEEDS]
    assert coverage(rates, stream.rate) >= 0.935
    assert np.mean([one.width for one in rates]) > people_rate(drawn_panel(STREAM, 100, 0)).width


def test_a_good_judge_narrows_the_interval_that_still_covers() -> None:
    said = np.where(np.random.default_rng(2).random(2000) < 0.05, 1 - STREAM.wrong, STREAM.wrong)
    panels = [drawn_panel(STREAM, 80, seed, judge=320) for seed in SEEDS]
    people, both = [people_rate(one) for one in panels], [judged_rate(one, said) for one in panels]
    assert coverage(both, STREAM.rate) >= 0.935
    assert np.mean([one.width for one in both]) < 0.85 * np.mean([one.width for one in people])


def test_a_judge_that_guesses_costs_next_to_nothing() -> None:
    said = np.random.default_rng(3).integers(0, 2, 2000).astype(np.float64)
    panels = [drawn_panel(STREAM, 80, seed, judge=320) for seed in SEEDS]
    people, both = [people_rate(one) for one in panels], [judged_rate(one, said) for one in panels]
    assert coverage(both, STREAM.rate) >= 0.935
    assert np.mean([one.width for one in both]) < 1.02 * np.mean([one.width for one in people])


def test_the_two_phases_spread_as_much_as_their_intervals_say() -> None:
    said = np.where(np.random.default_rng(2).random(2000) < 0.1, 1 - STREAM.wrong, STREAM.wrong)
    rates = [judged_rate(drawn_panel(STREAM, 200, seed, judge=400), said) for seed in SEEDS]
    values = np.array([one.value for one in rates])
    spread = np.sqrt(np.mean([STREAM.rate * (1 - STREAM.rate) / one.informative for one in rates]))
    assert abs(values.mean() - STREAM.rate) < 3.5 * values.std() / len(SEEDS) ** 0.5
    assert spread == pytest.approx(values.std(), rel=0.15)


def test_what_a_good_judge_says_of_further_cases_is_weighted_by_their_chances() -> None:
    said, chances = np.array([1.0, 0.0, 1.0]), np.array([0.5, 0.5, 0.25])
    judged = JudgedCases(said, np.zeros(3), chances)
    values, people = said[:2], np.full(2, 0.2)
    found = two_phase_rate(values, people, np.zeros(2), values, chances[:2], judged, tasks=10, predicted=0.0)
    assert found.value == pytest.approx((2 * 1 + 2 * 0 + 4 * 1) / 8)


def test_a_judge_that_says_what_was_predicted_changes_nothing() -> None:
    panel = drawn_panel(STREAM, 50, seed=3, judge=100)
    alone, both = people_rate(panel), judged_rate(panel, STREAM.predictions)
    assert both.value == pytest.approx(alone.value)
    assert both.width == pytest.approx(alone.width)
