"""Detect that live scores differ from those of a calibration, by a conformal test martingale.

A watch starts with the calibration's scores and gets every live score once. Its wealth is not expected to grow while
live scores and calibration scores come from one distribution.
"""

from __future__ import annotations

import math
import struct
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, Self

from streams.calibration.martingale import Capital, opening, wager
from streams.core.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MIN_SCORES = 20
BINS = 32
"""Bins of about equal mass for the calibration scores; unknown scores have one more."""
_EDGE_SHARE = 4
"""One calibration score in this many places the edges of bins; the others are counted."""
_HEAD = struct.Struct(">BH")
_VERSION = 1

_TAIL = 0.1
"""Probability of each tail that is bet on."""
_BETS: Final[dict[str, tuple[float, ...]]] = {
    "sleep": (0.0,),
    "slope": (-0.9, -0.3, 0.3, 0.9),  # scores moved up or down
    "curvature": (-0.9, -0.3, 0.3, 0.9),  # scores spread or drew together
    "lower tail": (0.1, 0.3),  # a new cluster of low scores
    "upper tail": (0.1, 0.3),  # or of high ones
}
_STRENGTHS: Final = [strength for strengths in _BETS.values() for strength in strengths]
_SHAPES: Final = [shape for shape, strengths in enumerate(_BETS.values()) for _ in strengths]
"""The shape of each bet, as its place in `_BETS`."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A calibration's scores in bins: `edges` ascend, `counts` has two more.

    Bin 0 holds unknown scores (nan), bin 1 those below the first edge, and bin k + 2 those from edge k up to the next.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        rising = all(low < high for low, high in zip(self.edges, self.edges[1:], strict=False))
        if not (rising and all(math.isfinite(edge) for edge in self.edges) and len(self.edges) <= 2 * BINS):
            raise ConfigError("The edges of the reference do not rise.", "Calibrate again.", "reference")
        if len(self.counts) != len(self.edges) + 2 or min(self.counts) < 0:
            raise ConfigError("The counts of the reference do not fit its edges.", "Calibrate again.", "reference")

    def as_json(self) -> dict[str, Any]:
        return {"edges": list(self.edges), "counts": list(self.counts)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read what `as_json` returned. Raises ConfigError for anything else."""
        try:
            return cls(tuple(map(float, value["edges"])), tuple(map(int, value["counts"])))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ConfigError(f"This is not a reference: {error!r}.", "Calibrate again.", "reference") from error


