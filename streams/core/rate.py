"""Rate limits of a model: token buckets that fill evenly, as providers count themselves.

Pure: `now` is monotonic seconds, given by the caller. A call's usage is known only in part before it, so a bucket may
be overdrawn: input is counted by an estimate and corrected after the call, output is counted after it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

BURST_SECONDS = 10.0
"""A full bucket holds the inflow of this time. A provider's bucket holds a minute's, so this one never empties it."""
_NOTHING = 1e-9


@dataclass(slots=True)
class Bucket:
    """A token bucket. It begins full."""

    per_minute: float
    level: float = field(init=False)
    _at: float | None = None

    def __post_init__(self) -> None:
        self.level = self.capacity

    @property
    def capacity(self) -> float:
        """The most it holds: at least one, or nothing could ever be taken."""
        return max(1.0, self.per_minute * BURST_SECONDS / 60)

    def wait(self, now: float, amount: float) -> float:
        """Return the seconds until `amount` may be taken; for more than the capacity, until it is full."""
        self._fill(now)
        missing = min(amount, self.capacity) - self.level
        return missing * 60 / self.per_minute if missing > _NOTHING else 0.0

    def take(self, now: float, amount: float) -> None:
        """Take an amount, or give it back if negative. The level may fall below 0."""
        self._fill(now)
        self.level = min(self.capacity, self.level - amount)

    def _fill(self, now: float) -> None:
        passed = 0.0 if self._at is None else max(0.0, now - self._at)
        self._at = now
        self.level = min(self.capacity, self.level + passed * self.per_minute / 60)


@dataclass(slots=True, kw_only=True)
class RateLimit:
    """One model's limits a minute; None limits nothing."""

    requests: Bucket | None = None
    input_tokens: Bucket | None = None
    output_tokens: Bucket | None = None
    _held_until: float = 0.0
    _free_until: float = 0.0

    @classmethod
    def of(cls, requests: float | None, input_tokens: float | None, output_tokens: float | None) -> RateLimit:
        asked, read, written = (
            None if each is None else Bucket(each) for each in (requests, input_tokens, output_tokens)
        )
        return cls(requests=asked, input_tokens=read, output_tokens=written)

    def wait(self, now: float, size: int) -> float:
        """Return the seconds until a call of about `size` input tokens may begin."""
        asked = ((self.requests, 1), (self.input_tokens, size), (self.output_tokens, 0))
        waits = [bucket.wait(now, amount) for bucket, amount in asked if bucket is not None]
        return max(0.0, self._held_until - now, *waits)

    def take(self, now: float, size: int) -> None:
        """Count a call of about `size` input tokens that begins now."""
        if self.requests is not None:
            self.requests.take(now, 1)
        if self.input_tokens is not None:
            self.input_tokens.take(now, size)

    def give_back(self, now: float, size: int) -> None:
        """Undo `take`: the call was not made."""
        if self.requests is not None:
            self.requests.take(now, -1)
        if self.input_tokens is not None:
            self.input_tokens.take(now, -size)

    def settle(self, now: float, size: int, input_tokens: int | None, output_tokens: int | None) -> None:
        """Correct the count by the tokens used; if they are unknown, the estimate remains."""
        if self.input_tokens is not None and input_tokens is not None:
            self.input_tokens.take(now, input_tokens - size)
        if self.output_tokens is not None and output_tokens is not None:
            self.output_tokens.take(now, output_tokens)

    def hold(self, now: float, seconds: float) -> None:
        """Let no call begin for some time, because the provider asked for that.

        Then ignore such requests for as long: each call waits for its own anyway, and a provider that rejects a call
        now and then would otherwise stop all of them permanently.
        """
        if self._held_until <= now < self._free_until:
            return
        self._held_until = max(self._held_until, now + seconds)
        self._free_until = max(self._free_until, self._held_until + seconds)
