from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesRegressor

from streams.core.errors import ConfigError
from streams.models.listeners.classifier import Provenance
from streams.models.verifier.artifact import Verifier
from streams.models.verifier.ensemble import Ensemble, Linear, Mixture, logit, sigmoid
from streams.models.verifier.example import Example
from streams.models.verifier.features import Category, Layout
from streams.models.verifier.forest import Forest

LAYOUT = Layout(("verbalized",), ("amount",), (Category("topic", ("maths", "trade")),))


def forest(columns: int, heads: int) -> Forest:
    """One split on column 0 (the text's length), then leaves."""
    values = np.array([[0.5, 0.5], [0.9, 0.2], [0.1, 0.8]])[:, :heads]
    assert columns
    return Forest(
        np.array([0], dtype=np.int32),
        np.array([0, -1, -1], dtype=np.int32),
        np.array([1, -1, -1], dtype=np.int32),
        np.array([2, -1, -1], dtype=np.int32),
        np.array([3.0, -2.0, -2.0]),
        values,
    )


def verifier(heads: int = 2, **changes: Any) -> Verifier:
    columns = LAYOUT.columns
    width = len(columns) + heads
    weights = np.zeros((width, heads))
    weights[columns.index("source:verbalized"), 0] = 2.0
    weights[len(columns), 0] = 1.0
    linear = Linear(np.full(width, 0.5), np.ones(width), weights, np.zeros(heads))
    parts: dict[str, Any] = {
        "layout": LAYOUT,
        "columns": columns,
        "rates": (np.array([[0.9, 0.8], [0.2, 0.7], [0.5, 0.75]])[:, :heads],),
        "ensemble": Ensemble(linear, forest(width, heads)),
        "mixture": Mixture(0.5, (1.0,) * heads, (0.0,) * heads),
        "provenance": Provenance("0" * 64, "2026-11-23", {"rows": 100}),
    }
    return Verifier(**{**parts, **changes})


SHORT = Example("Add 2 and 2", {"topic": "maths", "amount": 3}, "2 + 2 = 4", {"verbalized": 0.9})
LONG = Example("Tell me how many " + "very " * 20, {"topic": "trade"}, None)


def test_a_score_mixes_the_linear_view_with_the_forest() -> None:
    linear = sigmoid(np.array([2.0 * (0.9 - 0.5) + (0.9 - 0.5)]))
    assert verifier().scores([SHORT]) == pytest.approx(0.5 * linear + 0.5 * 0.9)


def test_a_source_that_is_missing_counts_as_an_average_one() -> None:
    linear = sigmoid(np.array([0.2 - 0.5]))
    assert verifier().scores([LONG]) == pytest.approx(0.5 * linear + 0.5 * 0.1)
    assert verifier().scores([replace(LONG, sources={"verbalized": float("nan")})]) == verifier().scores([LONG])


def test_a_value_not_seen_in_training_counts_as_the_overall_rate() -> None:
    for value in ("unheard", 7, None, ["maths"]):
        (score,) = verifier().scores([replace(LONG, data={"topic": value})])
        assert score == pytest.approx(0.5 * 0.5 + 0.5 * 0.1)


def test_the_gain_is_the_difference_of_the_two_heads() -> None:
    assert verifier().gains([SHORT, LONG]) == pytest.approx(
        [0.5 * 0.5 + 0.5 * 0.2 - verifier().scores([SHORT])[0], 0.5 * 0.5 + 0.5 * 0.8 - verifier().scores([LONG])[0]]
    )


def test_without_a_reasoner_head_the_gain_takes_the_reasoner_to_be_right() -> None:
    alone = verifier(heads=1)
    assert not alone.knows_reasoner
    assert alone.gains([SHORT, LONG]) == pytest.approx(1.0 - alone.scores([SHORT, LONG]))


def test_calibration_scales_the_log_odds() -> None:
    plain, scaled = verifier(), verifier(mixture=Mixture(0.5, (2.0, 1.0), (0.3, 0.0)))
    assert logit(scaled.scores([SHORT])) == pytest.approx(2 * logit(plain.scores([SHORT])) + 0.3)


def test_no_examples_give_no_scores() -> None:
    assert verifier().scores([]).shape == verifier().gains([]).shape == (0,)


