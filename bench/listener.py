"""Accuracy, calibration and speed of the trained listener, on one core.

    python -m bench.listener --data DIR [--seeds 5] [--json]

Reads snips_intents.jsonl (40 rows an intent train, the rest test) and sms_spam.jsonl (70 % train, 30 % test)
from DIR; says "skipped" where a file is not there.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from streams.models.listeners.classifier import Classifier
from streams.models.listeners.embedding import NgramHasher
from streams.models.listeners.training import Row, measure, read_labelled, train

Split = Callable[[Sequence[Row], np.random.Generator], tuple[list[Row], list[Row]]]
FEATURES: Mapping[str, NgramHasher | None] = {"embedding": None, "embedding + n-grams": NgramHasher()}


def take_per_label(count: int) -> Split:
    """A split with `count` training rows of every label."""

    def split(rows: Sequence[Row], rng: np.random.Generator) -> tuple[list[Row], list[Row]]:
        left = dict.fromkeys((label for _, label in rows), count)
        train_rows: list[Row] = []
        test_rows: list[Row] = []
        for place in rng.permutation(len(rows)):
            text, label = rows[place]
            left[label] -= 1
            (train_rows if left[label] >= 0 else test_rows).append((text, label))
        return train_rows, test_rows

    return split


def take_share(share: float) -> Split:
    """A stratified split with `share` of every label's rows in training."""

    def split(rows: Sequence[Row], rng: np.random.Generator) -> tuple[list[Row], list[Row]]:
        train_rows: list[Row] = []
        test_rows: list[Row] = []
        for label in sorted({label for _, label in rows}):
            own = [row for row in rows if row[1] == label]
            order = rng.permutation(len(own))
            cut = round(share * len(own))
            train_rows += [own[place] for place in order[:cut]]
            test_rows += [own[place] for place in order[cut:]]
        return train_rows, test_rows

    return split


SETS: Mapping[str, tuple[str, Split]] = {
    "snips": ("snips_intents.jsonl", take_per_label(40)),
    "sms": ("sms_spam.jsonl", take_share(0.7)),
}


def evaluate(rows: Sequence[Row], split: Split, hasher: NgramHasher | None, seeds: int) -> dict[str, float]:
    """Means over the seeds; `ece_pooled` is over the test rows of all seeds, so less biased by small bins."""
    measured, probabilities, truths = [], [], []
    for seed in range(seeds):
        train_rows, test_rows = split(rows, np.random.default_rng(seed))
        classifier = train(train_rows, hasher=hasher, seed=seed)
        probabilities.append(classifier.probabilities([text for text, _ in test_rows]))
        truths.append(np.array([classifier.labels.index(label) for _, label in test_rows]))
        measured.append(measure(probabilities[-1], truths[-1]))
    pooled = measure(np.concatenate(probabilities), np.concatenate(truths))
    means = {name: float(np.mean([one[name] for one in measured])) for name in measured[0]}
    lowest = min(one["accuracy"] for one in measured)
    return {**means, "accuracy_lowest": lowest, "ece_pooled": pooled["ece"], **speed(classifier, test_rows)}


def speed(classifier: Classifier, rows: Sequence[Row]) -> dict[str, float]:
    """Events a second, in batches of 100 and one at a time; the median of five rounds of 1,000 events."""
    texts = [rows[place % len(rows)][0] for place in range(1000)]
    batches = [texts[start : start + 100] for start in range(0, 1000, 100)]
    return {"batch_per_s": _rate(classifier, batches), "single_per_s": _rate(classifier, [[text] for text in texts])}


def _rate(classifier: Classifier, batches: Sequence[list[str]]) -> float:
    rates = []
    for _ in range(5):
        started = time.perf_counter()
        for batch in batches:
            classifier.predict(batch)
        rates.append(sum(map(len, batches)) / (time.perf_counter() - started))
    return float(np.median(rates))


def run(data: Path, seeds: int) -> dict[str, dict[str, Any]]:
    """The figures of every set and feature choice; a set that is not in `data` maps to {"skipped": why}."""
    figures: dict[str, dict[str, Any]] = {}
    for name, (file, split) in SETS.items():
        if not (data / file).is_file():
            figures[name] = {"skipped": f"{file} is not in the data directory"}
            continue
        rows = read_labelled(data / file)
        figures[name] = {kind: evaluate(rows, split, hasher, seeds) for kind, hasher in FEATURES.items()}
    return figures


def show(figures: Mapping[str, Mapping[str, Any]]) -> None:
    """Print the figures as a table."""
    for name, kinds in figures.items():
        if "skipped" in kinds:
            print(f"{name}: skipped, {kinds['skipped']}")
            continue
        for kind, values in kinds.items():
            print(f"{name}, {kind}: " + ", ".join(_cell(key, value) for key, value in values.items()))


def _cell(key: str, value: float) -> str:
    return f"{key} {value:,.0f}" if key.endswith("_per_s") else f"{key} {value:.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("data"), help="directory of the data sets")
    parser.add_argument("--seeds", type=int, default=5, help="number of random splits")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    figures = run(arguments.data, arguments.seeds)
    if arguments.json:
        print(json.dumps(figures, indent=2))
    else:
        show(figures)


if __name__ == "__main__":
    main()
