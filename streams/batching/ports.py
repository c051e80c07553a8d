"""The outside of a partition's batches; a test can end the process at each of these steps."""

from __future__ import annotations

from typing import Protocol

from streams.batching.intent import Intent
from streams.batching.waiting import Waiting
from streams.core.messages import BatchReply


class Log(Protocol):
    """The durable record of a partition's intents. Each method returns when the change is safe."""

    def write(self, intent: Intent) -> None:
        """Store an intent, in the place of an earlier record with its id."""
        ...

    def erase(self, intent: Intent) -> None:
        """Remove an intent that is needed no more."""
        ...


class Outbox(Protocol):
    """The way back to the tasks' tiers."""

    def publish(self, waiting: Waiting, reply: BatchReply) -> None:
        """Send a task with what became of it in its batch."""
        ...

    def flush(self) -> None:
        """Return when Kafka has confirmed all that was published. Raises ServiceError."""
        ...

    def commit(self, partition: int, offset: int) -> None:
        """Commit that all tasks before an offset are done."""
        ...
