"""Which share of a model's calls may be retries, so that retries never multiply an overload.

After Finagle's RetryBudget: each call pays a part of a retry in, each retry takes a whole one out. Pure: `now` is
monotonic seconds, given by the caller.
"""

from __future__ import annotations

from dataclasses import dataclass, field

RESERVE = 10.0
"""Retries there are at the beginning, and that come in a minute without any call: else a rare call could never be
retried."""
MOST = 100.0
"""Retries saved up at most, so that a good hour pays for no bad minute."""


@dataclass(slots=True)
class RetryBudget:
    """One model's. `share` of all its calls may be retries; with 0 none may."""

    share: float
    balance: float = field(init=False)
    _at: float | None = None

    def __post_init__(self) -> None:
        self.balance = RESERVE if self.share > 0 else 0.0

    def deposit(self, now: float) -> None:
        """A call is made, a retry or not."""
        self._fill(now)
        self.balance = min(MOST, self.balance + self.share)

    def give_back(self) -> None:
        """Undo a deposit: the call was not made after all."""
        self.balance = max(0.0, self.balance - self.share)

    def withdraw(self, now: float) -> bool:
        """Whether one retry may be made; it is then counted."""
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
