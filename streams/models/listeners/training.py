"""Trains a classifier on labelled texts: regularisation by cross-validation, and one calibrated temperature."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.core.errors import ConfigError
from streams.core.fingerprint import canonical
from streams.models.listeners.classifier import Classifier, Provenance, softmax
from streams.models.listeners.embedding import Embedder, NgramHasher, Vectors, WordLlamaEmbedder

STRENGTHS = (3.0, 10.0, 30.0, 100.0)
"""Inverse strengths of the L2 penalty that are tried."""
FOLDS = 5
MIN_ROWS_PER_LABEL = 5
"""Rows needed so that every fold holds every label."""
MAX_ROWS = 500_000
BINS = 15
"""Bins of the calibration error, as in Guo et al. 2017."""
_MAX_ITERATIONS = 2_000

Floats = NDArray[np.float64]
Row = tuple[str, str]
Progress = Callable[[int, int], None]
"""Called with the number of model fits that are done, and of all."""


def train(
    rows: Sequence[Row],
    *,
    embedder: Embedder | None = None,
    hasher: NgramHasher | None = NgramHasher(),  # noqa: B008 - immutable
    seed: int = 0,
    date: str = "",
    progress: Progress | None = None,
) -> Classifier:
    """Fit a classifier; its `provenance.metrics` are measured out of fold.

    The same rows in any order, with the same seed and date, give the same artifact; a repeated row counts once, and a
    text with any of its labels is on one side of every fold. Without a `hasher` only the embedding is used. Raises
    ConfigError when the rows do not suffice.
    """
    distinct = _checked(rows)
    source = embedder or WordLlamaEmbedder()
    labels = sorted({label for _, label in distinct})
    truth = np.searchsorted(labels, [label for _, label in distinct])
    with one_thread():
        features, used = _features([text for text, _ in distinct], source, hasher)
        folds = _folds([canonical(text) for text, _ in distinct], truth, seed)
        strength, logits = _cross_validate(features, truth, folds, progress or (lambda _done, _all: None))
        weights, bias = _fit(features, truth, strength)
    metrics = {"strength": strength, **_out_of_fold_metrics(logits, truth, folds)}
    metrics["rows_per_label"] = dict(sorted(Counter(label for _, label in distinct).items()))
    metrics["confusion"] = _confusion(labels, truth, logits.argmax(axis=1))
    full = np.zeros((source.dim + (hasher.dim if hasher else 0), len(labels)), dtype=np.float32)
    full[used] = weights
    provenance = Provenance(_fingerprint(distinct), date, metrics)
    temperature = fit_temperature(logits, truth)
    return Classifier(tuple(labels), source, hasher, full, bias.astype(np.float32), temperature, provenance)


def one_thread() -> AbstractContextManager[Any]:
    """Hold linear algebra to one thread: the order of a sum, and so its last bit, depends on the number of threads.

    Only libraries that are loaded by then are held, so scikit-learn, which brings its own, comes first.
    """
    import sklearn.ensemble  # noqa: F401
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    limits: AbstractContextManager[Any] = threadpool_limits(limits=1)
    return limits


def _checked(rows: Sequence[Row]) -> list[Row]:
    """Return the distinct rows, sorted. The form of Unicode and outer white space do not count, as with tasks."""
    if len(rows) > MAX_ROWS:
        raise ConfigError(f"{len(rows)} rows are more than {MAX_ROWS}.", "Train on a random part of them.")
    for number, (text, label) in enumerate(rows, start=1):
        if not text.strip() or not label.strip():
            raise ConfigError(f"Row {number} has an empty text or label.", "Remove it or fill it in.")
    distinct = sorted({(canonical(text), label): (text, label) for text, label in sorted(rows)}.values())
    counts = Counter(label for _, label in distinct)
    if len(counts) < 2:
        raise ConfigError(f"The rows have {len(counts)} labels, at least two are needed.", "Add rows of another.")
    few = {label: count for label, count in sorted(counts.items()) if count < MIN_ROWS_PER_LABEL}
    if few:
        raise ConfigError(
            f"Too few different rows: {', '.join(f'{label} has {count}' for label, count in few.items())}.",
            f"Give every label at least {MIN_ROWS_PER_LABEL}; some 40 make a useful classifier.",
        )
    return distinct


def _fingerprint(rows: Sequence[Row]) -> str:
    return sha256(json.dumps(rows, ensure_ascii=True).encode()).hexdigest()


def _features(texts: Sequence[str], embedder: Embedder, hasher: NgramHasher | None) -> tuple[Any, NDArray[np.int64]]:
    """Return a CSR matrix (texts, columns used), and the places of these columns among all."""
    from scipy import sparse  # type: ignore[import-untyped]

    dense = sparse.csr_matrix(embedder.embed(texts).astype(np.float64))
    used = np.arange(embedder.dim)
    if hasher is None:
        return dense, used
    found = hasher.transform(texts)
    seen, columns = np.unique(found.columns, return_inverse=True)
    shape = (len(texts), len(seen))
    counts = sparse.csr_matrix((found.values.astype(np.float64), (found.rows, columns)), shape=shape)
    return sparse.hstack([dense, counts], format="csr"), np.concatenate([used, embedder.dim + seen])


def _fit(features: Any, truth: NDArray[np.int64], strength: float) -> tuple[Vectors, Floats]:
    """Return weights (columns, labels) and bias (labels,) of an L2-penalised softmax regression."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=strength, max_iter=_MAX_ITERATIONS).fit(features, truth)
    weights, bias = model.coef_.T, model.intercept_
    if weights.shape[1] == 1:
        # Two labels give one column, whose sigmoid is the softmax over half of it on either side.
        weights, bias = np.hstack([-weights, weights]) / 2, np.array([-bias[0], bias[0]]) / 2
    return weights.astype(np.float32), bias


