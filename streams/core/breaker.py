"""A circuit breaker: a failing provider gets no calls for a while, then one trial call, then calls again.

Pure: `now` is monotonic seconds, given by the caller. Only a fault of the provider is a failure here; a refusal or a
bad request shows that the provider works.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

MOST_BEGUN = 512
"""Calls that a breaker remembers: those that it judges by, and those in flight."""
State = Literal["closed", "open", "half-open"]
Sign = Literal["tripped", "rested", "answered", "failed"]

# fmt: off
TRANSITIONS: dict[tuple[State, Sign], State] = {
    # state,      sign,        next state
    ("closed",    "tripped"):  "open",       # most of the latest calls failed: no calls are made
    ("open",      "rested"):   "half-open",  # the rest is over: one trial call is made
    ("half-open", "answered"): "closed",     # the trial was answered: calls are made again
    ("half-open", "failed"):   "open",       # the trial failed: the next rest is twice as long
}
# fmt: on


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerPolicy:
    """The conditions for opening, and the length of rests in seconds."""

    latest: int = 20
    """Calls to judge by: those that began last, up to the last one that ended. A call in flight counts as not failed,
    because failures return faster than answers: nearly all of the first calls to end are failures."""
    least: int = 10
    """Fewer calls than this never open it."""
    share: float = 0.8
    """The share of failures that opens it. Retries cope with fewer: if calls fail with a chance of 2 in 5, then of 20
    calls 80 % fail once in 3,000 times, but 50 % every fourth time."""
    rest: float = 2.0
    """The first rest; each further one is twice as long."""
    longest_rest: float = 60.0
    trial_wait: float = 1.0
    """The wait while another call is the trial."""


@dataclass(slots=True, eq=False)
class Permit:
    """The permit of one call. `term` counts state changes; a call says nothing about later terms than its own."""

    term: int
    ended: bool = False
    failed: bool = False


@dataclass(slots=True)
class Breaker:
    """A circuit breaker. Call `wait`, then `enter`, and report the call's end with the permit that `enter` returned."""

    policy: BreakerPolicy = field(default_factory=BreakerPolicy)
    state: State = "closed"
    _begun: deque[Permit] = field(default_factory=lambda: deque(maxlen=MOST_BEGUN))
    _rests: int = 0
    _until: float = 0.0
    _on_trial: bool = False
    _term: int = 0

    def wait(self, now: float) -> float:
        """Return the seconds until a call may be made; 0 if one may be made now."""
        if self.state == "open":
            if now < self._until:
                return self._until - now
            self._go("rested")
        return self.policy.trial_wait if self._on_trial else 0.0

    def enter(self) -> Permit:
        """Start a call after `wait` returned 0; return its permit."""
        self._on_trial = self.state == "half-open"
        permit = Permit(self._term)
        self._begun.append(permit)
        return permit

    def answered(self, permit: Permit) -> None:
        """Record that a call got an answer of any kind."""
        if permit.term == self._term:
            permit.ended = True
            self._go("answered")

    def failed(self, permit: Permit, now: float) -> None:
        """Record that a call failed through the provider's fault."""
        if permit.term != self._term:
            return
        permit.ended = permit.failed = True
        self._go("tripped" if self.state == "closed" and self._tripped() else "failed")
        if self.state == "open":
            self._rests += 1
            self._until = now + min(self.policy.longest_rest, self.policy.rest * 2 ** (self._rests - 1))

    def abandoned(self, permit: Permit) -> None:
        """Record that a call was given up without a result; if it was the trial, another may be made."""
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
