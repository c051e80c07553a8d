"""A tier as a Faust app: an agent for each stage, which transforms the stream of its topic's batches.

Faust runs the agents and the process. It does not read Kafka: its consumer commits past messages that are still being
handled, handles messages one by one and recovers tables slowly. The group's member feeds the agents' channels instead.
docs/decisions/0034-faust-runs-the-agents.md has the reasons and the price.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import signal
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final
from weakref import WeakSet

import faust
from faust.app import BootStrategy

from streams.adapters.dead_letters import DeadLetters
from streams.adapters.kafka import KafkaConfig
from streams.core.errors import ProcessError
from streams.core.tables import TableSpec
from streams.runtime.bind import Binding, BoundStage, StagePublisher
from streams.runtime.deliveries import BATCH_BYTES, DeliveryClient
from streams.runtime.group import Batch, GroupMember
from streams.runtime.partition import Partition
from streams.runtime.recovery import Recovery
from streams.runtime.table import Table
from streams.runtime.table_store import TableStore
from streams.telemetry.health import HEALTH

DRAIN_SECONDS: Final = 15.0
LEAVE_SECONDS: Final = 45.0
"""Time that a process which ends by itself has for everything after its drain."""
CONFIRM_SECONDS: Final = 10.0
"""Time limit for the last confirmations; a message without its own comes again."""
FOUND: Final = ""
"""In place of a topic: those that a binding finds."""
log = logging.getLogger("escalon.runtime")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessConfig:
    """The directory of an app's process, its topics, and how it sends and stops."""

    directory: Path
    """Holds its tables and belongs to this process alone."""
    prefix: str = ""
    """Prefix of topics and consumer groups."""
    batch_bytes: int = BATCH_BYTES
    """The most bytes of a batch to one partition; 1 sends each message by itself."""
    drain_seconds: float = DRAIN_SECONDS


class NoConsumer:
    """The part of a Faust consumer that its streams look at. Faust's own one has an event loop that it never closes."""

    def __init__(self) -> None:
        self.unacked = self._unacked_messages = WeakSet[Any]()


class AgentsAndMember(BootStrategy):  # type: ignore[misc]
    """Starts the agents, then the member that feeds them; they stop in the opposite order."""

    def server(self) -> Iterable[Any]:
        return [self.app.agents, self.app.member]


