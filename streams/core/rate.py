"""How often a model may be asked: token buckets that fill evenly, as providers count themselves.

Pure: `now` is monotonic seconds, given by the caller. What a call will take is known before it only in part, so a
bucket may owe: input is counted by an estimate and set right after the call, output is counted after it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

BURST_SECONDS = 10.0
"""A full bucket holds what flows in within this time; a provider's own, which holds a minute's, is never emptied so."""
_NOTHING = 1e-9


@dataclass(slots=True)
class Bucket:
    """What may be taken of one thing. It begins full."""

    per_minute: float
    level: float = field(init=False)
    _at: float | None = None

    def __post_init__(self) -> None:
        self.level = self.capacity

    @property
    def capacity(self) -> float:
        """How much it holds: at least one, or nothing could ever be taken."""
        return max(1.0, self.per_minute * BURST_SECONDS / 60)

    def wait(self, now: float, amount: float) -> float:
        """Seconds until `amount` may be taken; of more than it holds, until it is full."""
        self._fill(now)
        missing = min(amount, self.capacity) - self.level
        return missing * 60 / self.per_minute if missing > _NOTHING else 0.0

    def take(self, now: float, amount: float) -> None:
        """Take it, or with a negative amount give it back; what was not there is owed."""
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
        """Limits of so many a minute."""
        asked, read, written = (
            None if each is None else Bucket(each) for each in (requests, input_tokens, output_tokens)
        )
        return cls(requests=asked, input_tokens=read, output_tokens=written)

    def wait(self, now: float, size: int) -> float:
        """Seconds until a call of about `size` input tokens may begin."""
        asked = ((self.requests, 1), (self.input_tokens, size), (self.output_tokens, 0))
        waits = [bucket.wait(now, amount) for bucket, amount in asked if bucket is not None]
        return max(0.0, self._held_until - now, *waits)

    def take(self, now: float, size: int) -> None:
        """A call of about `size` input tokens begins."""
        if self.requests is not None:
            self.requests.take(now, 1)
        if self.input_tokens is not None:
            self.input_tokens.take(now, size)

    def give_back(self, now: float, size: int) -> None:
        """The call was not made after all."""
        if self.requests is not None:
            self.requests.take(now, -1)
        if self.input_tokens is not None:
            self.input_tokens.take(now, -size)

    def settle(self, now: float, size: int, input_tokens: int | None, output_tokens: int | None) -> None:
        """The call has taken so many tokens; where that is not known the estimate stands."""
        if self.input_tokens is not None and input_tokens is not None:
            self.input_tokens.take(now, input_tokens - size)
        if self.output_tokens is not None and output_tokens is not None:
            self.output_tokens.take(now, output_tokens)

    def hold(self, now: float, seconds: float) -> None:
        """Let no call begin for some time, for the provider asked for that.

        As long a time after it is free: each call waits for its own wish anyway, and a provider that now and then turns
        one call away would else stop all of them all the time.
        """
        if self._held_until <= now < self._free_until:
            return
        self._held_until = max(self._held_until, now + seconds)
        self._free_until = max(self._free_until, self._held_until + seconds)
