"""The reasons why tasks are drawn more often, and their predictions."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from streams.panels.population import IntentHistory, Population
from streams.panels.reasons import predictions, reason_scores
from tests.builders import START
from tests.harness.panel_stream import population, task


def having(reason: str, found: Population) -> list[int]:
    """The places of the tasks with a reason."""
    scores = reason_scores(found)
    return np.flatnonzero(scores[reason]).tolist() if reason in scores else []


def test_the_prediction_is_what_the_confidence_leaves() -> None:
    tasks = [task(0, confidence=0.9), task(1, confidence=0.5), task(2), task(3, confidence=1.2)]
    assert predictions(tasks).tolist() == pytest.approx([0.1, 0.5, 0.4 / 3, 0.0])


def test_without_any_confidence_a_tenth_is_expected_to_be_wrong() -> None:
    assert predictions([task(0), task(1)]).tolist() == [0.1, 0.1]


def test_the_tenth_nearest_to_its_threshold_is_near_it() -> None:
    distances = [0.5, 0.02, 0.3, None, 0.01, *[0.4] * 10]
    assert having("near threshold", population([task(n, distance=one) for n, one in enumerate(distances)])) == [1, 4]


def test_the_twentieth_that_cost_most_is_expensive() -> None:
    assert having("expensive", population([task(n, usd=float(n)) for n in range(40)])) == [38, 39]
    assert having("expensive", population([task(n) for n in range(40)])) == []


def test_an_intent_is_new_if_it_begins_late_or_is_rare() -> None:
    late = IntentHistory(first=START + timedelta(hours=19), events=50)
    early = IntentHistory(first=START + timedelta(hours=10), events=50)
    rare = IntentHistory(first=START - timedelta(days=9), events=4)
    tasks = [task(n) for n in range(17)]
    tasks += [task(17, intent="early"), task(18, intent="rare"), task(19, intent="late"), task(20)]
    assert having("new intent", population(tasks, late=late, early=early, rare=rare)) == [18, 19]


def test_the_only_event_of_a_range_has_a_known_intent() -> None:
    tasks = [task(0)]
    known = IntentHistory(first=START, events=7)
    assert having("new intent", population(tasks, order=known)) == []


@pytest.mark.parametrize(
    ("reason", "field"),
    [("tiers disagree", "tiers_disagree"), ("runs disagree", "runs_disagree"),
     ("needless refusal", "refused_needlessly")],
)  # fmt: skip
def test_a_disagreement_and_a_needless_refusal_are_reasons(reason: str, field: str) -> None:
    assert having(reason, population([task(0), task(1, **{field: True}), task(2)])) == [1]


def test_a_task_is_most_uncertain_at_even_odds() -> None:
    found = population([task(0, confidence=1.0), task(1, confidence=0.9), task(2, confidence=0.5)])
    assert reason_scores(found)["uncertain"].tolist() == pytest.approx([0.0, 0.3, 0.5])
