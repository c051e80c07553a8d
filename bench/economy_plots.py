"""The figures of bench/economy.py as pictures, each as SVG and PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.economy_curves import Floats, Outcomes, accuracies, asked_first
from bench.economy_product import Decided
from streams.evaluation.plots import Draws, plot_cost_quality, plot_draws, plot_reliability
from streams.evaluation.reliability import reliability

LEGEND = {
    "confidence": "P(worker right)",
    "gain": "expected gain",
    "tfidf_before": "TF-IDF, before the answer",
    "tfidf_after": "TF-IDF, answer read",
    "oracle": "oracle",
}
TITLES = {"gsm8k": "GSM8K, answer read", "mmlu": "MMLU, before the answer"}
SUFFIXES = (".svg", ".png")


def draw_set(directory: Path, name: str, needs: Mapping[str, Floats], outcomes: Outcomes, decided: Decided) -> None:
    """Cost against quality, and how far the calibrated probabilities hold on the test rows."""
    n = len(outcomes.worker)
    share = np.arange(n + 1) / n
    curves = {
        LEGEND[method]: (share.tolist(), accuracies(asked_first(need), outcomes).tolist())
        for method, need in needs.items()
    }
    measured = reliability(decided.probability, outcomes.worker.astype(np.bool_))
    worker, reasoner = float(outcomes.worker.mean()), float(outcomes.reasoner.mean())
    for suffix in SUFFIXES:
        title = f"{TITLES[name]}: cost and quality, {n:,} test rows"
        plot_cost_quality(directory / f"{name}-cost{suffix}", curves, title, worker=worker, reasoner=reasoner)
        plot_reliability(directory / f"{name}-reliability{suffix}", measured, f"{TITLES[name]}: calibrated verifier")


def draw_guarantee(directory: Path, score: str, rows: Sequence[Mapping[str, Any]], title: str, allowed: float) -> None:
    """Broken draws and coverage of one score."""
    drawn = [Draws(row["method"], row["n"], row["broken"], row["coverage"]) for row in rows]
    for suffix in SUFFIXES:
        plot_draws(directory / f"guarantee-{score}{suffix}", drawn, title, allowed=allowed)
