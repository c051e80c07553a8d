"""Trains a verifier on past cases and their outcomes, with metrics measured out of fold."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.core.errors import ConfigError
from streams.core.fingerprint import canonical
from streams.models.listeners.classifier import Provenance
from streams.models.listeners.training import Progress, brier_score, expected_calibration_error, log_loss, one_thread
from streams.models.verifier.artifact import Verifier
from streams.models.verifier.ensemble import Ensemble, Mixture
from streams.models.verifier.example import Example
from streams.models.verifier.features import Layout
from streams.models.verifier.fit import TREES, category_rates, fit_ensemble, fit_mixture, out_of_fold_rates

FOLDS = 5
MIN_ROWS = 50
MIN_ROWS_PER_OUTCOME = 10
MAX_ROWS = 200_000
HEADS = ("worker", "reasoner")

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _Cases:
    """The training rows as numbers: features, codes of categories, outcomes (n, heads), folds."""

    layout: Layout
    rows: Floats
    codes: Whole
    outcomes: Floats
    folds: Whole
    trees: int

    def rates(self, kept: NDArray[np.bool_]) -> list[Floats]:
        return [
            category_rates(self.codes[kept, place], len(category.values), self.outcomes[kept])
            for place, category in enumerate(self.layout.categories)
        ]

    def fit(self, kept: NDArray[np.bool_], seed: int) -> Ensemble:
        """Fit both views to the rows kept; their category rates are out of fold."""
        encoded = [
            out_of_fold_rates(self.codes[kept, place], len(category.values), self.outcomes[kept], self.folds[kept])
            for place, category in enumerate(self.layout.categories)
        ]
        return fit_ensemble(np.hstack([self.rows[kept], *encoded]), self.outcomes[kept], self.trees, seed)

    def views(self, ensemble: Ensemble, kept: NDArray[np.bool_], asked: NDArray[np.bool_]) -> tuple[Floats, Floats]:
        """Return both views of the rows asked, by an ensemble that was fitted to the rows kept."""
        encoded = [rate[self.codes[asked, place]] for place, rate in enumerate(self.rates(kept))]
        return ensemble.views(np.hstack([self.rows[asked], *encoded]))


def train_verifier(
    examples: Sequence[Example],
    worker_correct: Sequence[bool],
    reasoner_correct: Sequence[bool] | None = None,
    *,
    seed: int = 0,
    date: str = "",
    progress: Progress | None = None,
    trees: int = TREES,
) -> Verifier:
    """Fit a verifier to past cases; its `provenance.metrics` are measured out of fold.

    With `reasoner_correct` it also learns when the reasoner is right, and so the gain of asking it. Examples without an
    answer make a verifier that judges tasks before they are answered. The same cases in any order, with the same seed
    and date, give the same artifact. Raises ConfigError when the cases do not suffice.
    """
    outcomes = _checked(examples, worker_correct, reasoner_correct)
    keys = [_key(example, outcome) for example, outcome in zip(examples, outcomes.tolist(), strict=True)]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    examples, outcomes = [examples[place] for place in order], outcomes[order]
    report = progress or (lambda _done, _all: None)
    with one_thread():
        cases = _cases(examples, outcomes, trees, seed)
        linear, forest = _out_of_fold(cases, seed, report)
        everything = np.ones(len(examples), dtype=np.bool_)
        ensemble = cases.fit(everything, seed)
    report(FOLDS + 1, FOLDS + 1)
    mixture = fit_mixture(linear, forest, outcomes)
    metrics = {"rows": len(examples), "forest_share": mixture.share, **_metrics(linear, forest, cases)}
    provenance = Provenance(sha256("\n".join(sorted(keys)).encode()).hexdigest(), date, metrics)
    rates = tuple(cases.rates(everything))
    return Verifier(cases.layout, cases.layout.columns, rates, ensemble, mixture, provenance)


def _checked(
    examples: Sequence[Example], worker_correct: Sequence[bool], reasoner_correct: Sequence[bool] | None
) -> Floats:
    """Return the outcomes (n, heads) as 0 and 1."""
    given = [worker_correct] if reasoner_correct is None else [worker_correct, reasoner_correct]
    if any(len(outcome) != len(examples) for outcome in given):
        raise ConfigError("There must be one outcome for each case.", "Give as many outcomes as cases.")
    if not MIN_ROWS <= len(examples) <= MAX_ROWS:
        raise ConfigError(
            f"{len(examples)} cases, {MIN_ROWS} to {MAX_ROWS} are needed.", "Some 500 make a useful verifier."
        )
    outcomes = np.array(given, dtype=np.bool_).T.astype(np.float64)
    right = int(outcomes[:, 0].sum())
    if min(right, len(examples) - right) < MIN_ROWS_PER_OUTCOME:
        raise ConfigError(
            f"The worker was right {right} times and wrong {len(examples) - right} times.",
            f"Give at least {MIN_ROWS_PER_OUTCOME} cases of either.",
        )
    if len({_task(example) for example in examples}) < 2 * FOLDS:
        raise ConfigError("The cases repeat the same few texts.", f"Give at least {2 * FOLDS} different tasks.")
    return outcomes


def _key(example: Example, outcome: Sequence[float]) -> str:
    """Return one case as text, for sorting and hashing."""
    parts = [example.text, dict(example.data), example.answer, dict(example.sources), list(outcome)]
    return json.dumps(parts, sort_keys=True, default=str)


def _cases(examples: Sequence[Example], outcomes: Floats, trees: int, seed: int) -> _Cases:
    layout = Layout.of(examples)
    folds = _folds(list(map(_task, examples)), seed)
    return _Cases(layout, layout.matrix(examples), layout.codes(examples), outcomes, folds, trees)


def _task(example: Example) -> str:
    """Return the identity of a task, as in the store: the text, or the data where there is none."""
    return canonical(example.text) if example.text.strip() else canonical(dict(example.data))


def _folds(tasks: Sequence[str], seed: int) -> Whole:
    """Return the fold of each row. Rows of one task share a fold: in two folds they would flatter the metrics."""
    distinct, places = np.unique(
        np.array([sha256(t.encode("utf-8", "replace")).hexdigest() for t in tasks]), return_inverse=True
    )
    return np.random.default_rng(seed).permutation(len(distinct))[places] % FOLDS


def _out_of_fold(cases: _Cases, seed: int, report: Progress) -> tuple[Floats, Floats]:
    linear, forest = np.empty_like(cases.outcomes), np.empty_like(cases.outcomes)
    for fold in range(FOLDS):
        outside = cases.folds == fold
        linear[outside], forest[outside] = cases.views(cases.fit(~outside, seed), ~outside, outside)
        report(fold + 1, FOLDS + 1)
    return linear, forest


def _metrics(linear: Floats, forest: Floats, cases: _Cases) -> dict[str, Any]:
    """Return metrics of the calibrated probabilities of each head; a fold's mixture comes from the other folds."""
    calibrated = np.empty_like(linear)
    for fold in range(FOLDS):
        own = cases.folds == fold
        mixture: Mixture = fit_mixture(linear[~own], forest[~own], cases.outcomes[~own])
        calibrated[own] = mixture.apply(linear[own], forest[own])
    heads = zip(HEADS, calibrated.T, cases.outcomes.T, strict=False)
    return {name: _head_metrics(probabilities, outcome) for name, probabilities, outcome in heads}


def _head_metrics(probabilities: Floats, outcome: Floats) -> dict[str, float]:
    truth = outcome.astype(np.int64)
    both = np.stack([1.0 - probabilities, probabilities], axis=1)
    found = {
        "right": float(outcome.mean()),
        "auc": _auc(probabilities, truth),
        "log_loss": log_loss(both, truth),
        "brier": brier_score(both, truth),
        "ece": expected_calibration_error(both, truth),
    }
    return {name: round(value, 6) for name, value in found.items()}


def _auc(probabilities: Floats, truth: Whole) -> float:
    """Return P(a right case scores above a wrong one), ties half (Mann and Whitney 1947); 0.5 with one class only."""
    from scipy.stats import rankdata  # type: ignore[import-untyped]

    right, wrong = int(truth.sum()), int((1 - truth).sum())
    if not right or not wrong:
        return 0.5
    ranks = rankdata(probabilities)[truth == 1].sum()
    return float((ranks - right * (right + 1) / 2) / (right * wrong))
