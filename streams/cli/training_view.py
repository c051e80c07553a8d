"""The figures of a newly trained model on a terminal, each with its unit and a word of explanation."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from streams.cli.console import out, table

OUT_OF_FOLD = "Measured on rows that the model had not seen (5 folds)"


def print_classifier(metrics: Mapping[str, Any]) -> None:
    """Print how well a text classifier finds its labels, and what it takes each label's rows for."""
    counts: Mapping[str, int] = metrics["rows_per_label"]
    rows, often = metrics["rows"], max(counts, key=lambda label: counts[label])
    guess = f"of {rows} rows; always saying {often}: {counts[often] / rows:.1%}"
    evenly = f"0 is perfect, guessing evenly {math.log(len(counts)):.3f}"
    shown = [
        ("accuracy", f"{metrics['accuracy']:.1%}", guess),
        *_confidence(metrics, evenly, "0 is perfect, 2 the worst"),
    ]
    out.print(table(["measure", "value", "meaning"], shown, OUT_OF_FOLD, right=(1,)))
    confused = [(label, counts[label], _taken_for(metrics["confusion"][label])) for label in counts]
    out.print()
    out.print(table(["label", "rows", "taken for"], confused))


def print_verifier(metrics: Mapping[str, Any]) -> None:
    """Print how well a verifier predicts which answers are right."""
    for head in (head for head in ("worker", "reasoner") if head in metrics):
        title = f"Predicting whether the {head}'s answer is right, for rows that the model had not seen"
        out.print(table(["measure", "value", "meaning"], list(_verifier_rows(metrics[head])), title, right=(1,)))
    out.print(f"Trained on {metrics['rows']} answers.")


def _verifier_rows(figures: Mapping[str, float]) -> Iterator[tuple[str, str, str]]:
    yield "right answers", f"{figures['right']:.1%}", "of the rows"
    yield "AUC", f"{figures['auc']:.3f}", "chance that a right answer scores above a wrong one"
    yield from _confidence(figures, "0 is perfect, a coin 0.693", "0 is perfect, a coin 0.5")


def _confidence(figures: Mapping[str, float], log_loss: str, brier: str) -> Iterator[tuple[str, str, str]]:
    yield "ECE", f"{100 * figures['ece']:.1f} points", "mean gap between confidence and share right"
    yield "log loss", f"{figures['log_loss']:.3f} nats", log_loss
    yield "Brier score", f"{figures['brier']:.3f}", brier


def _taken_for(found: Mapping[str, int]) -> str:
    return ", ".join(f"{label} {count}" for label, count in found.items())