def _folds(texts: Sequence[str], truth: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Return the fold of each row, with each label spread as evenly as possible; rows of one text share a fold.

    A text with several labels is dealt out under the rarest one. Raises ConfigError where a label has too few texts for
    every fold.
    """
    from sklearn.model_selection import StratifiedKFold

    kinds: dict[str, set[int]] = {}
    for text, label in zip(texts, truth.tolist(), strict=True):
        kinds.setdefault(text, set()).add(label)
    dealt = Counter(next(iter(some)) for some in kinds.values() if len(some) == 1)
    for text, some in kinds.items():
        if len(some) > 1:
            kinds[text] = {min(some, key=lambda one: (dealt[one], one))}
            dealt.update(kinds[text])
    if min(dealt[label] for label in set(truth.tolist())) < FOLDS:
        what = f"A label has fewer than {FOLDS} texts that are not another label's as well."
        raise ConfigError(what, "Give each text one label.")
    labels, fold = [next(iter(some)) for some in kinds.values()], np.empty(len(kinds), dtype=np.int64)
    splits = StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(labels, labels)
    for number, (_, outside) in enumerate(splits):
        fold[outside] = number
    place = {text: number for number, text in enumerate(kinds)}
    return fold[[place[text] for text in texts]]


def _cross_validate(
    features: Any, truth: NDArray[np.int64], folds: NDArray[np.int64], progress: Progress
) -> tuple[float, Floats]:
    """Return the strength with the least calibrated log loss out of fold, and its logits."""
    tried: list[tuple[float, float, Floats]] = []
    for strength in STRENGTHS:
        logits = np.empty((len(truth), int(truth.max()) + 1))
        for fold in range(FOLDS):
            inside, outside = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
            weights, bias = _fit(features[inside], truth[inside], strength)
            logits[outside] = features[outside] @ weights + bias
            progress(len(tried) * FOLDS + fold + 1, len(STRENGTHS) * FOLDS)
        tried.append((log_loss(softmax(logits / fit_temperature(logits, truth)), truth), strength, logits))
    _, strength, logits = min(tried, key=lambda candidate: candidate[0])
    return strength, logits


def _out_of_fold_metrics(logits: Floats, truth: NDArray[np.int64], folds: NDArray[np.int64]) -> dict[str, Any]:
    """Return metrics of the calibrated probabilities; a fold's temperature comes from the other folds."""
    calibrated = np.empty_like(logits)
    for fold in np.unique(folds):
        own = folds == fold
        calibrated[own] = softmax(logits[own] / fit_temperature(logits[~own], truth[~own]))
    return {"rows": len(truth), **{name: round(value, 6) for name, value in measure(calibrated, truth).items()}}


def _confusion(labels: Sequence[str], truth: NDArray[np.int64], found: NDArray[np.int64]) -> dict[str, dict[str, int]]:
    """Return by true label how many of its rows got which label, the most frequent first."""
    counts: dict[str, Counter[str]] = {label: Counter() for label in labels}
    for true, guessed in zip(truth.tolist(), found.tolist(), strict=True):
        counts[labels[true]][labels[guessed]] += 1
    return {label: dict(some.most_common()) for label, some in counts.items()}


def measure(probabilities: Floats, truth: NDArray[np.int64]) -> dict[str, float]:
    """Return accuracy, log loss, Brier score and ECE of probabilities (n, labels) against label indexes (n,)."""
    return {
        "accuracy": float((probabilities.argmax(axis=1) == truth).mean()),
        "log_loss": log_loss(probabilities, truth),
        "brier": brier_score(probabilities, truth),
        "ece": expected_calibration_error(probabilities, truth),
    }


def fit_temperature(logits: Floats, truth: NDArray[np.int64]) -> float:
    """Return the temperature T > 0 that minimises the log loss of softmax(logits / T), from 0.01 to 100.

    Guo, Pleiss, Sun, Weinberger 2017, "On Calibration of Modern Neural Networks", section 4.2. T does not change which
    label is the most probable.
    """
    from scipy.optimize import minimize_scalar  # type: ignore[import-untyped]

    def loss(log_temperature: float) -> float:
        return log_loss(softmax(logits / np.exp(log_temperature)), truth)

    found = minimize_scalar(loss, bounds=(np.log(0.01), np.log(100.0)), method="bounded")
    return float(np.exp(found.x))


def log_loss(probabilities: Floats, truth: NDArray[np.int64]) -> float:
    """Mean of -ln p of the true label (Good 1952); a p under 1e-15 counts as 1e-15."""
    likely = np.clip(probabilities[np.arange(len(truth)), truth], 1e-15, 1.0)  # rounding leads a little beyond 1
    return abs(float(-np.log(likely).mean()))


def brier_score(probabilities: Floats, truth: NDArray[np.int64]) -> float:
    """Mean squared distance to the one-hot truth, summed over the labels: 0 to 2 (Brier 1950)."""
    return float(((probabilities - np.eye(probabilities.shape[1])[truth]) ** 2).sum(axis=1).mean())


def expected_calibration_error(probabilities: Floats, truth: NDArray[np.int64], bins: int = BINS) -> float:
    """Mean |accuracy - confidence| over equally wide bins of confidence, weighted by their rows.

    Confidence is the largest probability. Naeini, Cooper, Hauskrecht 2015; Guo et al. 2017, equation 3. It
    is biased upwards when there are few rows in a bin.
    """
    confidence = probabilities.max(axis=1)
    gap = (probabilities.argmax(axis=1) == truth) - confidence
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    return float(np.abs(np.bincount(place, gap, minlength=bins)).sum() / len(truth))


def read_labelled(path: Path, text_key: str = "text", label_keys: Sequence[str] = ("label", "intent")) -> list[Row]:
    """Read rows of a CSV file with a header line (`.csv`), or of JSON lines; the first label key present counts.

    Raises ConfigError with the line at fault.
    """
    rows: list[Row] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            records = _csv_records(lines) if path.suffix.lower() == ".csv" else _json_records(lines)
            for number, record in records:
                rows.append(_labelled(record, text_key, label_keys, f"{path} line {number}"))
                if len(rows) > MAX_ROWS:
                    raise ConfigError(f"{path} has more than {MAX_ROWS} rows.", "Train on a random part of it.")
    except FileNotFoundError as error:
        raise ConfigError(f"There is no file {path}.", "Give a JSONL or CSV file of labelled texts.") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path} cannot be read ({error}).", "It must be UTF-8 text, JSONL or CSV.") from error
    if not rows:
        raise ConfigError(f"{path} has no rows.", "Give a JSONL or CSV file of labelled texts.")
    return rows


def _csv_records(lines: Iterable[str]) -> Iterator[tuple[int, Any]]:
    reader = csv.DictReader(lines)
    for record in reader:
        yield reader.line_num, record


def _json_records(lines: Iterable[str]) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except ValueError:
                yield number, None


def _labelled(record: Any, text_key: str, label_keys: Sequence[str], where: str) -> Row:
    wanted = f"a text under {text_key!r} and a label under {' or '.join(map(repr, label_keys))}"
    if isinstance(record, Mapping):
        text = record.get(text_key)
        label = next((record[key] for key in label_keys if record.get(key) is not None), None)
        if isinstance(text, str) and isinstance(label, str):
            return text, label
    raise ConfigError(f"{where} does not hold {wanted}.", "Correct the line or name other keys.")
