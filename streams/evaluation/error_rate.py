"""Test, answer by answer, that at most a stated share of the accepted answers is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from streams.calibration.martingale import Capital, opening, wager
from streams.core.errors import ConfigError

_FRACTIONS: Final = np.array([0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8])
"""Fractions of the wealth that a right answer costs. The first is 0: a bet that waits."""


@dataclass(frozen=True, slots=True)
class ErrorRate:
    """The state of a test of the claim that an answer is wrong with a probability of at most `max_error`."""

    max_error: float
    capital: Capital

    def __post_init__(self) -> None:
        if not 0 < self.max_error < 1:
            raise ConfigError(f"An error rate of {self.max_error} cannot be tested.", "Use one between 0 and 1.")


def error_watch(max_error: float) -> ErrorRate:
    """Start a test. Raises ConfigError unless `max_error` lies between 0 and 1."""
    return ErrorRate(max_error, opening(len(_FRACTIONS)))


def observe(state: ErrorRate, wrong: bool) -> ErrorRate:
    """Return the test after one more accepted answer was judged.

    Bets 1 + lambda (wrong - max_error) with lambda = fraction / max_error (Waudby-Smith and Ramdas 2024, Estimating
    means of bounded random variables by betting). Valid if each answer, given all earlier ones, is wrong with a
    probability of at most `max_error`, and if the choice of judged answers does not depend on whether they are right.
    """
    payoffs = 1 + _FRACTIONS / state.max_error * (wrong - state.max_error)
    return ErrorRate(state.max_error, wager(state.capital, payoffs))
