"""The router: a verifier for each target, and what is made of their scores."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from streams.core.errors import ConfigError
from streams.core.routing import NONE
from streams.models.listeners.router import NONE_FROM, Router, worth
from streams.models.verifier.example import Example
from streams.models.verifier.training import train_verifier

train = partial(train_verifier, trees=8)


class Fixed:
    """A verifier that always gives one score, and half of it as what it keeps from the reasoner."""

    def __init__(self, score: float) -> None:
        self.score = score

    def scores(self, examples: list[Example]) -> NDArray[np.float64]:
        """The probability."""
        return np.full(len(examples), self.score)

    def keeps(self, examples: list[Example]) -> NDArray[np.float64]:
        """Half of it."""
        return np.full(len(examples), self.score / 2)


def router(verifiers: Mapping[str, Any], threshold: float = 0.3, **more: Any) -> Router:
    usual: dict[str, Any] = {"admitted": True, "comparison": {"held_out": 40}, "date": "2026-11-24"}
    return Router(verifiers, "reasoners.think", threshold, **usual | more)


@pytest.fixture(scope="module")
def real() -> Router:
    """A judge that separates topics."""
    topics = ["maths" if n % 3 else "trade" for n in range(90)]
    examples = [Example(f"How many pens? {n}", {"topic": topic}) for n, topic in enumerate(topics)]
    maths = [topic == "maths" for topic in topics]
    verifiers = {
        "workers.add": train(examples, maths, date="d"),
        "workers.sell": train(examples, [not one for one in maths], date="d"),
    }
    return router(verifiers)


@pytest.mark.parametrize(
    ("scores", "found"),
    [
        ({"workers.a": 0.9, "workers.b": 0.7}, ("workers.a", 0.9)),
        ({"workers.a": 0.5, "workers.b": 0.7}, ("workers.b", 0.7)),
        ({"workers.a": 0.6, "workers.b": 0.1}, ("workers.a", 0.6)),
        ({"workers.a": 0.5, "workers.b": 0.1}, ("reasoners.think", 0.5)),
        ({"workers.a": 0.9, NONE: 0.4}, ("workers.a", 0.9)),
        ({"workers.a": 0.9, NONE: NONE_FROM}, (NONE, 0.5)),
        ({"workers.a": 0.1, NONE: 0.9}, (NONE, 0.9)),
    ],
)
def test_none_comes_first_then_the_best_worker_that_is_good_enough_then_the_reasoner(
    scores: dict[str, float], found: tuple[str, float]
) -> None:
    routing = router({target: Fixed(score) for target, score in scores.items()}).route("text", {})
    assert (routing.label, routing.confidence) == found
    assert set(routing.scores) == set(scores)


def test_a_worker_is_worth_what_it_keeps_from_the_reasoner_and_none_is_a_probability(real: Router) -> None:
    examples = [Example("How many pens?", {"topic": "maths"})]
    verifier = real.judges["workers.add"]
    assert worth("workers.add", verifier, examples) == verifier.keeps(examples)
    assert worth(NONE, verifier, examples) == verifier.scores(examples)


def test_a_trained_one_reads_text_and_data(real: Router) -> None:
    assert real.route("How many pens?", {"topic": "maths"}).label == "workers.add"
    assert real.route("How many pens?", {"topic": "trade"}).label == "workers.sell"
    assert replace(real, threshold=0.9).route("How many pens?", {"topic": "trade"}).label == "reasoners.think"


def test_an_artifact_comes_back_from_its_file_as_it_was(real: Router, tmp_path: Path) -> None:
    real.save(tmp_path / "router.zip")
    again = Router.load(tmp_path / "router.zip")
    assert again.to_bytes() == real.to_bytes()
    assert again.digest() == real.digest()
    assert again.route("How many pens?", {"topic": "trade"}) == real.route("How many pens?", {"topic": "trade"})
    assert (again.reasoner, again.threshold, again.comparison, again.date) == (
        "reasoners.think", 0.3, {"held_out": 40}, "2026-11-24",
    )  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["router.zip"]


def test_the_order_of_the_targets_does_not_matter_to_the_bytes(real: Router) -> None:
    assert router(dict(reversed(list(real.judges.items())))).to_bytes() == real.to_bytes()
    assert router(real.judges, threshold=0.31).digest() != real.digest()


def test_one_that_was_not_admitted_is_not_loaded(real: Router, tmp_path: Path) -> None:
    replace(real, admitted=False).save(tmp_path / "router.zip")
    with pytest.raises(ConfigError, match="--force"):
        Router.load(tmp_path / "router.zip")


def test_a_missing_file_is_an_error_that_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no router at .*escalon train router"):
        Router.load(tmp_path / "none.zip")


@pytest.mark.parametrize("cut", [0, 4, 2000])
def test_half_a_file_is_refused(real: Router, tmp_path: Path, cut: int) -> None:
    (tmp_path / "router.zip").write_bytes(real.to_bytes()[:cut])
    with pytest.raises(ConfigError, match="not a readable router"):
        Router.load(tmp_path / "router.zip")


@pytest.mark.parametrize(
    "change",
    [
        {"format": "escalon-verifier"},
        {"version": 99},
        {"targets": ["workers.add", "workers.missing"]},
        {"targets": None},
        {"targets": []},
        {"targets": [NONE]},
        {"threshold": None},
        {"threshold": "high"},
        {"date": ...},
        {"admitted": ...},
        {"threshold": ...},
    ],
    ids=str,
)
def test_a_file_of_another_kind_or_with_parts_missing_is_refused(
    real: Router, tmp_path: Path, change: dict[str, Any]
) -> None:
    real.save(tmp_path / "router.zip")
    with zipfile.ZipFile(tmp_path / "router.zip") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts[f"{NONE}.npz"] = parts["workers.add.npz"]
    header = json.loads(parts["header.json"]) | change
    parts["header.json"] = json.dumps({key: value for key, value in header.items() if value is not ...}).encode()
    with zipfile.ZipFile(tmp_path / "router.zip", "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    with pytest.raises(ConfigError):
        Router.load(tmp_path / "router.zip")


def test_a_broken_verifier_inside_is_refused(real: Router, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "router.zip", "w") as archive:
        archive.writestr(
            "header.json", json.dumps({"format": "escalon-router", "version": 1, "targets": ["workers.a"]})
        )
        archive.writestr("workers.a.npz", b"text")
    with pytest.raises(ConfigError):
        Router.load(tmp_path / "router.zip")
    assert real.admitted
