"""Test a claim about a stream by betting against it.

Bets against a true claim win nothing on average, however long the stream and at any time they are counted. So
while the claim is true, the chance of ever reaching 20 times the stake is at most 1 in 20.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from streams.core.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_JUMP_RATES: Final = (0.001, 0.0001)
"""Shares of the capital that are redistributed at every event. A further part uses 1 / (events + 2)."""
_PARTS: Final = len(_JUMP_RATES) + 1
_VERSION: Final = 1
_HEAD: Final = struct.Struct(">BHQdd")


@dataclass(frozen=True, slots=True)
class Capital:
    """The wealth after `seen` events, as natural logs of multiples of the stake.

    `shares` are the parts of it on each bet: for each jump rate all bets in order. They sum to 1.
    """

    shares: tuple[float, ...]
    seen: int = 0
    log_wealth: float = 0.0
    peak_log_wealth: float = 0.0

    def to_bytes(self) -> bytes:
        """Pack into 27 bytes and 8 for each share, which `from_bytes` reads back exactly."""
        head = _HEAD.pack(_VERSION, len(self.shares), self.seen, self.log_wealth, self.peak_log_wealth)
        return head + struct.pack(f">{len(self.shares)}d", *self.shares)

    @classmethod
    def from_bytes(cls, data: bytes, bets: int) -> Self:
        """Read what `to_bytes` wrote. Raises ConfigError for anything else, another version or number of `bets`."""
        try:
            version, length, *numbers = _HEAD.unpack_from(data)
            shares = struct.unpack(f">{length}d", data[_HEAD.size :])
        except struct.error as error:
            raise ConfigError("These bytes are not the state of a test.", "Start the test again.") from error
        if version != _VERSION or length != _PARTS * bets:
            raise ConfigError(f"A state of version {version} cannot be read.", "Start the test again.")
        return cls(shares, *numbers)


def opening(bets: int) -> Capital:
    """Return the initial stake: all on bet 0, the one that waits, in equal parts for each jump rate."""
    return Capital(tuple([1 / _PARTS, *[0.0] * (bets - 1)] * _PARTS))


def wager(capital: Capital, payoffs: NDArray[np.float64]) -> Capital:
    """Return the capital after one event that multiplies each bet by `payoffs` (bets,), all above 0.

    If no payoff has an expectation above 1, given all earlier events, the wealth ever reaches 1 / rate with a
    probability of at most `rate` (Ville 1939, Étude critique de la notion de collectif).
    """
    import numpy as np

    shares = jump_and_pay(np.array(capital.shares).reshape(_PARTS, -1), payoffs, capital.seen)
    growth = float(shares.sum())
    log_wealth = capital.log_wealth + math.log(growth)
    peak = max(capital.peak_log_wealth, log_wealth)
    return Capital(tuple((shares / growth).ravel().tolist()), capital.seen + 1, log_wealth, peak)


def jump_and_pay(shares: NDArray[np.float64], payoffs: NDArray[np.float64], seen: int) -> NDArray[np.float64]:
    """Return the wealth on each bet after event `seen` + 1: `shares` (..., jump rates, bets), `payoffs` (..., bets).

    A simple jumper for each jump rate (Vovk et al. 2021, Retrain or not retrain): before the event it deals a part
    of its wealth equally to all bets. At a constant rate a long quiet stream uses up the wealth; at a rate that falls
    as 1 / events it hardly does (Shamir and Merhav 1999, Low-complexity sequential lossless coding for
    piecewise-stationary memoryless sources).
    """
    import numpy as np

    rates = np.array([*_JUMP_RATES, 1 / (seen + 2)])[:, np.newaxis]
    dealt = (1 - rates) * shares + rates * shares.mean(axis=-1, keepdims=True)
    return np.asarray(dealt * payoffs[..., np.newaxis, :], dtype=np.float64)


def expired(capital: Capital, rate: float) -> bool:
    """True if the claim is refuted at a false-alarm rate of `rate` for the whole stream. It then stays refuted.

    Raises ConfigError unless `rate` lies between 0 and 1. Several tests of one claim must share the rate.
    """
    if not 0 < rate < 1:
        raise ConfigError(f"A false-alarm rate of {rate} is impossible.", "Use one between 0 and 1, such as 0.05.")
    return capital.peak_log_wealth >= -math.log(rate)
