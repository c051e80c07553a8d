"""Measure how often a proven threshold is broken on unseen cases, and how many of them it accepts.

    python -m bench.guarantee --data DIR [--error 0.2] [--certainty 0.9] [--draws 500] [--seeds 3] [--json]

Reads mmlu_outcomes.jsonl from DIR; says "skipped" where it is not there. The score of a question is the cross-validated
probability of TF-IDF (of subject and question) with logistic regression that the worker is right. Of every draw n rows
calibrate, and the rest are the cases to come; it is broken when more of the accepted rest are wrong than was to be.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.threshold_rules import bonferroni_threshold, naive_threshold, plain_sequence
from streams.calibration.risk_control import (
    Correct,
    Scores,
    Target,
    ThresholdSelection,
    TooFew,
    select_threshold,
)

SIZES = (200, 500, 2000)
FILE = "mmlu_outcomes.jsonl"
Rule = Callable[[Scores, Correct, Target], ThresholdSelection | TooFew]


RULES: Mapping[str, Rule] = {
    "ours": select_threshold,
    "plain sequence": plain_sequence,
    "Bonferroni 8": bonferroni_threshold,
    "naive": naive_threshold,
}


def evaluate(
    scores: NDArray[np.float64],
    correct: NDArray[np.bool_],
    target: Target,
    sizes: Sequence[int] = SIZES,
    draws: int = 500,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """One row for each n and method: the share of broken draws and the mean coverage of the rest.

    Accepting nothing is not broken and covers 0. All methods see the same draws. Each n must be less than the cases.
    """
    rows = []
    for n in sizes:
        rng = np.random.default_rng([seed, n])
        broken, coverage = dict.fromkeys(RULES, 0), dict.fromkeys(RULES, 0.0)
        for _ in range(draws):
            order = rng.permutation(len(scores))
            seen, rest = order[:n], order[n:]
            for name, rule in RULES.items():
                found = rule(scores[seen], correct[seen], target)
                if isinstance(found, ThresholdSelection) and (accepted := scores[rest] >= found.threshold).any():
                    broken[name] += bool((~correct[rest][accepted]).mean() > target.max_error)
                    coverage[name] += float(accepted.mean())
        rows += [
            {"n": n, "method": name, "broken": broken[name] / draws, "coverage": round(coverage[name] / draws, 4)}
            for name in RULES
        ]
    return rows


def scored(file: Path) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Scores (rows,) and whether the worker was right (rows,); a row's score comes from the other four folds."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import KFold, cross_val_predict
    from sklearn.pipeline import make_pipeline

    records = [json.loads(line) for line in file.read_bytes().splitlines()]
    correct = np.array([bool(record["worker_correct"]) for record in records])
    words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    model = make_pipeline(words, LogisticRegression(C=2, max_iter=400))
    folds = KFold(5, shuffle=True, random_state=0)
    texts = [f"{record['subject']} {record['prompt']}" for record in records]
    return cross_val_predict(model, texts, correct, cv=folds, method="predict_proba")[:, 1], correct


def main() -> None:
    """Parse the arguments, score the rows once, print the rows of every seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--error", type=float, default=0.2)
    parser.add_argument("--certainty", type=float, default=0.9)
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    file = arguments.data / FILE
    if not file.is_file():
        print(f"{FILE}: skipped, not in {arguments.data}")
        return
    target = Target(arguments.error, arguments.certainty)
    scores, correct = scored(file)
    for seed in range(arguments.seeds):
        for row in evaluate(scores, correct, target, draws=arguments.draws, seed=seed):
            plain = "seed {seed}  n {n:5}  {method:15} broken {broken:.3f}  coverage {coverage:.3f}"
            print(json.dumps({"seed": seed, **row}) if arguments.json else plain.format(seed=seed, **row))


if __name__ == "__main__":
    main()
