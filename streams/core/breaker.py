"""A circuit breaker: a provider that fails is left alone for a while, then asked once, then used again.

Pure: `now` is monotonic seconds, given by the caller. Only what is the provider's own fault is a failure here; a
refusal or a bad request shows that the provider is there.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

MOST_BEGUN = 512
"""Calls it remembers: those it judges by, and those under way."""
State = Literal["closed", "open", "half-open"]
Sign = Literal["tripped", "rested", "answered", "failed"]

# fmt: off
TRANSITIONS: dict[tuple[State, Sign], State] = {
    # in this state, when this is seen, it goes to
    ("closed",    "tripped"):  "open",       # most of the latest calls failed: no call is made
    ("open",      "rested"):   "half-open",  # its rest is over: one call is made as a trial
    ("half-open", "answered"): "closed",     # the trial was answered: calls are made as before
    ("half-open", "failed"):   "open",       # the trial failed: a rest twice as long
}
# fmt: on


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerPolicy:
    """When it opens, and for how long."""

    latest: int = 20
    """Calls it judges by: those that began last, up to the last one that has ended; one under way has not failed. For
    failures come back faster than answers: of the first calls to end nearly all have failed."""
    least: int = 10
    """Of them there must be at least so many."""
    share: float = 0.8
    """It opens when this share of them failed. Retries cope with less: of 20 calls that fail by chance two times in
    five, eight in ten fail once in 3,000 times, and half of them every fourth time."""
    rest: float = 2.0
    """Seconds; each further rest is twice as long."""
    longest_rest: float = 60.0
    trial_wait: float = 1.0
    """Seconds to wait while another call is the trial."""


@dataclass(slots=True, eq=False)
class Permit:
    """One call's. `term` is the time between two changes in which it began; later ones it tells nothing about."""

    term: int
    ended: bool = False
    failed: bool = False


@dataclass(slots=True)
class Breaker:
    """One breaker. Ask `wait`, then `enter`; tell how the call ended with the permit that `enter` gave."""

    policy: BreakerPolicy = field(default_factory=BreakerPolicy)
    state: State = "closed"
    _begun: deque[Permit] = field(default_factory=lambda: deque(maxlen=MOST_BEGUN))
    _rests: int = 0
    """Rests since it was last closed."""
    _until: float = 0.0
    _on_trial: bool = False
    _term: int = 0

    def wait(self, now: float) -> float:
        """Seconds until a call may be made; 0 when one may be made now."""
        if self.state == "open":
            if now < self._until:
                return self._until - now
            self._go("rested")
        return self.policy.trial_wait if self._on_trial else 0.0

    def enter(self) -> Permit:
        """A call begins, for which `wait` said 0. Returns its permit."""
        self._on_trial = self.state == "half-open"
        permit = Permit(self._term)
        self._begun.append(permit)
        return permit

    def answered(self, permit: Permit) -> None:
        """A call was answered, whatever the answer."""
        if permit.term == self._term:
            permit.ended = True
            self._go("answered")

    def failed(self, permit: Permit, now: float) -> None:
        """A call failed, and the provider is at fault."""
        if permit.term != self._term:
            return
        permit.ended = permit.failed = True
        self._go("tripped" if self.state == "closed" and self._tripped() else "failed")
        if self.state == "open":
            self._rests += 1
            self._until = now + min(self.policy.longest_rest, self.policy.rest * 2 ** (self._rests - 1))

    def abandoned(self, permit: Permit) -> None:
        """A call was given up, so that nothing was learnt; a trial's place is free again."""
        if permit.term == self._term:
            self._on_trial = False
            if permit in self._begun:
                self._begun.remove(permit)

    def _tripped(self) -> bool:
        begun = list(self._begun)
        while begun and not begun[-1].ended:
            begun.pop()
        judged = begun[-self.policy.latest :]
        failed = sum(one.failed for one in judged)
        return len(judged) >= self.policy.least and failed >= self.policy.share * len(judged)

    def _go(self, sign: Sign) -> None:
        state = TRANSITIONS.get((self.state, sign))
        if state is None:
            return
        self.state, self._on_trial = state, False
        self._term += 1
        self._begun.clear()
        if state == "closed":
            self._rests = 0
