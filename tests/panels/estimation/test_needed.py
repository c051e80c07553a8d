from __future__ import annotations

import numpy as np
import pytest

from streams.panels.estimation.needed import cases_for_width, cases_to_decide
from streams.panels.estimation.rates import RateInterval, weighted_rate
from streams.panels.estimation.sequential import sequential_bounds
from tests.harness.drawn_panels import Population, Values, drawn_panel, predicted_population

STREAM = predicted_population(3000, 0.2, seed=6)
TASKS = 4000


def rate_after(cases: int, seed: int) -> RateInterval:
    panel = drawn_panel(STREAM, cases, seed)
    return weighted_rate(
        STREAM.wrong[panel.indices],
        panel.probabilities,
        STREAM.predictions[panel.indices],
        tasks=3000,
        predicted=float(STREAM.predictions.sum()),
    )


def to_decide(values: Values, limit: float, *, below: bool, tasks: int = TASKS) -> int | None:
    ones = np.ones(len(values))
    return cases_to_decide(values, ones, 0 * ones, limit, below=below, tasks=tasks, weight=tasks, predicted=0.0)


@pytest.mark.parametrize("width", [0.05, 0.1])
def test_the_cases_it_names_give_about_the_width(width: float) -> None:
    more = cases_for_width(rate_after(150, 1), width, tasks=3000)
    assert more is not None
    assert rate_after(150 + more, 1).width == pytest.approx(width, rel=0.15)


def test_an_interval_that_is_narrow_enough_needs_no_case() -> None:
    assert cases_for_width(RateInterval(0.1, 0.08, 0.12, 400, 400.0), 0.05, tasks=3000) == 0


def test_a_width_of_0_needs_all_the_rest() -> None:
    assert cases_for_width(RateInterval(0.1, 0.05, 0.2, 100, 100.0), 0.0, tasks=250) == 150


def test_without_a_case_no_width_can_be_foretold() -> None:
    assert cases_for_width(RateInterval(None, 0.0, 1.0, 0), 0.1, tasks=250) is None


@pytest.mark.parametrize(("value", "limit", "below"), [(0.0, 0.05, True), (1.0, 0.5, False)])
@pytest.mark.parametrize("weight", [1.0, 1.5])
def test_before_the_first_case_it_names_those_that_decide_if_nothing_speaks_against_it(
    value: float, limit: float, below: bool, weight: float
) -> None:
    none, weights, tasks = np.array([]), np.full(300, weight), TASKS
    population = {"tasks": tasks, "weight": tasks * weight, "predicted": 0.0}
    found = sequential_bounds(np.full(300, value), weights, 0 * weights, certainty=0.9, **population)  # type: ignore[arg-type]
    decided = next(one.cases for one in found if (one.high <= limit if below else one.low >= limit))
    assert cases_to_decide(none, none, none, limit, below=below, **population) == pytest.approx(decided, rel=0.25)  # type: ignore[arg-type]


@pytest.mark.parametrize(("period", "limit", "below"), [(25, 0.1, True), (1000, 0.05, True), (4, 0.15, False)])
def test_the_cases_it_names_decide_about_then(period: int, limit: float, below: bool) -> None:
    values = (np.arange(1000) % period == period // 2).astype(np.float64)
    more = to_decide(values[:50], limit, below=below)
    ones = np.ones(1000)
    found = sequential_bounds(values, ones, 0 * ones, tasks=TASKS, weight=TASKS, predicted=0.0, certainty=0.9)
    decided = next(one.cases for one in found if (one.high <= limit if below else one.low >= limit))
    assert more is not None
    assert 0.6 * decided < 50 + more < 1.7 * decided


def test_a_claim_that_looks_false_gets_no_number() -> None:
    values = np.array([1.0] * 10 + [0.0] * 40)
    assert to_decide(values, 0.05, below=True) is None
    assert to_decide(values, 0.5, below=False) is None


def test_no_more_cases_are_named_than_there_are_tasks() -> None:
    assert to_decide(np.zeros(20), 0.01, below=True, tasks=60) == 40


def test_useless_predictions_change_the_number_little() -> None:
    evenly = Population(STREAM.wrong, np.zeros(3000), np.ones(3000))
    some = drawn_panel(evenly, 100, 1).indices
    found = [
        cases_to_decide(
            STREAM.wrong[some],
            np.ones(100),
            predictions[some],
            0.4,
            below=True,
            tasks=3000,
            weight=3000.0,
            predicted=float(predictions.sum()),
        )
        for predictions in (np.zeros(3000), np.random.default_rng(0).permutation(STREAM.predictions))
    ]
    assert found[0] is not None
    assert found[1] is not None
    assert abs(found[1] - found[0]) < 40
