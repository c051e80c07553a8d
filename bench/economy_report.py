"""The figures of bench/economy.py as tables for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streams.cli.console import out, table

Figures = Mapping[str, Any]

NAMES = {
    "confidence": "ours, by P(worker right)",
    "gain": "ours, by expected gain",
    "tfidf_before": "TF-IDF, before the answer",
    "tfidf_after": "TF-IDF, answer read",
    "random": "random (mean of 50)",
    "always_worker": "always worker",
    "always_reasoner": "always reasoner",
    "oracle": "oracle",
}
SHORT = {
    "confidence": "P(right)",
    "gain": "gain",
    "tfidf_before": "TF-IDF before",
    "tfidf_after": "TF-IDF after",
    "random": "random",
    "oracle": "oracle",
}
REFERENCES: Mapping[str, Mapping[str, float]] = {
    "gsm8k": {"tfidf_before": 0.55, "tfidf_after": 0.62, "random": 0.5},
    "mmlu": {"tfidf_before": 0.60, "random": 0.5},
}
"""APGR on the whole sets, 1,319 and 14,042 questions."""
TREES = 0.79
"""APGR on GSM8K of boosted trees over the answer's shape and its recomputed arithmetic, on the whole set."""
NOTES = {
    "gsm8k": f"Reference: the whole set; there boosted trees over answer and arithmetic reach an APGR of {TREES}.",
    "mmlu": "Reference: the whole set.",
}
DECIDED_BY = {"confidence": "P(worker right)", "gain": "expected gain"}
WHEN = {"gsm8k": "answer read", "mmlu": "before the answer"}


def show(found: Figures) -> None:
    """Print everything."""
    split = found["split"]
    if split["own"]:
        share, seed = split["trained"], split["seed"]
        out.print(
            f"--train and --test are one directory: split by this script, {percent(share)} of the different prompts to "
            f"train on, seed {seed}; the listener's sets as in bench/listener.py."
        )
    for name, figures in found["sets"].items():
        out.print()
        _show_set(name, figures)
    out.print()
    _show_guarantee(found["guarantee"])
    out.print()
    _show_intents(found["intents"])
    out.print(f"\n{found['seconds']:.0f} s on one core.")


def percent(share: float) -> str:
    """A share as whole per cent."""
    return f"{100 * share:.0f} %"


def _show_set(name: str, figures: Figures) -> None:
    if "skipped" in figures:
        out.print(f"{name}: skipped, {figures['skipped']}", markup=False)
        return
    routed_by = figures["routed_by"]
    worker, reasoner = figures["accuracy"]["worker"], figures["accuracy"]["reasoner"]
    out.print(
        f"[bold]{name}[/bold] ({WHEN[name]}): {figures['n']:,} test rows, {figures['n_train']:,} to train on; "
        f"worker alone {worker:.3f} right, reasoner alone {reasoner:.3f}."
    )
    rows = [_method_row(name, method, figures["methods"][method]) for method in NAMES if method in figures["methods"]]
    out.print(table(["routed by", "APGR", "95 % interval", "CPT50", "CPT80", "at 95 %", "reference"], rows))
    out.print(f"{NOTES[name]} At 95 %: of the reasoner's accuracy. The product decides by {DECIDED_BY[routed_by]}.")
    curves = {method: figures["methods"][method]["accuracies"] for method in SHORT if method in figures["methods"]}
    shares = [(percent(share), *values) for share, *values in zip(figures["shares"], *curves.values(), strict=True)]
    out.print(table(["asked", *(SHORT[method] for method in curves)], shares, "Accuracy by share of reasoner calls"))
    _show_threshold(figures["threshold"], figures["calibration"])


def _method_row(name: str, method: str, figures: Figures) -> tuple[Any, ...]:
    reference = REFERENCES[name].get(method)
    if "apgr" not in figures:
        share = figures["share"] or None
        return NAMES[method], None if share else 0.0, None, share, share, share, reference
    interval = figures.get("apgr_interval")
    shown = f"{interval[0]:.3f} – {interval[1]:.3f}" if interval else None
    key = ("cpt50", "cpt80", "share_at_95")
    return NAMES[method], figures["apgr"], shown, *(figures[one] for one in key), reference


def _show_threshold(threshold: Figures, calibration: Figures) -> None:
    low, high = calibration["ece_interval"]
    error = threshold["error_accepted"]
    wrong = "nothing is accepted" if error is None else f"{error:.3f} of the accepted are wrong"
    out.print(
        f"Calibrated by {calibration['method']}: ECE {calibration['ece']:.3f} (95 % interval {low:.3f} – {high:.3f}), "
        f"Brier {calibration['brier']:.3f}, log loss {calibration['log_loss']:.3f} nats.\n"
        f"Raw threshold {threshold['threshold']:.3f}, chosen on out-of-fold scores of the training rows for "
        f"{threshold['aim']}: "
        f"{threshold['share']:.3f} go to the reasoner, {threshold['accuracy']:.3f} of all are right, {wrong}. "
        "The stages, run once, and the curve agree."
    )


def _show_guarantee(figures: Figures) -> None:
    if "skipped" in figures:
        out.print(f"guarantee: skipped, {figures['skipped']}", markup=False)
        return
    promise = f"at most {percent(figures['max_error'])} wrong, certainty {percent(figures['certainty'])}"
    out.print(f"[bold]guarantee[/bold] (MMLU): {promise}, {figures['draws']} draws from {figures['n']:,} rows")
    for score, title in (("tfidf", "Score: TF-IDF, cross-validated"), ("verifier", "Score: ours, held out")):
        rows = [(one["n"], one["method"], one["broken"], one["coverage"]) for one in figures["scores"][score]]
        out.print(table(["n", "method", "broken", "coverage"], rows, title))
    for n in figures["skipped_sizes"]:
        out.print(f"n = {n:,}: skipped, there are {figures['n']:,} rows.")
    out.print(
        f"Allowed to break: {percent(1 - figures['certainty'])}. Reference, 14,042 rows, TF-IDF: naive breaks "
        "about half and accepts .59; Bonferroni 8 breaks under 1 % and accepts .13 (n = 500) to .39 (n = 2,000)."
    )


def _show_intents(sets: Figures) -> None:
    rows = []
    for name, one in sets.items():
        if "skipped" in one:
            out.print(f"{name}: skipped, {one['skipped']}", markup=False)
            continue
        figures = [one[key] for key in ("accuracy", "accuracy_lowest", "ece", "ece_pooled")]
        speeds = [f"{one[key]:,.0f}" for key in ("single_per_s", "batch_per_s")]
        rows.append((name, one["n_train"], one["n"], one["seeds"], *figures, *speeds))
    if rows:
        columns = ["set", "train", "test", "seeds", "accuracy", "lowest", "ECE", "pooled", "single/s", "batched/s"]
        out.print(table(columns, rows, "Trained listener, one core"))
