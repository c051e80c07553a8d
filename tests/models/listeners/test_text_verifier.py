"""The judge of words."""

from __future__ import annotations

import numpy as np
import pytest

from streams.core.errors import ConfigError
from streams.models.listeners.classifier import Classifier
from streams.models.listeners.text_verifier import TextVerifier, train_words
from streams.models.listeners.training import train
from streams.models.verifier.example import Example

EXAMPLES = [Example(text=f"{'refund' if n % 2 else 'tracking'} of order {n}", data={}, answer=None) for n in range(60)]
TRUTH = [bool(n % 2) for n in range(60)]


def test_it_separates_tasks_by_their_words_and_comes_back_equal_from_its_bytes() -> None:
    made = train_words(EXAMPLES, TRUTH, seed=0, date="2026-11-24")
    assert made is not None
    again = TextVerifier(Classifier.from_bytes(made.to_bytes(), "test"))
    yes, no = again.scores([Example("a refund please", {}, None), Example("tracking please", {}, None)])
    assert yes > 0.8 > 0.2 > no
    assert np.array_equal(again.keeps(EXAMPLES), made.scores(EXAMPLES) / 2)
    assert made.log_loss() < 0.2


def test_a_task_without_text_is_judged_by_its_data() -> None:
    data = [Example("", {"kind": "refund" if right else "tracking", "n": n}, None) for n, right in enumerate(TRUTH)]
    made = train_words(data, TRUTH, seed=0, date="")
    assert made is not None
    assert made.scores([Example("", {"kind": "refund"}, None)])[0] > 0.5


def test_too_few_texts_make_none() -> None:
    assert train_words(EXAMPLES[:6], TRUTH[:6], seed=0, date="") is None
    assert train_words([Example("", {}, None)] * 60, TRUTH, seed=0, date="") is None


def test_a_classifier_of_other_labels_is_refused() -> None:
    intents = train([(f"{label} number {n}", label) for n in range(8) for label in ("order", "question")])
    with pytest.raises(ConfigError, match="judges no tasks"):
        TextVerifier(intents)
