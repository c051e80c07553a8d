"""A call of a replay that waits for a batch, and a batch as the replay's directory keeps it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Protocol, Self

from streams.batching.intent import Intent
from streams.core.messages import BatchReply
from streams.models.providers.protocol import ModelRequest


@dataclass(eq=False, slots=True, kw_only=True)
class BatchedCall:
    """One call that waits for a batch, or for the end of one."""

    key: str
    """Of the handler's version and the task; also of the event, where answers are not shared. A resumed replay finds
    the call's batch by it."""
    model: str
    """The model's key in the pipeline file."""
    request: ModelRequest
    size: int
    """The request's bytes in a batch, at most."""
    most_usd: Decimal
    """The most that the call can cost in a batch."""
    handler_version: str
    queued_at: datetime
    reply: asyncio.Future[BatchReply] = field(default_factory=asyncio.Future)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBatch:
    """A batch: its intent, and for each request the key of its call and the most that it can cost.

    An intent that is `returned` has ended, and its results were read at least once.
    """

    intent: Intent
    most_usd: dict[str, Decimal]

    def custom_ids(self) -> dict[str, str]:
        """Return the key of each request's call, by the request's id."""
        return {self.intent.custom_id(number): key for number, key in enumerate(self.most_usd)}

    def encode(self) -> bytes:
        """Return the record's bytes."""
        most = {key: str(usd) for key, usd in self.most_usd.items()}
        return json.dumps({"intent": self.intent.encode().decode(), "most_usd": most}).encode()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the record of these bytes."""
        fields = json.loads(data)
        most = {key: Decimal(usd) for key, usd in fields["most_usd"].items()}
        return cls(intent=Intent.decode(fields["intent"].encode()), most_usd=most)


class BatchStore(Protocol):
    """The durable record of a replay's batches. Each method returns when the change is safe."""

    def batches(self) -> list[bytes]:
        """Return the records of all batches."""
        ...

    def keep_batch(self, intent_id: str, record: bytes) -> None:
        """Store a batch, in the place of an earlier record with its id."""
        ...

    def drop_batch(self, intent_id: str) -> None:
        """Remove a batch that does not exist (any more)."""
        ...
