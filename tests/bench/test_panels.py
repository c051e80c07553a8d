from __future__ import annotations

import numpy as np
import pytest

from bench.panels import measure
from bench.panels_data import Stream
from bench.panels_measures import planned_cases


@pytest.fixture(scope="module")
def stream() -> Stream:
    random = np.random.default_rng(1)
    predictions = random.beta(0.7, 1.3, 400)
    wrong = (random.random(400) < predictions).astype(np.float64)
    reasoner = wrong * (random.random(400) < 0.2)
    return Stream("made", wrong, reasoner, predictions)


def test_the_least_fixed_sample_without_errors_is_that_of_the_exact_test() -> None:
    assert planned_cases(0.05, 1e-9) == (59, 0)


def test_every_figure_is_measured(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.panels_measures.WIDTH_PANELS", 20)
    monkeypatch.setattr("bench.panels_measures.STOP_PANELS", 5)
    monkeypatch.setattr("bench.panels_measures.PLAIN_CASES", (60,))
    found = measure(stream, cases=40, panels=20)
    assert found["coverage"]["reweighted"] > 0.8 > found["coverage"]["naive"]
    assert found["coverage"]["at_every_moment"] > 0.8
    assert 2 < found["width"][0]["with_judge"] < found["width"][0]["with_predictions"] < 60
    assert all(one["mean"] < one["fixed"] for one in found["stop"])
    assert [one["share"] for one in found["random"]] == [0.3, 0.5, 0.7, 1.0]
    assert found["random"][0]["without_error"] > 2 * found["random"][3]["without_error"]