def reference_of(scores: Sequence[float]) -> Reference:
    """Return the reference for `scores`, in any order; nan is an unknown score. Raises ConfigError below 20 scores.

    The scores that place the edges are not counted. Otherwise a bin's count of calibration scores would be fixed in
    advance and its count of live scores would not, so the two would not be exchangeable.
    """
    import numpy as np

    if len(scores) < MIN_SCORES:
        raise ConfigError(f"{len(scores)} scores are too few for a reference.", f"Give at least {MIN_SCORES}.")
    ordered = np.sort(np.asarray(scores, dtype=np.float64) + 0.0)
    # The ranks that place the edges must differ between calibrations and not depend on the given order.
    seed = int.from_bytes(sha256(ordered.astype(">f8").tobytes()).digest())
    mixed = np.random.default_rng(seed).permutation(ordered)
    placing, counted = np.split(mixed, [len(mixed) // _EDGE_SHARE])
    edges = _edges(placing)
    places = [bin_of(edges, score) for score in counted.tolist()]
    return Reference(edges, tuple(np.bincount(places, minlength=len(edges) + 2).tolist()))


def _edges(scores: NDArray[np.float64]) -> tuple[float, ...]:
    """Return quantiles of the finite scores. A value at several quantiles gets its own bin."""
    import numpy as np

    finite = np.sort(scores[np.isfinite(scores)])
    if not len(finite):
        return ()
    picks = finite[np.unique(np.linspace(0, len(finite) - 1, BINS + 1)[1:-1].round().astype(np.int64))]
    frequent = picks[1:][picks[1:] == picks[:-1]]
    edges = {*picks.tolist(), *(math.nextafter(value, math.inf) for value in frequent.tolist())}
    return tuple(sorted(edge for edge in edges if math.isfinite(edge)))


@dataclass(frozen=True, slots=True)
class Watch:
    """The state of the test: the count of each bin, calibration included, and the capital of the bets."""

    counts: tuple[int, ...]
    capital: Capital

    def to_bytes(self) -> bytes:
        """Pack into about 650 bytes, which `from_bytes` reads back exactly."""
        head = _HEAD.pack(_VERSION, len(self.counts))
        return head + struct.pack(f">{len(self.counts)}Q", *self.counts) + self.capital.to_bytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` wrote. Raises ConfigError for anything else, or another version."""
        try:
            version, length = _HEAD.unpack_from(data)
            counts = struct.unpack_from(f">{length}Q", data, _HEAD.size)
        except struct.error as error:
            raise ConfigError("These bytes are not a watch.", "Start the watch again.") from error
        if version != _VERSION:
            raise ConfigError(f"A watch of version {version} cannot be read.", "Start the watch again.")
        return cls(counts, Capital.from_bytes(data[_HEAD.size + 8 * length :], len(_STRENGTHS)))


def watch(reference: Reference) -> Watch:
    """Start a watch without live scores. A new calibration needs a new one."""
    return Watch(reference.counts, opening(len(_STRENGTHS)))


def observe(reference: Reference, state: Watch, score: float, u: float) -> Watch:
    """Return the watch after one more live score; nan is an unknown score. `u` is drawn uniformly from 0 to 1.

    The bet follows the smoothed conformal p-value of the score's bin (Vovk, Nouretdinov and Gammerman 2003, Testing
    exchangeability on-line) and is drawn from a mixture of simple jumpers (Vovk et al. 2021, Retrain or not retrain).
    Exact for any distribution, if calibration and live scores are exchangeable. Scores of repeated tasks are not: leave
    out answers from a cache and redelivered events.
    """
    if len(state.counts) != len(reference.counts):
        raise ConfigError("The watch belongs to another reference.", "Start a watch for this reference.")
    if not 0 <= u <= 1:
        raise ValueError(f"u must lie in 0 to 1, not be {u}")
    place = bin_of(reference.edges, score)
    p = p_value(state.counts, place, u)
    counts = (*state.counts[:place], state.counts[place] + 1, *state.counts[place + 1 :])
    return Watch(counts, wager(state.capital, payoffs(p)))


def bin_of(edges: Sequence[float], score: float) -> int:
    return 0 if math.isnan(score) else bisect_right(edges, score) + 1


def p_value(counts: Sequence[int], place: int, u: float) -> float:
    """Return the smoothed conformal p-value of a new score in bin `place`, given the earlier `counts` of each bin.

    (Scores in lower bins + u times those in the same bin, including the new one) / all of them. Small for low scores;
    an unknown score is lower than any.
    """
    return (sum(counts[:place]) + u * (counts[place] + 1)) / (sum(counts) + 1)


def payoffs(p: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each bet's payoff, 1 + strength * shape(p), of shape (bets, ...) for a p of shape (...).

    Every shape has mean 0 over a uniform p: the first two Legendre polynomials moved to 0 to 1, and the tails.
    """
    import numpy as np

    slope, curvature = 2 * p - 1, 6 * p * (p - 1) + 1
    lower, upper = (p < _TAIL) / _TAIL - 1, (p >= 1 - _TAIL) / _TAIL - 1
    shapes = np.array([0 * p, slope, curvature, lower, upper])[_SHAPES]
    return np.asarray(1 + (np.array(_STRENGTHS) * shapes.T).T, dtype=np.float64)
