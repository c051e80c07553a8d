"""A fake batch API in memory, on a clock that a test moves, with books of what it bills."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from streams.core.errors import ModelError
from streams.models.providers.batches import BatchItem, BatchRequest, BatchStatus
from streams.models.providers.protocol import ModelReply

HALF_CENTS, FULL_CENTS = 1, 2
"""The price of a call in a batch, and by the ordinary API."""


@dataclass
class FakeBatch:
    """One batch. A request begins shortly before it is done, and ends even if the batch is cancelled meanwhile."""

    batch_id: str
    created_at: datetime
    requests: list[BatchRequest]
    done_at: list[datetime]
    fails: list[bool]
    cancelled_at: datetime | None = None

    def processed(self, number: int) -> bool:
        """True if a request was begun before the batch was cancelled or expired."""
        begun = self.done_at[number] - BEGUN
        return begun <= min(self.cancelled_at or begun, self.created_at + DAY)

    @property
    def ended_at(self) -> datetime:
        """The time at which every request has ended."""
        ends = [at for number, at in enumerate(self.done_at) if self.processed(number)]
        left = [at for number, at in enumerate(self.done_at) if not self.processed(number)]
        stopped = [self.cancelled_at or self.created_at + DAY] if left else []
        return max([*ends, *stopped])


BEGUN, DAY = timedelta(seconds=90), timedelta(days=1)


@dataclass
class FakeBatchAPI:
    """Delays are minutes for most requests and hours for some; now and then it answers 429, or its answer is lost."""

    now: Callable[[], datetime]
    chance: random.Random
    trouble: float = 0.1
    """The share of creations that go wrong: refused, or made without the client hearing of it."""
    slowness: float = 1.0
    """A factor of all delays."""
    certain: bool = False
    """True for a provider whose list names the intent."""
    batches: dict[str, FakeBatch] = field(default_factory=dict)
    intents: dict[str, str] = field(default_factory=dict)

    def create(self, intent_id: str, requests: Sequence[BatchRequest]) -> BatchStatus:
        """Create a batch, or not."""
        trouble = self.chance.random()
        if trouble < self.trouble / 2:
            raise ModelError("rate_limited", "Too many batches.", retryable=True, unbilled=True)
        at, name = self.now(), f"batch_{len(self.batches):04d}"
        usual = self.slowness * self.chance.lognormvariate(
            6.5, 0.8
        )  # half of the batches in 11 minutes, one in a hundred in 70
        done = [at + BEGUN + timedelta(seconds=usual * self.chance.uniform(0.3, 1.0)) for _ in requests]
        fails = [self.chance.random() < 0.02 for _ in requests]
        self.batches[name] = FakeBatch(name, at, [*requests], done, fails)
        self.intents[name] = intent_id
        if trouble < self.trouble:
            raise ModelError("timeout", "No answer.", retryable=True)
        return self._status(self.batches[name])

    def find(self, intent_id: str, since: datetime, until: datetime, count: int) -> Sequence[BatchStatus]:
        """Return the batches of a time and a size."""
        found = [one for one in self.batches.values() if since <= one.created_at <= until]
        if self.certain:
            return [self._status(one) for one in found if self.intents[one.batch_id] == intent_id]
        return [self._status(one) for one in found if len(one.requests) == count]

    def status(self, batch_id: str) -> BatchStatus:
        """Return a batch."""
        return self._status(self.batches[batch_id])

    def cancel(self, batch_id: str) -> None:
        """Cancel what was not begun."""
        batch = self.batches[batch_id]
        batch.cancelled_at = min(batch.cancelled_at or self.now(), self.now())

    def results(self, batch_id: str) -> Iterator[BatchItem]:
        """Yield the results, in any order."""
        batch = self.batches[batch_id]
        order = [*enumerate(batch.requests)]
        self.chance.shuffle(order)
        for number, one in order:
            if not batch.processed(number):
                yield BatchItem(custom_id=one.custom_id)
            elif batch.fails[number]:
                error = ModelError("server_error", "It failed.", retryable=True, unbilled=True)
                yield BatchItem(custom_id=one.custom_id, error=error)
            else:
                reply = ModelReply(text=one.request.prompt, model="m", stop_reason="end_turn")
                yield BatchItem(custom_id=one.custom_id, reply=reply)

    def close(self) -> None:
        """Nothing to close."""

    def billed(self) -> Iterator[str]:
        """Yield the prompt of each request that is billed, once for each time."""
        for batch in self.batches.values():
            for number, one in enumerate(batch.requests):
                if batch.processed(number) and not batch.fails[number]:
                    yield one.request.prompt

    def _status(self, batch: FakeBatch) -> BatchStatus:
        ended = batch.ended_at if batch.ended_at <= self.now() else None
        return BatchStatus(batch_id=batch.batch_id, created_at=batch.created_at, ended_at=ended, certain=self.certain)
