"""Calibrators: functions from a worker's raw confidence to the probability that its answer is right.

For all of them a raw score outside [0, 1] counts as the nearer end, and nan stays nan.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, cast

from streams.calibration.validation import AGAIN, ascends, check, check_keys, frozen, number, share
from streams.core.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LOGIT_CLIP = 1e-6
"""Scores nearer to 0 or 1 are moved to this distance, so that a logit stays within 13.8."""


def logit(score: float) -> float:
    """Return ln(s / (1 - s)) of a score, clipped to [LOGIT_CLIP, 1 - LOGIT_CLIP]."""
    clipped = min(max(score, LOGIT_CLIP), 1.0 - LOGIT_CLIP)
    return math.log(clipped) - math.log1p(-clipped)


def sigmoid(value: float) -> float:
    if value >= 0:
        return 1.0 / (1.0 + math.exp(-value))
    power = math.exp(value)
    return power / (1.0 + power)


class _Calibrator:
    """The base of all calibrators. Each is a non-decreasing function of the raw score."""

    __slots__ = ()
    method: ClassVar[str]

    def __call__(self, raw: float) -> float:
        """Return the probability that an answer with this raw confidence is right; nan for nan."""
        return math.nan if math.isnan(raw) else self._at(min(max(float(raw), 0.0), 1.0))

    def many(self, raw: Floats) -> Floats:
        """Map an array of any shape with the same bits as one call each, so that thresholds decide alike on both."""
        import numpy as np  # here: a tier calibrates one score at a time and needs no array

        flat = np.asarray(raw, dtype=np.float64)
        return np.array([self(score) for score in flat.ravel().tolist()], dtype=np.float64).reshape(flat.shape)

    def as_json(self) -> dict[str, Any]:
        """Return the method and its parameters, as `calibrator_from` reads them."""
        return {"method": self.method} | {name: _plain(getattr(self, name)) for name in _names(type(self))}

    def _at(self, score: float) -> float:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class IdentityCalibrator(_Calibrator):
    """The raw score is the probability."""

    method: ClassVar[str] = "identity"

    def _at(self, score: float) -> float:
        return score


@dataclass(frozen=True, slots=True)
class Temperature(_Calibrator):
    """sigmoid(logit(s) / t): Guo, Pleiss, Sun, Weinberger 2017, "On Calibration of Modern Neural Networks", 4.2.

    Raises ConfigError unless t > 0.
    """

    t: float
    method: ClassVar[str] = "temperature"

    def __post_init__(self) -> None:
        check(number(self.t) and self.t > 0, "calibrator.t", "a number above 0")

    def _at(self, score: float) -> float:
        return sigmoid(logit(score) / self.t)


@dataclass(frozen=True, slots=True)
class Platt(_Calibrator):
    """sigmoid(a * logit(s) + b): Platt 1999, "Probabilistic Outputs for Support Vector Machines".

    On the logit instead of the score, so that a = 1, b = 0 leaves a probability as it is. Raises ConfigError
    unless a >= 0, because a calibrator must keep the order of scores.
    """

    a: float
    b: float
    method: ClassVar[str] = "platt"

    def __post_init__(self) -> None:
        check(number(self.a) and self.a >= 0, "calibrator.a", "a number of at least 0")
        check(number(self.b), "calibrator.b", "a finite number")

    def _at(self, score: float) -> float:
        return sigmoid(self.a * logit(score) + self.b)


@dataclass(frozen=True, slots=True)
class Isotonic(_Calibrator):
    """Straight lines between the knots (x, y), level beyond them: Zadrozny, Elkan 2002, "Transforming Classifier
    Scores into Accurate Multiclass Probability Estimates", with the steps joined.

    Raises ConfigError unless x ascends strictly and y never falls, all within [0, 1].
    """

    x: tuple[float, ...]
    y: tuple[float, ...]
    method: ClassVar[str] = "isotonic"

    def __post_init__(self) -> None:
        _check_knots(self.x)
        _check_levels("calibrator.y", self.y, len(self.x))

    def _at(self, score: float) -> float:
        right = bisect_right(self.x, score)
        if right in (0, len(self.x)):
            return self.y[max(right - 1, 0)]
        x0, x1, y0, y1 = self.x[right - 1], self.x[right], self.y[right - 1], self.y[right]
        # Rounding may carry the last step of a line past its end, which would break the order.
        return min(y0 + (y1 - y0) * ((score - x0) / (x1 - x0)), y1)


@dataclass(frozen=True, slots=True)
class VennAbers(_Calibrator):
    """p = p1 / (1 - p0 + p1): Vovk, Petej, Fedorova 2015, "Large-scale probabilistic predictors with and without
    guarantees of validity", section 2 (inductive predictor) and section 4 (log-minimax merging).

    `p0[i]` and `p1[i]` are the isotonic fits at the calibration score `x[i]` after one more case with that score
    was added as wrong and as right. Between two knots p0 is the left one's and p1 the right one's; below the
    first p0 is 0, above the last p1 is 1. This is exact, because the added case always joins that neighbour.
    Raises ConfigError unless x ascends strictly, p0 and p1 never fall, p0 <= p1, all within [0, 1].
    """

    x: tuple[float, ...]
    p0: tuple[float, ...]
    p1: tuple[float, ...]
    method: ClassVar[str] = "venn-abers"

    def __post_init__(self) -> None:
        _check_knots(self.x)
        _check_levels("calibrator.p0", self.p0, len(self.x))
        _check_levels("calibrator.p1", self.p1, len(self.x))
        check(all(low <= high for low, high in zip(self.p0, self.p1, strict=True)), "calibrator.p1", "nowhere below p0")

    def interval(self, raw: float) -> tuple[float, float]:
        """Return (p0, p1). One of them, unknown which, is exactly calibrated; their distance is the uncertainty."""
        if math.isnan(raw):
            return math.nan, math.nan
        score = min(max(raw, 0.0), 1.0)
        left, right = bisect_right(self.x, score) - 1, bisect_left(self.x, score)
        return self.p0[left] if left >= 0 else 0.0, self.p1[right] if right < len(self.x) else 1.0

    def _at(self, score: float) -> float:
        p0, p1 = self.interval(score)
        return p1 / (1.0 - p0 + p1)


Calibrator = IdentityCalibrator | Temperature | Platt | Isotonic | VennAbers
METHODS: dict[str, type[Calibrator]] = {
    kind.method: kind for kind in (IdentityCalibrator, Temperature, Platt, Isotonic, VennAbers)
}
"""From the simplest to the most flexible."""


def calibrator_from(data: object) -> Calibrator:
    """Read a calibrator from `as_json`'s form. Raises ConfigError that names the key at fault."""
    if not isinstance(data, Mapping):
        raise ConfigError("This must be an object with a method.", AGAIN, "calibrator")
    kind = METHODS.get(data["method"]) if isinstance(data.get("method"), str) else None
    if kind is None:
        raise ConfigError(f"The method must be one of {', '.join(METHODS)}.", AGAIN, "calibrator.method")
    check_keys(data, {"method", *_names(kind)}, "calibrator.")
    return kind(**{name: frozen(data[name], f"calibrator.{name}") for name in _names(kind)})


def _names(kind: type[_Calibrator]) -> list[str]:
    return [f.name for f in fields(cast("Any", kind))]


def _check_knots(x: object) -> None:
    shares = isinstance(x, tuple) and bool(x) and all(map(share, x))
    strictly = shares and ascends(cast("Any", x)) and len(set(cast("Any", x))) == len(cast("Any", x))
    check(strictly, "calibrator.x", "a strictly ascending list of numbers from 0 to 1")


def _check_levels(key: str, levels: object, length: int) -> None:
    holds = isinstance(levels, tuple) and len(levels) == length and all(map(share, levels)) and ascends(levels)
    check(holds, key, f"a list of {length} numbers from 0 to 1 that never falls, one for each x")


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
