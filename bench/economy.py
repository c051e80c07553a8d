"""A benchmark of escalation: cost against quality, the guarantee, and the trained listener.

    python -m bench.economy --train DIR --test DIR [--json] [--plots DIR]

DIR holds gsm8k_outcomes.jsonl, mmlu_outcomes.jsonl, snips_intents.jsonl and sms_spam.jsonl; a set that is not in both
directories is skipped. Recorded answers of a weak model (the worker) and a strong one (the reasoner) go through the
product's own code. Trains on all of --train and measures on all of --test; where both are one directory it splits by
itself, seeded. One core, some minutes.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

import numpy as np

from bench import guarantee
from bench.economy_curves import (
    SHARES,
    Floats,
    Outcomes,
    accuracies,
    apgr_interval,
    asked_first,
    at_shares,
    figures,
    random_figures,
)
from bench.economy_data import (
    SEED,
    TRAINED,
    Parts,
    outcomes_of,
    read_parts,
    tfidf_cross_validated,
    tfidf_scores,
    words_after,
    words_before,
)
from bench.economy_intents import INTENTS, measure_listener
from bench.economy_plots import draw_guarantee, draw_set
from bench.economy_product import Decided, assessed, routed
from bench.economy_report import show
from bench.economy_stages import run_stages
from streams.calibration.risk_control import Target
from streams.cli.console import print_json
from streams.core.errors import ConfigError
from streams.evaluation.reliability import Reliability, reliability

Figures = dict[str, Any]
Way = Callable[[Parts, Path, int], Decided]
SETS: Mapping[str, tuple[str, Way]] = {
    "gsm8k": ("gsm8k_outcomes.jsonl", assessed),
    "mmlu": ("mmlu_outcomes.jsonl", routed),
}
GUARANTEED = "mmlu"
SCORES = {"tfidf": "MMLU, TF-IDF score", "verifier": "MMLU, our score"}
PROMISE = Target(0.2, 0.9)
DRAWS = 500


def needs_of(parts: Parts, decided: Decided, outcomes: Outcomes) -> dict[str, Floats]:
    """Each test row's need of the reasoner, by each way to choose; shape (n,), the greatest goes first."""
    needs = {
        **{"confidence": -decided.probability, "gain": decided.gains, decided.decided_by: -decided.value},
        "tfidf_before": -tfidf_scores(parts, words_before),
    }
    needs["oracle"] = outcomes.reasoner - outcomes.worker
    if decided.scorer is not None:
        needs["tfidf_after"] = -tfidf_scores(parts, words_after)
    return needs


def measure_set(parts: Parts, decided: Decided, needs: Mapping[str, Floats]) -> Figures:
    """All figures of one set."""
    outcomes = outcomes_of(parts.test)
    calibrated = reliability(decided.probability, outcomes.worker.astype(np.bool_))
    return {
        "n": len(parts.test),
        "n_train": len(parts.train),
        "routed_by": decided.decided_by,
        "accuracy": {"worker": float(outcomes.worker.mean()), "reasoner": float(outcomes.reasoner.mean())},
        "shares": SHARES,
        "methods": {name: _method(need, outcomes) for name, need in needs.items()} | _constant(outcomes),
        "calibration": _calibration(calibrated) | {"method": decided.calibrator.method},
        "threshold": measure_threshold(parts, decided, outcomes),
    }


def measure_threshold(parts: Parts, decided: Decided, outcomes: Outcomes) -> Figures:
    """Return the figures at the calibrated threshold, by the curve and by the stages, which must agree."""
    curve = accuracies(asked_first(-decided.value), outcomes)
    for threshold in [decided.threshold, *np.quantile(decided.value, SHARES)]:
        passed_on = decided.escalated(threshold)
        right = np.where(passed_on, outcomes.reasoner, outcomes.worker).sum()
        assert right == round(curve[passed_on.sum()] * len(curve[1:])), f"the curve is not the product's at {threshold}"
    passed_on = decided.escalated(decided.threshold)
    run = run_stages(parts.test, decided)
    assert run.reasoner_calls == passed_on.sum(), "the stages ask another number of times than the curve"
    assert run.right / run.n == curve[run.reasoner_calls], "the stages are right another number of times than the curve"
    accepted = outcomes.worker[~passed_on]
    return {
        "aim": decided.aim,
        "threshold": decided.threshold,
        "share": run.reasoner_calls / run.n,
        "accuracy": run.right / run.n,
        "error_accepted": float(1 - accepted.mean()) if len(accepted) else None,
    }


