"""Exact binomial tails: the errors that a proof of a target allows, and the bound that a count of errors implies."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr  # type: ignore[import-untyped]
from scipy.stats import beta, binom  # type: ignore[import-untyped]

Counts = NDArray[np.int64]


def tail(errors: Counts, cases: Counts, max_error: float) -> NDArray[np.float64]:
    """Return P(Bin(cases, max_error) <= errors) for 0 <= errors <= cases, element by element."""
    return np.asarray(bdtr(errors.astype(np.float64), cases, max_error), dtype=np.float64)


def allowed_errors(cases: Counts, max_error: float, risk: float) -> Counts:
    """Return for each count the most errors e with P(Bin(cases, max_error) <= e) <= risk; -1 if even 0 is too many.

    Observing e or fewer errors rejects "the error is max_error or more" at level `risk`: the exact binomial test, dual
    to Clopper and Pearson 1934, "The Use of Confidence or Fiducial Limits Illustrated in the Case of the Binomial".
    """
    quantile = np.asarray(binom.ppf(risk, cases, max_error), dtype=np.int64)
    return np.where(tail(quantile, cases, max_error) <= risk, quantile, quantile - 1).astype(np.int64)


def upper_bound(errors: int, cases: int, certainty: float) -> float:
    """Return the upper confidence bound of an error probability after `errors` in `cases`; 1 if all are wrong.

    One-sided, by Clopper and Pearson 1934, in its Beta form. Valid for a threshold fixed before the cases were seen.
    """
    return 1.0 if errors >= cases else float(beta.ppf(certainty, errors + 1, cases - errors))


def fewest_cases(max_error: float, risk: float) -> int:
    """Return the fewest cases that, if all are right, prove the target: the least n with (1 - max_error)^n <= risk."""
    return math.ceil(math.log(risk) / math.log1p(-max_error) - 1e-9)
