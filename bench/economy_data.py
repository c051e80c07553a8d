"""Rows with the recorded answers of a weak and a strong model, their parts, and the baseline that reads words."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.economy_curves import Floats, Outcomes

TRAINED = 0.7
"""Of the rows, where one directory has to serve for both."""
SEED = 0
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One event: its text and further fields, what the two models answered, and whether that was right."""

    text: str
    data: Mapping[str, Any]
    worker_answer: str
    reasoner_answer: str
    worker_correct: bool
    reasoner_correct: bool


@dataclass(frozen=True, slots=True)
class Parts:
    """The rows to train on and those to measure on."""

    train: list[Row]
    test: list[Row]


def read_parts(file: str, train: Path, test: Path) -> Parts | str:
    """The parts of one set, split where both directories are the same; or why there are none."""
    missing = missing_file(file, train, test)
    if missing:
        return missing
    rows = read_rows(train / file)
    if train.resolve() == test.resolve():
        return Parts(*split(rows, [row.text for row in rows], TRAINED, SEED))
    return Parts(rows, read_rows(test / file))


def missing_file(file: str, train: Path, test: Path) -> str:
    """Return the reason to skip a file that is not in both directories; empty if it is."""
    absent = [str(directory) for directory in dict.fromkeys((train, test)) if not (directory / file).is_file()]
    return f"{file} is not in {' nor in '.join(absent)}" if absent else ""


def split(rows: Sequence[T], keys: Sequence[str], share: float, seed: int) -> tuple[list[T], list[T]]:
    """A random part of about `share` of the rows, and the rest, both in their order; equal keys stay together."""
    distinct = sorted(set(keys))
    drawn = np.random.default_rng(seed).permutation(len(distinct))[: round(share * len(distinct))]
    first = {distinct[place] for place in drawn.tolist()}
    inside = [row for row, key in zip(rows, keys, strict=True) if key in first]
    return inside, [row for row, key in zip(rows, keys, strict=True) if key not in first]


def outcomes_of(rows: Sequence[Row]) -> Outcomes:
    """Return the outcomes as arrays."""
    return Outcomes(
        np.array([row.worker_correct for row in rows], dtype=np.float64),
        np.array([row.reasoner_correct for row in rows], dtype=np.float64),
    )


def words_before(row: Row) -> str:
    """Return the features known before the worker answers: the event's fields and text, as the verifier reads them."""
    return " ".join([*map(str, row.data.values()), row.text])


def words_after(row: Row) -> str:
    """The event and the worker's answer."""
    return f"{words_before(row)} ### {row.worker_answer}"


def tfidf_scores(parts: Parts, words: Callable[[Row], str]) -> Floats:
    """The probability that the worker is right about each test row, by TF-IDF and logistic regression."""
    model = _tfidf().fit([words(row) for row in parts.train], [row.worker_correct for row in parts.train])
    scores: Floats = model.predict_proba([words(row) for row in parts.test])[:, 1]
    return scores


def tfidf_cross_validated(rows: Sequence[Row]) -> Floats:
    """The same for every row, from the four of five folds without it."""
    from sklearn.model_selection import KFold, cross_val_predict

    folds = KFold(5, shuffle=True, random_state=0)
    correct: NDArray[np.bool_] = np.array([row.worker_correct for row in rows])
    texts = [words_before(row) for row in rows]
    scores: Floats = cross_val_predict(_tfidf(), texts, correct, cv=folds, method="predict_proba")[:, 1]
    return scores


def _tfidf() -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    return make_pipeline(words, LogisticRegression(C=2, max_iter=500))


def read_rows(file: Path) -> list[Row]:
    """All rows of a set."""
    return [_row(json.loads(line)) for line in file.read_bytes().splitlines() if line.strip()]


def _row(record: Mapping[str, Any]) -> Row:
    return Row(
        text=record["prompt"],
        data={"subject": record["subject"]} if "subject" in record else {},
        worker_answer=record.get("worker_response") or "",
        reasoner_answer=record.get("reasoner_response") or "",
        worker_correct=bool(record["worker_correct"]),
        reasoner_correct=bool(record["reasoner_correct"]),
    )