class TierApp(faust.App):  # type: ignore[misc]
    """One tier's app: its tables, its agents and its member of the tier's consumer group."""

    BootStrategy = AgentsAndMember

    def __init__(self, tier: str, kafka: KafkaConfig, config: ProcessConfig) -> None:
        group = f"escalon-{config.prefix}{tier}"
        config.directory.mkdir(parents=True, exist_ok=True)
        # Faust requires an address, and never connects to it.
        super().__init__(group, broker="kafka://", datadir=str(config.directory), web_enabled=False)
        self.kafka, self.config = kafka, config
        self._no_consumer = NoConsumer()
        self.ending: ProcessError | None = None
        """The reason why this process ends by itself; once it is set, no message is started."""
        self.client = DeliveryClient(kafka, config.batch_bytes, self.end)
        self.stage_tables: list[Table] = []
        self.at_end: Callable[[], Awaitable[None]] = _nothing
        """Called after all agents have stopped: closing a client earlier would make its calls fail."""
        self.on_ready: Callable[[], Awaitable[None]] = _nothing
        """Called each time the tables of new partitions are recovered."""
        self._recovery = Recovery(kafka, group)
        self._recovering = asyncio.Lock()
        self._giving_up = 0
        self._known_partitions: dict[str, int | None] = {}
        self._channels: dict[str, Any] = {}
        self._feeding: set[asyncio.Task[None]] = set()

    def table(self, spec: TableSpec, ttl_seconds: float) -> Table:
        """Return a new table, whose entries are forgotten some time after they were written."""
        prefix = self.config.prefix
        store = TableStore(spec.name, self.config.directory, ttl_seconds, self.end)
        table = Table(spec, spec.changelog(prefix), f"{prefix}{spec.source}", store, self.client)
        self.stage_tables.append(table)
        return table

    def bind(self, bindings: Sequence[Binding], publisher: StagePublisher, dead_letters: DeadLetters) -> None:
        """Create an agent for each binding, and the member that reads their topics."""
        topics = {f"{self.config.prefix}{one.topic}": one for one in bindings if one.find is None}
        finding = next((one for one in bindings if one.find is not None), None)
        find = finding.find if finding is not None else None
        self.member = GroupMember(self.kafka, self.conf.id, list(topics), self, self.config.drain_seconds, find)
        for topic, binding in (topics if finding is None else {**topics, FOUND: finding}).items():
            stage = BoundStage(
                binding=binding,
                publisher=publisher,
                dead_letters=dead_letters,
                process=self,
                ended=self.member.done,
            )
            self._known_partitions[topic] = binding.partitions
            self._channels[topic] = self.channel()
            self.agent(self._channels[topic], name=f"escalon.{binding.topic}")(partial(_handle_all, stage))

    def end(self, error: ProcessError) -> None:
        """End this process after a drain. What messages in flight cause may still reach Kafka."""
        if self.ending is not None:
            return
        self.ending = error
        HEALTH.mark_unhealthy(str(error))
        log.critical("%s This process ends. Nothing is lost: the next one continues from here.", error)
        if not self.should_stop:
            stop_this_process(self.config.drain_seconds + LEAVE_SECONDS)

    def doubt_seconds(self) -> float:
        """Return the time to wait until it is certain which partitions this process still has; 0 if it is certain."""
        return self.member.doubt_seconds()

    @property
    def consumer(self) -> NoConsumer:
        """Faust's name for what reads Kafka. Its streams note there which messages are not acknowledged."""
        return self._no_consumer

    async def on_start(self) -> None:
        """Complete the app. Faust would also show its consumer in the tree of its services."""
        self.finalize()

    async def on_started(self) -> None:
        """Let the agents begin. Faust would wait here for tables of its own."""
        self.flow_control.resume()

    async def on_shutdown(self) -> None:
        """Wait for the last confirmations, then close what the stages used."""
        try:
            await self.client.close(CONFIRM_SECONDS)
        except TimeoutError:
            log.warning("Kafka has not confirmed all messages after %g s: they come again", CONFIRM_SECONDS)
        await super().on_shutdown()
        await self.at_end()

    # ---- The use of the group's partitions ----

    async def take(self, partitions: Sequence[Partition]) -> bool:
        """Recover the tables of new partitions; False if this process ends."""
        for one in partitions:
            self._check(one)
        recovered = False
        while not recovered:
            if self.ending is not None:
                return False
            async with self._recovering:
                recovered = await asyncio.to_thread(self._recover, [one for one in partitions if one.open])
        for table in self.stage_tables:
            table.recovered()
        await self.on_ready()
        return True

    def _check(self, one: Partition) -> None:
        """End this process for a partition that was added after it had opened its tables."""
        known = self._known_partitions.get(one.topic)
        if known is not None and one.number >= known:
            what = f"The topic {one.topic} has more than the {known} partitions it had when this process started."
            self.end(ProcessError(what, "Restart the tier: it then reports what to do."))

    def _recover(self, partitions: Sequence[Partition]) -> bool:
        """Return True once the tables of all these partitions are complete, False if any are given up before that."""
        stores: dict[tuple[str, int], TableStore] = {}
        try:
            for table in self.stage_tables:
                for one in partitions:
                    if one.topic == table.source:
                        table.store.open(one.number)
                        stores[table.changelog, one.number] = table.store
            return self._recovery.run(stores, lambda: not self._giving_up and all(one.open for one in partitions))
        except ProcessError:  # the store has ended the process
            return False

    def handle(self, topic: str, batch: Batch) -> None:
        """Give records to the agent of their topic."""
        channel = self._channels[topic if topic in self._channels else FOUND]
        task = asyncio.ensure_future(channel.put(batch))
        self._feeding.add(task)
        task.add_done_callback(self._feeding.discard)

    async def commit(self) -> None:
        """Note in the tables up to where their changelogs are complete."""
        for table in self.stage_tables:
            with suppress(ProcessError):  # the store has ended the process
                table.save_offsets()

    async def give_up(self, partitions: Sequence[Partition], *, lost: bool) -> None:
        """Close the tables of partitions. A recovery that is under way is cut off, and goes on afterwards."""
        self._giving_up += 1
        async with self._recovering:
            self._giving_up -= 1
            for table in self.stage_tables:
                with suppress(ProcessError):  # the same
                    table.store.close([one.number for one in partitions if one.topic == table.source], lost=lost)
                table.recovered()


async def _handle_all(stage: BoundStage, batches: Any) -> None:
    try:
        async for batch in batches:
            await stage.handle(batch)
    finally:  # else what is in flight would fail once the clients of its calls are closed
        stage.cancel()


async def _nothing() -> None:
    """Do nothing."""


def stop_this_process(seconds: float) -> None:
    """Stop cleanly, as on SIGTERM, and end at once after `seconds`.

    It needs no thread and no file handle, because the process may have none left.
    """
    signal.alarm(math.ceil(seconds))
    os.kill(os.getpid(), signal.SIGTERM)
