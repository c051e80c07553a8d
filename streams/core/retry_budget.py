"""A limit on the share of a model's calls that are retries, so that retries never multiply an overload.

After Finagle's RetryBudget: each call deposits a part of a retry, each retry withdraws a whole one. Pure: `now` is
monotonic seconds, given by the caller.
"""

from __future__ import annotations

from dataclasses import dataclass, field

RESERVE = 10.0
"""Retries available at the beginning, and refilled per minute without calls, so that a rare call can be retried."""
MOST = 100.0
"""The most retries that can be saved, so that a good hour does not pay for a bad minute."""


@dataclass(slots=True)
class RetryBudget:
    """The retry budget of one model: `share` of its calls may be retries, with 0 none."""

    share: float
    balance: float = field(init=False)
    _at: float | None = None

    def __post_init__(self) -> None:
        self.balance = RESERVE if self.share > 0 else 0.0

    def deposit(self, now: float) -> None:
        """Count a call, retry or not."""
        self._fill(now)
        self.balance = min(MOST, self.balance + self.share)

    def give_back(self) -> None:
        """Undo a deposit: the call was not made."""
        self.balance = max(0.0, self.balance - self.share)

    def withdraw(self, now: float) -> bool:
        """Take one retry out; return False if there is none."""
        self._fill(now)
        if self.balance < 1:
            return False
        self.balance -= 1
        return True

    def _fill(self, now: float) -> None:
        passed = 0.0 if self._at is None else max(0.0, now - self._at)
        self._at = now
        if self.share > 0 and self.balance < RESERVE:
            self.balance = min(RESERVE, self.balance + passed * RESERVE / 60)
