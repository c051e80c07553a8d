"""The trained listener on rows of --train and --test, measured by bench/listener.py."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench import listener
from bench.economy_data import missing_file
from streams.models.listeners.embedding import NgramHasher
from streams.models.listeners.training import Row, read_labelled

INTENTS = tuple(listener.SETS)
SEEDS = 5
"""Random choices of the rows an intent is learnt from."""


def measure_listener(name: str, train: Path, test: Path) -> dict[str, Any]:
    """Accuracy, calibration and speed of the trained listener, as bench/listener.py measures them."""
    file, own_split = listener.SETS[name]
    if reason := missing_file(file, train, test):
        return {"skipped": reason}
    rows = read_labelled(train / file)
    if train.resolve() == test.resolve():
        seeds, split = SEEDS, own_split
    else:
        asked = read_labelled(test / file)
        chosen = name == "snips"
        seeds, split = (SEEDS if chosen else 1), _against(asked, own_split if chosen else listener.take_share(1.0))
    n_train, n_test = map(len, split(rows, np.random.default_rng(0)))
    return {"n_train": n_train, "n": n_test, "seeds": seeds, **listener.evaluate(rows, split, NgramHasher(), seeds)}


def _against(asked: list[Row], chosen: listener.Split) -> listener.Split:
    def split(rows: Sequence[Row], rng: np.random.Generator) -> tuple[list[Row], list[Row]]:
        return chosen(rows, rng)[0], asked

    return split
