"""Faust's consumer with its own accounting: a fetched message is delivered once, and not committed before it is done.

Faust itself commits past a message that is still being handled if it is the first after the committed offset, or if
nothing was committed before (measured: committed up to 5, with 6 and 7 done it commits 8). With several agents that is
a normal state, and a kill then loses the message.

Around a rebalance Faust drops fetched messages and relies on returning to the committed offset before it reads on. It
does not return if nothing is committed yet, if the recovery of tables from an earlier rebalance opens the gates during
the next one, or if a fetch that began before a rebalance ends after it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Any

from aiokafka.errors import KafkaError
from faust.transport.drivers import aiokafka
from faust.types import TP
from mode import Service

from streams.runtime.group import ConsumerThread
from streams.runtime.progress import Progress
from streams.telemetry.skipped_offsets import report_skipped

WATCH_SECONDS, BOUNDS_SECONDS = 5.0, 10.0
log = logging.getLogger("escalon.runtime")


class Consumer(aiokafka.Consumer):  # type: ignore[misc]
    """Commits up to the first message that is not done; returns to messages that were not delivered."""

    def __init__(self, transport: Any, callback: Callable[[Any], Awaitable[None]], **options: Any) -> None:
        self._progress = Progress[TP]()
        self._deliver = callback
        self.began: dict[TP, int] = {}
        """The committed offset at which each partition's reading began."""
        self.bounds: dict[TP, tuple[int, int]] = {}
        """The first offset of each partition and the one after its last, as of some seconds ago."""
        self._rebalances = 0
        self._astray = False
        """True after a fetch that overlapped a rebalance: its start offset is unknown."""
        self.passed: dict[TP, int] = {}
        """The position of each partition when all before it had been delivered."""
        self._again: dict[TP, int] = {}
        """Partitions whose offsets now belong to other messages, and the offset to begin at."""
        super().__init__(transport, callback=self._delivered, **options)

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    # ---- Reading ----

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Mapping[TP, list[Any]]:
        if not await self._went_back():
            await asyncio.sleep(timeout)
            return {}
        before, active = self._rebalances, (active_partitions or set()) - self._again.keys()
        self.passed = self._thread.positions()
        for tp, position in self.passed.items():
            if tp in active and self._is_acknowledged(tp.topic):
                self._progress.passed(tp, position)
        records = await super()._getmany(active, timeout) if active else await asyncio.sleep(timeout, {})
        if self._rebalances != before:
            self._astray = self._astray or bool(records)
            return {}
        self._note_moves()
        fresh = {tp: self._fresh(tp, found) for tp, found in records.items() if found}
        return {tp: found for tp, found in fresh.items() if found}

    def _fresh(self, tp: TP, records: list[Any]) -> list[Any]:
        if not self._is_acknowledged(tp.topic):
            return records
        if tp in self._again:
            return []
        wanted = self._progress.fetched(tp, [record.offset for record in records])
        return [record for record in records if record.offset in wanted]

    async def _went_back(self) -> bool:
        """True if the next fetch continues after what was delivered: all fetched messages are delivered or dropped."""
        before = self._rebalances
        begun = {tp: at for tp, at in self._again.items() if not self._progress.in_flight(tp)}
        dropped = {tp: at for tp, at in self._progress.undelivered().items() if tp not in self._again} | begun
        if not dropped and not self._astray:
            return True
        try:
            if self._astray:
                if self.assignment():
                    await self.perform_seek()
                    await self.seek_wait(self._recovered())
                self._astray = False
            if dropped:
                log.info("reading again from the first message that was not delivered: %s", dropped)
                ids = await self._thread.look_up({tp.topic for tp in begun})
                if self._rebalances != before:
                    return False
                await self.seek_wait(dropped)
                self._begin(begun)
                self._read_from_now_on(ids, but=begun)
        except (KafkaError, TimeoutError) as error:  # a rebalance has begun, or the broker is unavailable
            log.warning("cannot return to messages that were not delivered, trying again: %r", error)
            return False
        return True

    def _note_moves(self) -> None:
        """Count records that were deleted before they were read; begin again if the log is another one."""
        for tp, (asked, given) in self._thread.moves().items():
            if not self._is_acknowledged(tp.topic):
                continue
            if given > asked:
                report_skipped(tp.topic, tp.partition, asked, given)
            else:
                log.error("%s/%s no longer holds offset %d: reading begins again at %d", *tp, asked, given)
                self._again[tp] = given

    def _begin(self, partitions: Iterable[TP]) -> None:
        """Forget partitions whose messages in flight are done, so that an offset again means one message."""
        for tp in partitions:
            self._progress.forget(tp)
            self._committed_offset.pop(tp, None)
            self._again.pop(tp, None)

    def _read_from_now_on(self, ids: Mapping[str, str], but: Collection[TP] = ()) -> None:
        """Note the ids of topics. A topic with a new id begins again with all its partitions except `but`.

        That includes partitions whose position the new log happens to hold.
        """
        read = self._thread.read_ids
        changed = {topic for topic, now in ids.items() if read.get(topic, now) != now}
        read.update(ids)
        if changed:
            log.error("topics were created again and are read from their beginning: %s", ", ".join(sorted(changed)))
        # From 0: if that is deleted already, the client continues at the first record and the skipped are counted.
        begin = {tp: 0 for tp in self.assignment() if tp.topic in changed and tp not in but}
        self._again = begin | self._again

    def reached(self, tp: TP) -> int | None:
        """Return the offset of the first message that is not done; None while that is not known."""
        done = self._progress.committable(tp)
        return self.began.get(tp) if done is None else done

    def held_back(self, tp: TP) -> int:
        """Return the number of offsets after the first open transaction of a partition."""
        return int(self._thread.held_back(tp))

    def _recovered(self) -> dict[TP, int]:
        """Return the offsets that the recovery of the tables has reached."""
        recovery = self.app.tables.recovery
        found = recovery.active_offsets if recovery.in_recovery else {}
        assigned = self.assignment()
        return {tp: max(offset, 0) for tp, offset in found.items() if offset is not None and tp in assigned}

    async def _delivered(self, message: Any) -> None:
        if self._is_acknowledged(message.topic):
            self._progress.delivered(message.tp, message.offset)
        await self._deliver(message)

    def _is_acknowledged(self, topic: str) -> bool:
        # Records of changelogs never are.
        return bool(self.app.topics.acks_enabled_for(topic))

    async def perform_seek(self) -> None:
        """Return to the committed offsets; not while partitions are revoked, when no message is taken."""
        if not self.app.flow_control.held:
            await super().perform_seek()

    async def seek_to_committed(self) -> Mapping[TP, int | None]:
        """Return to the committed offsets, or to the beginning of partitions that have none.

        The client does neither by itself. From a committed 0, records that were deleted since count as skipped.
        """
        committed: Mapping[TP, int | None] = await super().seek_to_committed()
        ours = {tp: offset for tp, offset in committed.items() if self._is_acknowledged(tp.topic)}
        if unread := [tp for tp, offset in ours.items() if offset is None]:
            await self._thread.seek_to_beginning(*unread)
        if at_zero := {tp: offset for tp, offset in ours.items() if offset == 0}:
            await self.seek_wait(at_zero)
        self.began = {tp: offset for tp, offset in committed.items() if offset}
        return committed

    # ---- Committing ----

    def ack(self, message: Any) -> bool:
        """Note that a message is done; not one from before a rebalance, which has come again since."""
        if message.generation_id == self.app.consumer_generation_id:
            self._progress.done(message.tp, message.offset)
        return bool(super().ack(message))

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        pass  # gaps in the offsets do not matter here

    def _filter_committable_offsets(self, tps: Iterable[TP]) -> dict[TP, int]:  # noqa: ARG002 - Faust's signature
        # Not by Faust's own list of acknowledged messages: when partitions are revoked it is already empty.
        self._acked.clear()
        self._acked_index.clear()
        offsets = {tp: self._progress.committable(tp) for tp in self._progress.partitions() if tp not in self._again}
        return {tp: at for tp, at in offsets.items() if at is not None and self._should_commit(tp, at)}

    # ---- Watching ----

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Log a partition that makes no progress; Faust's check must not end the process.

        The check reads the client's state from another thread and assumes that it is complete. After a rebalance a
        partition briefly has no position, and during one there are no partitions.
        """
        try:
            super().verify_event_path(now, tp)
        except (AssertionError, AttributeError):
            log.debug("%s has no position yet", tp)

    @Service.task  # type: ignore[untyped-decorator]
    async def _watch_the_group(self) -> None:
        """End the process on an error that ends the client's membership in its group.

        The client raises it only from a fetch, and during an assignment there is none: the process would stay
        indefinitely without partitions.
        """
        async for _ in self.itertimer(WATCH_SECONDS, name="group"):
            if self._thread._method_queue is not None:  # the thread runs
                await self.wait(self._thread.call_thread(self._thread.check_group))

    @Service.task  # type: ignore[untyped-decorator]
    async def _watch_the_bounds(self) -> None:
        async for _ in self.itertimer(WATCH_SECONDS, name="bounds"):
            if self._thread._method_queue is not None:  # the thread runs
                await self.look_at_the_bounds()
                await self.look_at_the_topics()

    async def look_at_the_bounds(self) -> None:
        """Fetch the bounds of the partitions, for metrics only: no fetch gives the end of one that is held back.

        This bypasses the thread's own queue of calls, which would wait with it for an unavailable broker.
        """
        partitions = [tp for tp in self.assignment() if self._is_acknowledged(tp.topic)]
        asked = asyncio.run_coroutine_threadsafe(self._thread.bounds(partitions), self._thread.thread_loop)
        try:
            self.bounds = await asyncio.wait_for(asyncio.wrap_future(asked), BOUNDS_SECONDS)
        except (KafkaError, TimeoutError) as error:
            log.debug("the ends of %s are not known: %r", partitions, error)

    async def look_at_the_topics(self) -> None:
        """Begin again with topics that were created again and already hold the next offset."""
        read = dict(self._thread.read_ids)
        try:
            now = await self._thread.look_up(read.keys())
        except KafkaError as error:
            log.debug("cannot check if topics were created again: %r", error)
            return
        if self._thread.read_ids == read:  # no partitions were revoked meanwhile
            self._read_from_now_on(now)

    # ---- Rebalancing ----

    def resume_flow(self) -> None:
        """Take messages again; not while partitions are revoked."""
        if not self.app.flow_control.held:
            super().resume_flow()

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Commit what is still being done. No message comes before partitions are assigned again."""
        self._rebalances += 1
        self.app.flow_control.held = True
        await super().on_partitions_revoked(revoked)
        self._progress, self._again, self.passed = Progress(), {}, {}
        self.began, self.bounds = {}, {}
        self._thread.read_ids.clear()

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Pause each partition until the tables are recovered."""
        self._rebalances += 1
        self._progress, self._again, self.passed = Progress(), {}, {}
        self._committed_offset.clear()
        self._buffered_partitions.clear()  # else a queue with room again would resume its partition
        self._paused_partitions.update(assigned)
        self.app.flow_control.held = self.app.should_stop
        await super().on_partitions_assigned(assigned, generation_id)
