"""A member of a consumer group on a fake client, and an owner that keeps its records in flight."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from streams.adapters.kafka import KafkaConfig
from streams.core.errors import ProcessError
from streams.runtime.group import Batch, GroupMember
from streams.runtime.partition import Partition
from tests.harness.fakes.kafka_client import WAIT_SECONDS, FakeClient, Place


@dataclass
class FakeOwner:
    """Takes all partitions, and keeps every record in flight until a test ends it."""

    member: GroupMember = field(init=False)
    read: list[tuple[Partition, int]] = field(default_factory=list)
    """The names of the records that were started, in order."""
    saved: int = 0
    given_up: list[tuple[Place, bool]] = field(default_factory=list)
    """With whether they were lost."""
    may_take: asyncio.Event = field(default_factory=asyncio.Event)
    failure: Exception | None = None
    ending: ProcessError | None = None

    def __post_init__(self) -> None:
        self.may_take.set()

    async def take(self, _: Sequence[Partition]) -> bool:
        await self.may_take.wait()
        if self.failure is not None:
            raise self.failure
        return True

    def handle(self, _: str, batch: Batch) -> None:
        for one, record in batch:
            if one.begin():
                self.read.append((one, record.offset))
            else:
                self.member.done()

    async def give_up(self, partitions: Sequence[Partition], *, lost: bool) -> None:
        self.given_up += [(one.place, lost) for one in partitions]

    async def commit(self) -> None:
        self.saved += 1

    def end(self, error: ProcessError) -> None:
        self.ending = error

    # ---- For tests ----

    def offsets(self, place: Place) -> list[int]:
        return [offset for one, offset in self.read if one.place == place]

    def finish(self, *offsets: int, at: int = -1) -> None:
        """End the handling of records of the partition of the record that was read as the last one."""
        for offset in offsets:
            self.read[at][0].end(offset)
            self.member.done()


@asynccontextmanager
async def joined(client: FakeClient, drain_seconds: float = 0.02) -> AsyncIterator[FakeOwner]:
    """A member that reads with `client` and commits often."""
    owner = FakeOwner()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("streams.runtime.group.Consumer", client)
        patched.setattr("streams.runtime.group.COMMIT_SECONDS", 0.01)
        topics = sorted({topic for topic, _ in client.log})
        member = GroupMember(KafkaConfig(servers="127.0.0.1:1"), "escalon-work", topics, owner, drain_seconds)
        member._topic_ids = client  # type: ignore[assignment]
        owner.member = member
        await member.start()
        try:
            yield owner
        finally:
            await member.stop()


async def until(holds: Callable[[], object]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not holds():  # noqa: ASYNC110 - it happens in a thread
            await asyncio.sleep(0.002)


async def polled(client: FakeClient, times: int = 5) -> None:
    """Wait until the member has polled some times more."""
    before = client.polls
    await until(lambda: client.polls >= before + times)
