"""A judge of tasks by their words: the trained classifier, asked whether a task will be answered well.

The verifier reads the shape of a task and its categories; where words separate the hard tasks from the easy ones, this
one sees more.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streams.core.errors import ConfigError
from streams.models.listeners.classifier import Classifier
from streams.models.listeners.training import train
from streams.models.verifier.example import Example

YES, NO = "yes", "no"


@dataclass(frozen=True, eq=False)
class TextVerifier:
    """Judges by `classifier`, whose labels are `yes` and `no`."""

    classifier: Classifier

    def __post_init__(self) -> None:
        if set(self.classifier.labels) != {YES, NO}:
            raise ConfigError("This classifier judges no tasks.", "Train the router again.")

    def scores(self, examples: Sequence[Example]) -> NDArray[np.float64]:
        """Return P(yes) of shape (n,)."""
        yes = self.classifier.labels.index(YES)
        scores: NDArray[np.float64] = self.classifier.probabilities([_text(one) for one in examples])[:, yes]
        return scores

    def keeps(self, examples: Sequence[Example]) -> NDArray[np.float64]:
        """Return P / 2, like a verifier that does not know the reasoner, so that the two can be compared."""
        return self.scores(examples) / 2.0

    def log_loss(self) -> float:
        """Out of fold, in nats."""
        return float(self.classifier.provenance.metrics["log_loss"])

    def to_bytes(self) -> bytes:
        return self.classifier.to_bytes()


def train_words(examples: Sequence[Example], truth: Sequence[bool], *, seed: int, date: str) -> TextVerifier | None:
    """Fit one; None where there are too few different texts of either kind."""
    rows = [(_text(one), YES if right else NO) for one, right in zip(examples, truth, strict=True)]
    try:
        return TextVerifier(train([row for row in rows if row[0].strip()], seed=seed, date=date))
    except ConfigError:
        return None


def _text(example: Example) -> str:
    return example.text or (json.dumps(dict(example.data), ensure_ascii=False) if example.data else "")
