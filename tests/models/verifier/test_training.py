from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from streams.core.errors import ConfigError
from streams.models.verifier.artifact import Verifier
from streams.models.verifier.ensemble import sigmoid
from streams.models.verifier.example import Example
from streams.models.verifier.fit import (
    PENALTY,
    TREES,
    category_rates,
    fit_mixture,
    fit_sparse_logistic,
    out_of_fold_rates,
)
from streams.models.verifier.training import FOLDS, train_verifier

train = partial(train_verifier, trees=12)

pytestmark = pytest.mark.slow
Cases = tuple[list[Example], list[bool], list[bool]]


def cases(count: int = 120, seed: int = 0) -> Cases:
    """Sums whose answer is right when its arithmetic is; the reasoner fails on the topic `riddle`."""
    draw = np.random.default_rng(seed)
    examples, worker, reasoner = [], [], []
    for number in range(count):
        first, second = map(int, draw.integers(2, 90, size=2))
        right, riddle = bool(draw.random() < 0.6), bool(draw.random() < 0.3)
        result = first * second + (0 if right else int(draw.integers(1, 9)))
        text = f"There are {first} boxes of {second} pens. How many pens are there in all? ({number})"
        answer = f"There are {first} x {second} = {result} pens."
        data = {"topic": "riddle" if riddle else "plain", "amount": first, "id": f"case-{number}"}
        examples.append(Example(text, data, answer, {"verbalized": float(draw.random())}))
        worker.append(right)
        reasoner.append(not riddle)
    return examples, worker, reasoner


@pytest.fixture(scope="module")
def trained() -> Verifier:
    return train(*cases(), date="2026-11-23")


def test_a_verifier_learns_to_separate_right_answers_from_wrong_ones(trained: Verifier) -> None:
    examples, worker, _ = cases(seed=1)
    scores = trained.scores(examples)
    assert scores[worker].min() > scores[~np.array(worker)].max()


def test_the_gain_is_high_where_the_worker_fails_and_the_reasoner_does_not(trained: Verifier) -> None:
    examples, worker, reasoner = cases(seed=1)
    gains, truth = trained.gains(examples), np.array(reasoner, dtype=int) - np.array(worker, dtype=int)
    assert gains[truth == 1].min() > gains[truth == 0].mean() > gains[truth == -1].max()


def test_only_fields_that_repeat_become_categories(trained: Verifier) -> None:
    assert [category.key for category in trained.layout.categories] == ["topic"]
    assert trained.layout.fields == ("amount",)
    assert trained.layout.sources == ("verbalized",)


def test_metrics_are_those_of_rows_the_fit_has_not_seen(trained: Verifier) -> None:
    metrics = trained.provenance.metrics
    assert metrics["rows"] == 120
    assert metrics["worker"]["auc"] > 0.95
    assert metrics["worker"]["right"] == pytest.approx(np.mean(cases()[1]), abs=1e-6)
    assert set(metrics["reasoner"]) == {"right", "auc", "log_loss", "brier", "ece"}


def test_outcomes_of_pure_chance_measure_as_chance() -> None:
    examples = cases(200)[0]
    worker = (np.random.default_rng(7).random(200) < 0.5).tolist()
    assert 0.35 < train(examples, worker).provenance.metrics["worker"]["auc"] < 0.65


def test_the_same_cases_in_any_order_give_the_same_bytes(trained: Verifier) -> None:
    examples, worker, reasoner = cases()
    order = np.random.default_rng(5).permutation(len(examples))
    shuffled = [[part[place] for place in order] for part in (worker, reasoner)]
    again = train([examples[place] for place in order], *shuffled, date="2026-11-23")
    assert again.digest() == trained.digest()


def test_another_seed_or_outcome_gives_another_artifact(trained: Verifier) -> None:
    examples, worker, reasoner = cases()
    other = train(examples, worker, reasoner, date="2026-11-23", seed=1)
    assert other.digest() != trained.digest()
    assert other.provenance.training_set == trained.provenance.training_set
    flipped = train(examples, [not worker[0], *worker[1:]], reasoner, date="2026-11-23")
    assert flipped.provenance.training_set != trained.provenance.training_set


def test_without_the_reasoners_outcomes_there_is_one_head() -> None:
    examples, worker, _ = cases(60)
    model = train(examples, worker)
    assert not model.knows_reasoner
    assert "reasoner" not in model.provenance.metrics
    assert model.gains(examples) == pytest.approx(1 - model.scores(examples))


