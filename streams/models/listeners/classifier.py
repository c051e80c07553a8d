"""The trained listener: a linear softmax over text features with one calibrated temperature.

An artifact is data: an uncompressed npz of plain arrays with a JSON header inside, and no pickles. The
same classifier always gives the same bytes.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from streams.core.errors import ConfigError
from streams.models.listeners.embedding import Embedder, NgramHasher, Vectors, WordLlamaEmbedder
from streams.models.listeners.saved import BROKEN, SavedArtifact, check_uncompressed

FORMAT = "escalon-classifier"
VERSION = 1
_BATCH = 512
"""Texts scored at once, which bounds the memory for a long list."""

Distribution = list[tuple[str, float]]
"""Every label with its probability, the most probable first; the probabilities sum to 1."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Origin of a trained model: hash of its training set, out-of-fold metrics, the date given to the training."""

    training_set: str
    date: str
    metrics: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Classifier(SavedArtifact):
    """p = softmax((features @ weights + bias) / temperature) over `labels`.

    `weights` has shape (embedder.dim + hasher.dim, len(labels)), without a hasher (embedder.dim, len(labels));
    `bias` has shape (len(labels),). Not changed by use, so threads may share it.
    """

    labels: tuple[str, ...]
    embedder: Embedder
    hasher: NgramHasher | None
    weights: Vectors
    bias: Vectors
    temperature: float
    provenance: Provenance

    def __post_init__(self) -> None:
        width = self.embedder.dim + (self.hasher.dim if self.hasher else 0)
        if len(self.labels) < 2 or len(set(self.labels)) != len(self.labels):
            raise ConfigError("A classifier needs at least two labels, each named once.")
        if self.weights.shape != (width, len(self.labels)) or self.bias.shape != (len(self.labels),):
            raise ConfigError("The weights do not fit the labels and features.", "Train the classifier again.")
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise ConfigError("The temperature must be a positive number.", "Train the classifier again.")
        if not (np.isfinite(self.weights).all() and np.isfinite(self.bias).all()):
            raise ConfigError("A weight is not a finite number.", "Train the classifier again.")

    def predict(self, texts: Sequence[str]) -> list[Distribution]:
        """Return the distribution over the labels for each text; equally probable labels keep their stored order.

        A text's distribution is the same to the bit alone and among others.
        """
        return [
            [(self.labels[k], float(row[k])) for k in np.argsort(-row, kind="stable")]
            for row in self.probabilities(texts)
        ]

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return probabilities of shape (len(texts), len(labels)), columns in the order of `labels`."""
        return softmax(self.logits(texts) / self.temperature)

    def logits(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return scores before the temperature, of shape (len(texts), len(labels))."""
        scores = np.empty((len(texts), len(self.labels)))
        for start in range(0, len(texts), _BATCH):
            scores[start : start + _BATCH] = self._score(texts[start : start + _BATCH])
        return scores

    def _score(self, texts: Sequence[str]) -> Vectors:
        dim = self.embedder.dim
        # A product for each text, not one for all: that depends in its last bits on the number of texts.
        products = self.embedder.embed(texts)[:, None, :] @ self.weights[:dim]
        scores: Vectors = products[:, 0] + self.bias
        if self.hasher is None:
            return scores
        found = self.hasher.transform(texts)
        starts = np.flatnonzero(np.diff(found.rows, prepend=-1))
        if len(starts):
            parts = self.weights[dim + found.columns] * found.values[:, None]
            scores[found.rows[starts]] += np.add.reduceat(parts, starts, axis=0)
        return scores

    def to_bytes(self) -> bytes:
        """Return the artifact. It holds only feature rows with a weight that is not 0."""
        columns = np.flatnonzero(self.weights.any(axis=1)).astype("<i4")
        buffer = io.BytesIO()
        np.savez(
            buffer,
            header=np.frombuffer(json.dumps(self._header(), sort_keys=True).encode(), dtype=np.uint8),
            columns=columns,
            weights=self.weights[columns].astype("<f4"),
            bias=self.bias.astype("<f4"),
        )
        return buffer.getvalue()

    def _header(self) -> dict[str, Any]:
        hasher = self.hasher
        return {
            "format": FORMAT,
            "version": VERSION,
            "labels": list(self.labels),
            "embedder": {"name": self.embedder.name, "dim": self.embedder.dim},
            "ngrams": hasher and {"buckets": hasher.buckets, "chars": hasher.chars, "words": hasher.words},
            "temperature": self.temperature,
            "training_set": self.provenance.training_set,
            "date": self.provenance.date,
            "metrics": dict(self.provenance.metrics),
        }

    @classmethod
    def load(cls, path: Path, embedder: Embedder | None = None) -> Self:
        """Read an artifact; the default `embedder` is WordLlama.

        Raises ConfigError when the file is missing, broken, of another version or made for another embedder.
        """
        try:
            return cls.from_bytes(path.read_bytes(), str(path), embedder)
        except FileNotFoundError as error:
            remedy = "Make one with `escalon train listener`."
            raise ConfigError(f"There is no classifier at {path}.", remedy) from error
        except OSError as error:
            raise ConfigError(f"{path} is not a readable classifier ({error.strerror}).", "Check the path.") from error

    @classmethod
    def from_bytes(cls, data: bytes, name: str, embedder: Embedder | None = None) -> Self:
        """Read an artifact's bytes; `name` says in errors where they come from. Raises ConfigError as `load` does."""
        try:
            check_uncompressed(data)
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                header = json.loads(arrays["header"].tobytes())
                _check_version(name, header)
                return cls._from_parts(name, header, arrays, embedder or WordLlamaEmbedder())
        except BROKEN as error:
            raise ConfigError(
                f"{name} is not a readable classifier ({type(error).__name__}: {error}).",
                "Make it again with `escalon train listener`.",
            ) from error

    @classmethod
    def _from_parts(cls, path: str, header: Mapping[str, Any], arrays: Any, embedder: Embedder) -> Self:
        wanted = header["embedder"]
        if (wanted["name"], wanted["dim"]) != (embedder.name, embedder.dim):
            raise ConfigError(
                f"{path} was trained on the embedder {wanted['name']} ({wanted['dim']}), "
                f"but {embedder.name} ({embedder.dim}) is in use.",
                "Train it again, or configure that embedder.",
            )
        ngrams = header["ngrams"]
        hasher = ngrams and NgramHasher(ngrams["buckets"], tuple(ngrams["chars"]), tuple(ngrams["words"]))
        labels = tuple(map(str, header["labels"]))
        weights = np.zeros((embedder.dim + (hasher.dim if hasher else 0), len(labels)), dtype=np.float32)
        weights[arrays["columns"]] = arrays["weights"]
        provenance = Provenance(header["training_set"], header["date"], header["metrics"])
        return cls(labels, embedder, hasher, weights, arrays["bias"], float(header["temperature"]), provenance)


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: NDArray[np.float64] = exponents / exponents.sum(axis=1, keepdims=True)
    return probabilities


def _check_version(path: str, header: Mapping[str, Any]) -> None:
    if header["format"] != FORMAT or header["version"] != VERSION:
        raise ConfigError(
            f"{path} is {header['format']} version {header['version']}, this release reads {FORMAT} {VERSION}.",
            "Make it again with `escalon train listener`.",
        )
