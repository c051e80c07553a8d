"""A forest of regression trees as plain arrays: read, checked and evaluated without the library that trained it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from streams.core.errors import ConfigError

_LEAF = -1
_BATCH = 1024
"""Rows walked at once, which bounds the memory for a long list."""

Floats = NDArray[np.float64]
Whole = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Forest:
    """Trees one after another; node i sends x to `left[i]` when x[feature[i]] <= threshold[i], else to `right[i]`.

    `roots` has shape (trees,); `feature`, `left`, `right`, `threshold` have shape (nodes,), a leaf has -1 as its
    feature; `values` has shape (nodes, outputs). Children come after their parent, so every walk ends. Not changed by
    use, so threads may share it. Raises ConfigError when the arrays do not describe such trees.
    """

    roots: Whole
    feature: Whole
    left: Whole
    right: Whole
    threshold: Floats
    values: Floats

    def __post_init__(self) -> None:
        nodes = len(self.feature)
        shapes = {array.shape for array in (self.feature, self.left, self.right, self.threshold)}
        if shapes != {(nodes,)} or self.values.ndim != 2 or len(self.values) != nodes or self.roots.ndim != 1:
            raise ConfigError("The arrays of the trees do not fit each other.", "Train the verifier again.")
        inner = np.flatnonzero(self.feature != _LEAF)
        children = np.concatenate([self.left[inner], self.right[inner]])
        parents = np.concatenate([inner, inner])
        whole = len(self.roots) > 0 and self.roots.min() >= 0 and self.roots.max() < nodes
        walkable = bool((children > parents).all() and (children < nodes).all() and (self.feature >= _LEAF).all())
        if not (whole and walkable and np.isfinite(self.values).all() and np.isfinite(self.threshold).all()):
            raise ConfigError("The arrays of the trees are not trees.", "Train the verifier again.")

    @classmethod
    def from_sklearn(cls, trees: Sequence[Any]) -> Self:
        """Copy the public `tree_` arrays of fitted scikit-learn regressors with one or more outputs."""
        counts = [tree.node_count for tree in trees]
        roots = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int32)
        features = np.concatenate([np.maximum(tree.feature, _LEAF) for tree in trees])
        shifts = np.repeat(roots, counts)

        def children(name: str) -> Whole:
            own = np.concatenate([getattr(tree, name) for tree in trees])
            shifted: Whole = np.where(own < 0, _LEAF, own + shifts).astype(np.int32)
            return shifted

        return cls(
            roots,
            features.astype(np.int32),
            children("children_left"),
            children("children_right"),
            np.concatenate([tree.threshold for tree in trees]),
            np.concatenate([tree.value[:, :, 0] for tree in trees]),
        )

    @property
    def outputs(self) -> int:
        return int(self.values.shape[1])

    @property
    def width(self) -> int:
        """Number of columns that a row must have at least."""
        return int(self.feature.max()) + 1

    def predict(self, rows: Floats) -> Floats:
        """Return the mean over the trees, of shape (n, outputs), for finite rows of shape (n, columns).

        Rows are compared in single precision, as in training.
        """
        single = rows.astype(np.float32)
        found = np.empty((len(rows), self.outputs))
        for start in range(0, len(rows), _BATCH):
            found[start : start + _BATCH] = self._mean(single[start : start + _BATCH])
        return found

    def _mean(self, rows: NDArray[np.float32]) -> Floats:
        place = np.tile(self.roots, (len(rows), 1))
        row, tree = np.nonzero(self.feature[place] != _LEAF)
        while len(row):
            node = place[row, tree]
            goes_left = rows[row, self.feature[node]] <= self.threshold[node]
            node = np.where(goes_left, self.left[node], self.right[node])
            place[row, tree] = node
            inner = self.feature[node] != _LEAF
            row, tree = row[inner], tree[inner]
        mean: Floats = self.values[place].mean(axis=1)
        return mean

    def arrays(self) -> dict[str, NDArray[Any]]:
        types = {"roots": "<i4", "feature": "<i4", "left": "<i4", "right": "<i4", "threshold": "<f8", "values": "<f8"}
        return {f"tree_{name}": getattr(self, name).astype(kind) for name, kind in types.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Read the result of `arrays`. Raises KeyError for a missing array, ConfigError for arrays other than trees."""
        return cls(*(arrays[f"tree_{name}"] for name in cls.__dataclass_fields__))
