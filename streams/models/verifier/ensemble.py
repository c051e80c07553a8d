"""Two views of the same features, a forest and a sparse logistic regression, mixed and calibrated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from streams.core.errors import ConfigError
from streams.models.verifier.forest import Forest

CLIP = 3.0
"""Standard deviations at which a feature of the linear view is cut."""
_EPSILON = 1e-6

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Linear:
    """p = sigmoid(z @ weights + bias), with z the columns less `means` over `scales`, cut at +-CLIP.

    `means` and `scales` have shape (columns,), `weights` (columns, heads), `bias` (heads,). A `means` entry also
    replaces a value that is NaN. Raises ConfigError when the shapes differ or a number is not finite.
    """

    means: Floats
    scales: Floats
    weights: Floats
    bias: Floats

    def __post_init__(self) -> None:
        width, heads = len(self.means), len(self.bias)
        shapes = (self.means.shape, self.scales.shape, self.weights.shape, self.bias.shape)
        if shapes != ((width,), (width,), (width, heads), (heads,)):
            raise ConfigError("The weights do not fit the features.", "Train the verifier again.")
        finite = all(np.isfinite(array).all() for array in (self.means, self.scales, self.weights, self.bias))
        if not (finite and (self.scales > 0).all()):
            raise ConfigError("A weight or scale is not a usable number.", "Train the verifier again.")

    def filled(self, rows: Floats) -> Floats:
        return np.where(np.isnan(rows), self.means, rows)

    def standard(self, rows: Floats) -> Floats:
        """Return the standardised, cut columns of filled rows."""
        standard: Floats = np.clip((rows - self.means) / self.scales, -CLIP, CLIP)
        return standard

    def probabilities(self, rows: Floats) -> Floats:
        """Return probabilities of shape (n, heads) for filled rows."""
        return sigmoid(self.standard(rows) @ self.weights + self.bias)


@dataclass(frozen=True, eq=False)
class Ensemble:
    """The two views, fitted to the same rows."""

    linear: Linear
    forest: Forest

    def __post_init__(self) -> None:
        if self.forest.outputs != len(self.linear.bias) or self.forest.width > len(self.linear.means):
            raise ConfigError("The trees do not fit the weights.", "Train the verifier again.")

    @property
    def heads(self) -> int:
        return self.forest.outputs

    @property
    def width(self) -> int:
        return len(self.linear.means)

    def views(self, rows: Floats) -> tuple[Floats, Floats]:
        """Return probabilities (n, heads) of the linear view and of the forest; rows may hold NaN."""
        filled = self.linear.filled(rows)
        return self.linear.probabilities(filled), self.forest.predict(filled)

    def arrays(self) -> dict[str, NDArray[Any]]:
        names = ("means", "scales", "weights", "bias")
        return {**{name: getattr(self.linear, name).astype("<f8") for name in names}, **self.forest.arrays()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Read the result of `arrays`. Raises KeyError when an array is missing, ConfigError when they do not fit."""
        linear = Linear(*(arrays[name] for name in ("means", "scales", "weights", "bias")))
        return cls(linear, Forest.from_arrays(arrays))


@dataclass(frozen=True, slots=True)
class Mixture:
    """sigmoid(slope * logit(p) + offset) for each head, p the mean of both views with `share` for the forest.

    The last step is Platt's scaling (Platt 1999, "Probabilistic Outputs for Support Vector Machines"), with a
    slope > 0, so that it keeps the order of the rows.
    """

    share: float
    slopes: tuple[float, ...]
    offsets: tuple[float, ...]

    def __post_init__(self) -> None:
        sound = 0.0 <= self.share <= 1.0 and all(slope > 0 for slope in self.slopes)
        if not (sound and np.isfinite([*self.slopes, *self.offsets]).all()):
            raise ConfigError("The calibration is not usable.", "Train the verifier again.")

    def apply(self, linear: Floats, forest: Floats) -> Floats:
        """Return calibrated probabilities of shape (n, heads)."""
        mixed = mix(linear, forest, self.share)
        return sigmoid(np.asarray(self.slopes) * logit(mixed) + np.asarray(self.offsets))


def mix(linear: Floats, forest: Floats, share: float) -> Floats:
    return (1.0 - share) * linear + share * forest


def sigmoid(scores: Floats) -> Floats:
    """Return 1 / (1 + e^-x), without overflow."""
    half: Floats = 0.5 * (1.0 + np.tanh(0.5 * scores))
    return half


def logit(probabilities: Floats) -> Floats:
    """Return ln(p / (1 - p)), with p kept a millionth away from 0 and 1."""
    kept = np.clip(probabilities, _EPSILON, 1.0 - _EPSILON)
    odds: Floats = np.log(kept) - np.log1p(-kept)
    return odds