def measure_guarantee(parts: Parts, decided: Decided) -> Figures:
    """Broken draws and coverage over train and test rows, each scored by a model that has not seen it."""
    rows = [*parts.train, *parts.test]
    correct = np.array([row.worker_correct for row in rows])
    sizes = [n for n in guarantee.SIZES if n < len(rows)]
    scores: dict[str, Floats] = {
        "tfidf": tfidf_cross_validated(rows),
        "verifier": np.concatenate([decided.learnt.scores, decided.scores]),
    }
    return {
        "n": len(rows),
        "max_error": PROMISE.max_error,
        "certainty": PROMISE.certainty,
        "draws": DRAWS,
        "skipped_sizes": [n for n in guarantee.SIZES if n >= len(rows)],
        "scores": {
            name: guarantee.evaluate(score, correct, PROMISE, sizes, DRAWS, 0) for name, score in scores.items()
        },
    }


def _method(need: Floats, outcomes: Outcomes) -> Figures:
    interval = apgr_interval(need, outcomes)
    return {**asdict(figures(need, outcomes)), "apgr_interval": interval, "accuracies": at_shares(need, outcomes)}


def _constant(outcomes: Outcomes) -> Figures:
    """The ways to choose that look at nothing."""
    worker, reasoner = float(outcomes.worker.mean()), float(outcomes.reasoner.mean())
    random = {**asdict(random_figures(outcomes)), "accuracies": [worker + share * outcomes.gap for share in SHARES]}
    always = {
        "always_worker": {"share": 0.0, "accuracy": worker},
        "always_reasoner": {"share": 1.0, "accuracy": reasoner},
    }
    return {"random": random, **always}


def _calibration(measured: Reliability) -> Figures:
    return {name: getattr(measured, name) for name in ("ece", "ece_interval", "brier", "log_loss")}


def run(train: Path, test: Path, plots: Path | None) -> Figures:
    """Every figure; what cannot be measured maps to {"skipped": why}."""
    started, own = time.perf_counter(), train.resolve() == test.resolve()
    found: Figures = {"split": {"own": own, "trained": TRAINED if own else None, "seed": SEED if own else None}}
    found |= {"sets": {}, "guarantee": {"skipped": f"{GUARANTEED} is skipped"}, "intents": {}}
    for name, (file, way) in SETS.items():
        report(started, name)
        parts = read_parts(file, train, test)
        if isinstance(parts, str):
            found["sets"][name] = {"skipped": parts}
            continue
        try:
            found |= _measured(found, name, parts, way, plots)
        except ConfigError as error:
            found["sets"][name] = {"skipped": f"{error}"}
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # a tokenizer's threads would flatter the speed
    for name in INTENTS:
        report(started, name)
        found["intents"][name] = measure_listener(name, train, test)
    return found | {"seconds": round(time.perf_counter() - started, 1)}


def report(started: float, what: str) -> None:
    """Say on standard error what begins."""
    print(f"{time.perf_counter() - started:4.0f} s  {what} …", file=sys.stderr)


def _measured(found: Figures, name: str, parts: Parts, way: Way, plots: Path | None) -> Figures:
    """The parts of the figures that one set decides, drawn as well where `plots` says where to."""
    with tempfile.TemporaryDirectory() as directory:
        decided = way(parts, Path(directory), SEED)
    outcomes = outcomes_of(parts.test)
    needs = needs_of(parts, decided, outcomes)
    measured = {"sets": found["sets"] | {name: measure_set(parts, decided, needs)}}
    if name == GUARANTEED:
        measured["guarantee"] = measure_guarantee(parts, decided)
    if plots is not None:
        draw_set(plots, name, needs, outcomes, decided)
        for score, rows in measured.get("guarantee", {}).get("scores", {}).items():
            title = f"{SCORES[score]}: at most {100 * PROMISE.max_error:g} % wrong, {DRAWS} draws"
            draw_guarantee(plots, score, rows, title, PROMISE.risk)
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, required=True, help="directory of the rows to learn from")
    parser.add_argument("--test", type=Path, required=True, help="directory of the rows to measure on")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--plots", type=Path, help="directory for figures, as SVG and PNG")
    arguments = parser.parse_args()
    if arguments.plots is not None:
        arguments.plots.mkdir(parents=True, exist_ok=True)
    found = run(arguments.train, arguments.test, arguments.plots)
    if arguments.json:
        print_json(found)
    else:
        show(found)


if __name__ == "__main__":
    main()