def test_before_the_answer_the_task_alone_decides() -> None:
    examples, _, reasoner = cases()
    blank = [Example(example.text, example.data) for example in examples]
    model = train(blank, reasoner, date="")
    riddles = np.array([example.data["topic"] == "riddle" for example in blank])
    scores = model.scores(blank)
    assert scores[riddles].max() < scores[~riddles].min()
    answered = [Example(example.text, example.data, "7 + 7 = 15") for example in blank]
    assert model.scores(answered) == pytest.approx(scores)


def test_progress_counts_the_fits_to_the_end() -> None:
    examples, worker, _ = cases(60)
    told: list[tuple[int, int]] = []
    train(examples, worker, progress=lambda done, of: told.append((done, of)))
    assert told == [(done, FOLDS + 1) for done in range(1, FOLDS + 2)]


def test_too_few_cases_are_refused_with_what_to_do() -> None:
    examples, worker, reasoner = cases(60)
    with pytest.raises(ConfigError, match="50 to"):
        train(examples[:49], worker[:49])
    with pytest.raises(ConfigError, match="at least 10 cases of either"):
        train(examples, [True] * 51 + [False] * 9)
    with pytest.raises(ConfigError, match="one outcome for each"):
        train(examples, worker[:-1])
    with pytest.raises(ConfigError, match="one outcome for each"):
        train(examples, worker, reasoner[:-1])
    with pytest.raises(ConfigError, match="same few texts"):
        train([Example("Same")] * 60, worker)


def test_the_default_forest_is_the_large_one(trained: Verifier) -> None:
    examples, worker, _ = cases(60)
    assert len(train_verifier(examples, worker).ensemble.forest.roots) == TREES
    assert len(trained.ensemble.forest.roots) == 12


def test_rates_lean_towards_the_overall_rate_where_rows_are_few() -> None:
    codes = np.array([0] * 20 + [1] * 20 + [2])
    outcomes = np.array([[1.0]] * 20 + [[0.0]] * 20 + [[1.0]])
    overall = 21 / 41
    expected = [(20 + 20 * overall) / 40, 20 * overall / 40, (1 + 20 * overall) / 21, overall, overall]
    assert category_rates(codes, 4, outcomes)[:, 0] == pytest.approx(expected)


def test_the_rate_of_a_row_does_not_depend_on_its_own_outcome() -> None:
    draw = np.random.default_rng(2)
    codes, folds = draw.integers(0, 3, size=60), np.arange(60) % 5
    outcomes = draw.integers(0, 2, size=(60, 2)).astype(float)
    before = out_of_fold_rates(codes, 3, outcomes, folds)
    outcomes[7] = 1 - outcomes[7]
    after = out_of_fold_rates(codes, 3, outcomes, folds)
    assert (before[folds == folds[7]] == after[folds == folds[7]]).all()
    assert (before != after).any()


def test_the_sparse_logistic_regression_meets_its_optimality_conditions() -> None:
    draw = np.random.default_rng(4)
    rows = draw.normal(size=(400, 8))
    outcome = (draw.random(400) < sigmoid(1.5 * rows[:, 0] - rows[:, 1] + 0.4)).astype(float)
    weights, bias = fit_sparse_logistic(rows, outcome)
    residual = sigmoid(rows @ weights + bias) - outcome
    gradient = rows.T @ residual
    assert residual.sum() == pytest.approx(0.0, abs=0.05)
    assert gradient[weights != 0] == pytest.approx(-PENALTY * np.sign(weights[weights != 0]), abs=0.05)
    assert (np.abs(gradient[weights == 0]) <= PENALTY + 0.05).all()
    assert weights[0] > 0.5 > -0.3 > weights[1]
    free = LogisticRegression(C=1e6).fit(rows, outcome).coef_[0]
    assert np.abs(weights).sum() < np.abs(free).sum()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
@example(11)  # separable, so that calibrated probabilities are 0 and 1
def test_the_mixture_is_never_worse_than_either_view_on_the_rows_it_saw(seed: int) -> None:
    draw = np.random.default_rng(seed)
    outcomes = draw.integers(0, 2, size=(80, 1)).astype(float)
    views = [np.clip(0.5 + 0.3 * (outcomes - 0.5) + draw.normal(0, 0.2, (80, 1)), 0.01, 0.99) for _ in range(2)]

    def loss(found: np.ndarray) -> float:
        likelihood = np.where(outcomes == 1, found, 1 - found)
        return float(-np.log(np.maximum(likelihood, 1e-15)).mean())

    mixture = fit_mixture(views[0], views[1], outcomes)
    assert loss(mixture.apply(views[0], views[1])) <= min(map(loss, views)) + 1e-6
