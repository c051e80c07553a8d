"""The coverage of the intervals of what-if, on recorded streams whose truth is known.

    python -m bench.what_if --data DIR [--seeds 100] [--same-events] [--sizes 500 2000] [--json]

Reads mmlu_outcomes.jsonl and gsm8k_outcomes.jsonl from DIR, prints "skipped" for a missing file, and adds a made-up
stream that no line through the score predicts. A score is the cross-validated probability of TF-IDF with logistic
regression that the worker is right; where answers are not recorded, two answers agree when both are right; a call
costs its characters / 4 as tokens. Each seed draws the events with replacement, so that the truth is that of the file,
then what was explored and labelled; with --same-events only the latter, and each file is taken whole. The naive
estimate keeps of the escalated events the explored share, as rejection sampling does, and takes the mean.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.what_if_stream import Logging, World, recorded, world
from streams.core.answer_comparison import number_in
from streams.core.fingerprint import draw
from streams.evaluation.what_if.change import SettingChange, parse_change
from streams.evaluation.what_if.history import History, PastEvent
from streams.evaluation.what_if.what_if import WhatIf, what_if
from streams.pipeline.code import ANY_PYTHON
from streams.pipeline.load import Pipeline, load_pipeline

FILES = ("mmlu_outcomes.jsonl", "gsm8k_outcomes.jsonl")
EXPLORED = (0.01, 0.05, 0.2)
TARGETS = ((0.3, "down"), (0.7, "up"))
"""The share of events under the new threshold; half are under the one then."""
WORKER_USD_PER_TOKEN, REASONER_USD_PER_TOKEN = 0.5e-6, 30e-6
PIPELINE = """
name = "bench"
[listeners.rules]
kind = "rules"
[listeners.rules.rules]
task = ["."]
[routes]
task = "workers.answer"
unsure = "ignore"
[workers.answer]
handler = "json:dumps"
[reasoners.think]
handler = "json:dumps"
"""


@dataclass(frozen=True, slots=True)
class Setting:
    """One cell of the table."""

    count: int
    how: Logging
    threshold: float


def measure(of: World, setting: Setting, pipeline: Pipeline, seeds: int, *, same_events: bool) -> dict[str, Any]:
    """The share of seeds whose interval holds the truth, and the mean width, by figure and estimator."""
    how = setting.how
    change = parse_change([f"workers.answer.threshold={setting.threshold}"], pipeline)
    before, after = (of.truth(one, how.explore, how.labels) for one in (how.threshold, setting.threshold))
    rows: dict[str, list[tuple[bool, float]]] = {}
    for seed in range(seeds):
        rng = np.random.default_rng([seed, setting.count])
        events = recorded(of if same_events else of.drawn(setting.count, rng), how, rng)
        found = what_if(History(events=events), change, pipeline, how.labels)
        intervals = [*_intervals(found), *_naive(events, change, how)]
        for name, low, high in intervals:
            measured, _, difference = name.partition(" ")
            truth = after[measured] - (before[measured] if difference.startswith("difference") else 0.0)
            rows.setdefault(name, []).append((low <= truth <= high, high - low))
    return {
        name: {
            "held": round(float(np.mean([held for held, _ in some])), 3),
            "width": float(np.mean([w for _, w in some])),
        }
        for name, some in rows.items()
    }


def _intervals(found: WhatIf) -> Iterator[tuple[str, float, float]]:
    for figure in (found.accuracy, found.cost):
        assert figure is not None
        yield figure.name, figure.then.low, figure.then.high
        yield f"{figure.name} difference", figure.difference.low, figure.difference.high
        for name, check in zip(("HT", "Hájek"), figure.check, strict=True):
            yield f"{figure.name} difference {name}", check.low, check.high


def _naive(events: Sequence[PastEvent], change: SettingChange, how: Logging) -> Iterator[tuple[str, float, float]]:
    """The accuracy with the change on the explored events and as large a share of the escalated ones."""
    known = [past for past in events if past.worker_right is not None and past.reasoner_right is not None]
    kept = [past for past in known if past.explored or draw("thin", past.event_id) < how.explore]
    new = change.thresholds["answer"]
    rights = [p.worker_right if p.attempt and new.accepts(p.attempt) else p.reasoner_right for p in kept]
    values = np.array(rights, dtype=np.float64)
    if len(values) > 1:
        reach = 1.96 * float(values.std(ddof=1)) / len(values) ** 0.5
        yield "accuracy naive", float(values.mean()) - reach, float(values.mean()) + reach


def streams(directory: Path) -> Iterator[tuple[str, World]]:
    """The streams there are."""
    for file in FILES:
        if (directory / file).is_file():
            yield file.partition("_")[0], _world(directory / file)
        else:
            print(f"{file}: skipped, not in {directory}")
    yield "made up", world(20_000, seed=1, odd=True)


def _world(file: Path) -> World:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import KFold, cross_val_predict
    from sklearn.pipeline import make_pipeline

    rows = [json.loads(line) for line in file.read_bytes().splitlines()]
    right, theirs = (np.array([bool(row[f"{who}_correct"]) for row in rows]) for who in ("worker", "reasoner"))
    model = make_pipeline(TfidfVectorizer(min_df=2, sublinear_tf=True), LogisticRegression(C=2, max_iter=400))
    folds = KFold(5, shuffle=True, random_state=0)
    score = cross_val_predict(model, [row["prompt"] for row in rows], right, cv=folds, method="predict_proba")[:, 1]
    names = sorted({row.get("subject", "") for row in rows})
    told = [(row.get("worker_response"), row.get("reasoner_response")) for row in rows]
    same = [number_in(own) == number_in(other) is not None if own and other else None for own, other in told]
    both = right & theirs
    tokens = np.array(
        [[len(row["prompt"] + (said or "")) / 4 for said in pair] for row, pair in zip(rows, told, strict=True)]
    )
    return World(
        score,
        np.array([names.index(row.get("subject", "")) for row in rows]),
        right,
        theirs,
        np.array([alike if one is None else one for one, alike in zip(same, both, strict=True)]),
        tokens[:, 0] * WORKER_USD_PER_TOKEN,
        tokens[:, 1] * REASONER_USD_PER_TOKEN,
    )


def settings(of: World, sizes: Sequence[int]) -> Iterator[Setting]:
    """Every cell: sizes, labels, exploration, a threshold up and one down."""
    for size in sizes:
        for how in (Logging(labels="reasoner"), Logging(labels="people", labelled=0.3)):
            for explore in EXPLORED:
                then = replace(how, threshold=float(np.quantile(of.score, 0.5)), explore=explore)
                for share, _ in TARGETS:
                    yield Setting(size, then, float(np.quantile(of.score, share)))


def main() -> None:
    """Parse the arguments and print a row for each cell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--sizes", type=int, nargs="+", default=[500, 2000])
    parser.add_argument("--same-events", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "pipeline.toml").write_text(PIPELINE, "utf-8")
        pipeline = load_pipeline(Path(directory) / "pipeline.toml", ANY_PYTHON)
        for name, of in streams(arguments.data):
            sizes = [len(of.score)] if arguments.same_events else arguments.sizes
            for cell in settings(of, sizes):
                found = measure(of, cell, pipeline, arguments.seeds, same_events=arguments.same_events)
                way = "down" if cell.threshold < cell.how.threshold else "up"
                head = {
                    "stream": name,
                    "n": cell.count,
                    "labels": cell.how.labels,
                    "explore": cell.how.explore,
                    "to": way,
                }
                print(json.dumps(head | found) if arguments.json else _line(head, found), flush=True)


def _line(head: dict[str, Any], found: dict[str, Any]) -> str:
    cells = "  ".join(f"{name} {row['held']:.2f} (width {row['width']:.4g})" for name, row in found.items())
    return " ".join(map(str, head.values())) + ": " + cells


if __name__ == "__main__":
    main()
