"""The figures of trained models have units, and say what each label's rows were taken for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from streams.cli.training_view import print_classifier, print_verifier

ROUGH = {"log_loss": 0.195, "brier": 0.109, "ece": 0.05}
CLASSIFIER = ROUGH | {
    "rows": 200,
    "accuracy": 0.945,
    "rows_per_label": {"order": 137, "other": 63},
    "confusion": {"order": {"order": 136, "other": 1}, "other": {"other": 53, "order": 10}},
}
VERIFIER: Mapping[str, Any] = {"rows": 80, "worker": ROUGH | {"right": 0.75, "auc": 0.9}}


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_a_classifiers_figures_are_compared_with_guessing(capsys: pytest.CaptureFixture[str]) -> None:
    print_classifier(CLASSIFIER)
    shown = lines(capsys)
    assert "accuracy 94.5% of 200 rows; always saying order: 68.5%" in shown
    assert "ECE 5.0 points mean gap between confidence and share right" in shown
    assert "log loss 0.195 nats 0 is perfect, guessing evenly 0.693" in shown
    assert "other 63 other 53, order 10" in shown


def test_a_verifiers_figures_are_those_of_the_heads_that_it_has(capsys: pytest.CaptureFixture[str]) -> None:
    print_verifier(VERIFIER)
    shown = lines(capsys)
    assert "right answers 75.0% of the rows" in shown
    assert "AUC 0.900 chance that a right answer scores above a wrong one" in shown
    assert not any("reasoner" in line for line in shown)
    assert "Trained on 80 answers." in shown
