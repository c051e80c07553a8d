"""Turns cases into a matrix of numbers for the verifier."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from streams.models.verifier import checks, text_features
from streams.models.verifier.example import Example

MAX_FIELDS = 20
"""Fields of each kind that are used: the first ones in alphabetical order."""
MAX_CATEGORY = 100
"""Characters of a text field that is still a category."""
ROWS_PER_CATEGORY = 10
"""Mean number of rows for each value of a category, at least."""
_COMMON = 0.5
"""Share of the rows that must have a field or source."""
_LARGEST = 1e12

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Category:
    """A field of the data that holds one of `values`."""

    key: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """The fields and sources that become columns, in addition to the features of every text and answer.

    Columns are the text features, the checks, the `sources`, the numeric `fields`; a category becomes one column for
    each head, whose values come from training.
    """

    sources: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    categories: tuple[Category, ...] = ()

    @classmethod
    def of(cls, examples: Sequence[Example]) -> Self:
        """Choose the sources and fields that at least half of the examples have."""
        least = max(1.0, _COMMON * len(examples))
        sources = Counter(name for example in examples for name in example.sources)
        keys = Counter(key for example in examples for key, value in example.data.items() if _number(value) is not None)
        texts = Counter(key for example in examples for key, value in example.data.items() if _is_category(value))
        categories = [
            Category(
                key, tuple(sorted({example.data[key] for example in examples if _is_category(example.data.get(key))}))
            )
            for key, count in sorted(texts.items())
            if count >= least
        ]
        useful = [c for c in categories if 2 <= len(c.values) <= texts[c.key] / ROWS_PER_CATEGORY]
        return cls(_frequent(sources, least), _frequent(keys, least), tuple(useful[:MAX_FIELDS]))

    @property
    def columns(self) -> tuple[str, ...]:
        sources = [f"source:{name}" for name in self.sources]
        return (*text_features.NAMES, *checks.NAMES, *sources, *(f"data:{key}" for key in self.fields))

    def matrix(self, examples: Sequence[Example], progress: Callable[[int], None] | None = None) -> Floats:
        """Return features of shape (n, len(columns)); NaN for unknown values."""
        rows = np.empty((len(examples), len(self.columns)))
        for place, example in enumerate(examples):
            rows[place] = self._row(example)
            if progress:
                progress(place + 1)
        return rows

    def _row(self, example: Example) -> list[float]:
        return [
            *text_features.text_features(example.text).values(),
            *checks.check_features(example.text, example.data, example.answer).values(),
            *(_finite(example.sources.get(name)) for name in self.sources),
            *(_finite(example.data.get(key)) for key in self.fields),
        ]

    def codes(self, examples: Sequence[Example]) -> Whole:
        """Return the index of each category's value, of shape (n, categories); len(values) for an unseen value."""
        found = np.empty((len(examples), len(self.categories)), dtype=np.int64)
        for column, category in enumerate(self.categories):
            places = {value: place for place, value in enumerate(category.values)}
            found[:, column] = [
                places[value] if isinstance(value := example.data.get(category.key), str) and value in places
                else len(places)
                for example in examples
            ]  # fmt: skip
        return found


def _frequent(counts: Counter[str], least: float) -> tuple[str, ...]:
    return tuple(sorted(name for name, count in counts.items() if count >= least)[:MAX_FIELDS])


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and abs(value) <= _LARGEST else None


def _finite(value: Any) -> float:
    number = _number(value)
    return math.nan if number is None else number


def _is_category(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= MAX_CATEGORY