def test_one_example_scores_the_same_alone_as_among_others() -> None:
    model = verifier()
    many = model.scores([SHORT, LONG] * 700)
    assert many[:2] == pytest.approx([model.scores([SHORT])[0], model.scores([LONG])[0]])
    assert many.reshape(700, 2) == pytest.approx(np.tile(many[:2], (700, 1)))


def test_odd_values_never_reach_the_score() -> None:
    odd = Example("\ud800" * 5, {"amount": float("inf"), "topic": "\ud800"}, "=" * 50, {"verbalized": -1e308})
    assert np.isfinite(verifier().gains([odd])).all()


@pytest.mark.parametrize("outputs", [1, 2])
def test_the_forest_gives_what_scikit_learn_gives(outputs: int) -> None:
    draw = np.random.default_rng(3)
    rows, outcomes = draw.normal(size=(300, 6)), draw.integers(0, 2, size=(300, outputs)).astype(float)
    target = outcomes if outputs > 1 else outcomes[:, 0]
    model = ExtraTreesRegressor(20, min_samples_leaf=3, random_state=0).fit(rows, target)
    ours = Forest.from_sklearn([tree.tree_ for tree in model.estimators_])
    fresh = np.vstack([draw.normal(size=(1500, 6)), rows])
    assert ours.predict(fresh) == pytest.approx(model.predict(fresh).reshape(-1, outputs), abs=1e-12)


def test_trees_whose_walks_might_not_end_are_refused() -> None:
    good = forest(1, 1)
    for name, array in (
        ("left", [0, -1, -1]),
        ("right", [9, -1, -1]),
        ("feature", [-2, -1, -1]),
        ("roots", [3]),
        ("threshold", [np.nan, 0, 0]),
        ("values", [[np.inf], [0], [0]]),
        ("left", [1, -1]),
    ):
        with pytest.raises(ConfigError):
            replace(good, **{name: np.array(array, dtype=getattr(good, name).dtype)})


def test_an_artifact_comes_back_from_a_file_as_it_was(tmp_path: Path) -> None:
    model = verifier()
    model.save(tmp_path / "verifier.npz")
    again = Verifier.load(tmp_path / "verifier.npz")
    assert again.to_bytes() == model.to_bytes()
    assert again.digest() == model.digest()
    assert again.provenance == model.provenance
    assert (again.gains([SHORT, LONG]) == model.gains([SHORT, LONG])).all()
    assert [path.name for path in tmp_path.iterdir()] == ["verifier.npz"]


def test_a_missing_file_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no verifier"):
        Verifier.load(tmp_path / "none.npz")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"text", verifier().to_bytes()[:900]])
def test_a_broken_file_is_a_configuration_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.npz").write_bytes(content)
    with pytest.raises(ConfigError):
        Verifier.load(tmp_path / "broken.npz")


def rewritten(change: dict[str, Any]) -> bytes:
    with np.load(io.BytesIO(verifier().to_bytes())) as arrays:
        parts = dict(arrays)
    header = json.loads(parts["header"].tobytes()) | {k: v for k, v in change.items() if k not in parts}
    parts |= {k: v for k, v in change.items() if k in parts}
    buffer = io.BytesIO()
    np.savez(buffer, **{**parts, "header": np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)})
    return buffer.getvalue()


@pytest.mark.parametrize(
    "change",
    [
        {"format": "escalon-classifier"},
        {"version": 99},
        {"columns": ["other"]},
        {"layout": None},
        {"layout": {"sources": [], "fields": [], "categories": []}},
        {"mixture": {"share": 0.5, "slopes": [1.0], "offsets": [0.0]}},
        {"mixture": {"share": 0.5, "slopes": [-1.0, 1.0], "offsets": [0.0, 0.0]}},
        {"weights": np.zeros((2, 2))},
        {"rates_0": np.zeros((1, 2))},
        {"tree_left": np.zeros(3, dtype=np.int32)},
        {"scales": np.zeros(len(LAYOUT.columns) + 2)},
    ],
)
def test_an_artifact_of_another_kind_or_for_other_features_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    (tmp_path / "foreign.npz").write_bytes(rewritten(change))
    with pytest.raises(ConfigError):
        Verifier.load(tmp_path / "foreign.npz")
