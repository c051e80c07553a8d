"""Faust's consumer with books of its own: what was fetched is delivered once, and not committed before it is done.

Faust's own rule passes over a message that is still being handled when it is the first after what is committed, or when
nothing was committed before (measured: committed up to 5, with 6 and 7 done it commits 8). With several agents at once
that is an everyday state, and a kill then loses the message.

Around a rebalance Faust drops messages that it has fetched, and trusts that it goes back to what is committed before it
reads on. It does not where nothing is committed yet, where the recovery of tables that an earlier rebalance began opens
the gates in the middle of the next one, or where a fetch that began before a rebalance ends after it.
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
    """Commits up to the first message that is not done, and no further; goes back to what was not delivered."""

    def __init__(self, transport: Any, callback: Callable[[Any], Awaitable[None]], **options: Any) -> None:
        self._progress = Progress[TP]()
        self._deliver = callback
        self.began: dict[TP, int] = {}
        """The committed offset from which each partition was read at last."""
        self.bounds: dict[TP, tuple[int, int]] = {}
        """The first offset of each partition and the one behind its last, as they were some seconds ago."""
        self._rebalances = 0
        self._astray = False
        """A fetch has ended of which nobody knows where it began."""
        self.passed: dict[TP, int] = {}
        """Where each partition was read on when all before it had been delivered."""
        self._again: dict[TP, int] = {}
        """Partitions whose offsets stand for other messages now, and where to begin with these."""
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
        """Whether the next fetch continues what was delivered. All that was fetched has been delivered or dropped."""
        before = self._rebalances
        begun = {tp: at for tp, at in self._again.items() if not self._progress.in_hand(tp)}
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
                log.info("read again, each from the first message on that was not delivered: %s", dropped)
                ids = await self._thread.look_up({tp.topic for tp in begun})
                if self._rebalances != before:
                    return False
                await self.seek_wait(dropped)
                self._begin(begun)
                self._read_from_now_on(ids, but=begun)
        except (KafkaError, TimeoutError) as error:  # a rebalance has begun, or the broker is away
            log.warning("cannot go back to messages that were not delivered, trying again: %r", error)
            return False
        return True

    def _note_moves(self) -> None:
        """Count what was deleted before it was read; begin again where the log is another one."""
        for tp, (asked, given) in self._thread.moves().items():
            if not self._is_acknowledged(tp.topic):
                continue
            if given > asked:
                report_skipped(tp.topic, tp.partition, asked, given)
            else:
                log.error("%s/%s no longer holds offset %d: reading begins again at %d", *tp, asked, given)
                self._again[tp] = given

    def _begin(self, partitions: Iterable[TP]) -> None:
        """What was in hand is done, so that an offset names one message again."""
        for tp in partitions:
            self._progress.forget(tp)
            self._committed_offset.pop(tp, None)
            self._again.pop(tp, None)

    def _read_from_now_on(self, ids: Mapping[str, str], but: Collection[TP] = ()) -> None:
        """Note the ids of topics. One that is another now begins again with all its partitions, except `but`, also
        with those whose position the new log happens to hold."""
        read = self._thread.read_ids
        changed = {topic for topic, now in ids.items() if read.get(topic, now) != now}
        read.update(ids)
        if changed:
            log.error("topics were made again, and are read from their beginning: %s", ", ".join(sorted(changed)))
        # From 0: where that is deleted already, the client goes on at the first record, and what is between is counted.
        begin = {tp: 0 for tp in self.assignment() if tp.topic in changed and tp not in but}
        self._again = begin | self._again

    def reached(self, tp: TP) -> int | None:
        """The offset of the first message that is not done; None while that is not known."""
        done = self._progress.committable(tp)
        return self.began.get(tp) if done is None else done

    def held_back(self, tp: TP) -> int:
        """How many offsets lie behind the first transaction of a partition that is open."""
        return int(self._thread.held_back(tp))

    def _recovered(self) -> dict[TP, int]:
        """How far the recovery of the tables has come."""
        recovery = self.app.tables.recovery
        found = recovery.active_offsets if recovery.in_recovery else {}
        assigned = self.assignment()
        return {tp: max(offset, 0) for tp, offset in found.items() if offset is not None and tp in assigned}

    async def _delivered(self, message: Any) -> None:
        if self._is_acknowledged(message.topic):
            self._progress.delivered(message.tp, message.offset)
        await self._deliver(message)

    def _is_acknowledged(self, topic: str) -> bool:
        # Of changelogs nothing ever is.
        return bool(self.app.topics.acks_enabled_for(topic))

    async def perform_seek(self) -> None:
        """Go back to what is committed; not while partitions are taken away, for what comes then is not taken."""
        if not self.app.flow_control.held:
            await super().perform_seek()

    async def seek_to_committed(self) -> Mapping[TP, int | None]:
        """Go back to what is committed, or to the beginning where nothing is. The client does neither by itself, nor
        where 0 is committed: then records that were deleted since count as skipped."""
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
        """A message is done. One from before a rebalance has come again since, or its offset is another message's."""
        if message.generation_id == self.app.consumer_generation_id:
            self._progress.done(message.tp, message.offset)
        return bool(super().ack(message))

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        pass  # offsets that no message has do not matter here

    def _filter_committable_offsets(self, tps: Iterable[TP]) -> dict[TP, int]:  # noqa: ARG002 - Faust's signature
        # Faust's own list of what was acknowledged is not looked at: when partitions are taken away it is empty by now.
        self._acked.clear()
        self._acked_index.clear()
        offsets = {tp: self._progress.committable(tp) for tp in self._progress.partitions() if tp not in self._again}
        return {tp: at for tp, at in offsets.items() if at is not None and self._should_commit(tp, at)}

    # ---- Watching ----

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Faust's look for a partition that stands still: it logs one, and must not end the process.

        It reads the client's state from another thread and takes it for complete. After a rebalance a partition has no
        position for a moment, and in the middle of one there are no partitions.
        """
        try:
            super().verify_event_path(now, tp)
        except (AssertionError, AttributeError):
            log.debug("%s has no position yet", tp)

    @Service.task  # type: ignore[untyped-decorator]
    async def _watch_the_group(self) -> None:
        """An error that ends the client's work in its group ends the process, which then begins anew.

        The client tells it only to who fetches, and while partitions are given nobody does: the process would stay for
        ever, with no partitions.
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
        """Ask where the partitions begin and end, for figures only: of one that is held back no fetch tells its end.

        It goes past the thread's own queue of calls, which would wait with it for a broker that is away.
        """
        partitions = [tp for tp in self.assignment() if self._is_acknowledged(tp.topic)]
        asked = asyncio.run_coroutine_threadsafe(self._thread.bounds(partitions), self._thread.thread_loop)
        try:
            self.bounds = await asyncio.wait_for(asyncio.wrap_future(asked), BOUNDS_SECONDS)
        except (KafkaError, TimeoutError) as error:
            log.debug("it is not known where %s end: %r", partitions, error)

    async def look_at_the_topics(self) -> None:
        """Begin again with topics that were made again and hold the offset already that was to be read next."""
        read = dict(self._thread.read_ids)
        try:
            now = await self._thread.look_up(read.keys())
        except KafkaError as error:
            log.debug("whether topics were made again is not known: %r", error)
            return
        if self._thread.read_ids == read:  # no partitions were taken away meanwhile
            self._read_from_now_on(now)

    # ---- Rebalancing ----

    def resume_flow(self) -> None:
        """Take messages again; not while partitions are taken away."""
        if not self.app.flow_control.held:
            super().resume_flow()

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """What is done meanwhile is still committed. Nothing comes before partitions are given again."""
        self._rebalances += 1
        self.app.flow_control.held = True
        await super().on_partitions_revoked(revoked)
        self._progress, self._again, self.passed = Progress(), {}, {}
        self.began, self.bounds = {}, {}
        self._thread.read_ids.clear()

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Each partition waits until the tables are there."""
        self._rebalances += 1
        self._progress, self._again, self.passed = Progress(), {}, {}
        self._committed_offset.clear()
        self._buffered_partitions.clear()  # else a queue that has room again lets its partition in
        self._paused_partitions.update(assigned)
        self.app.flow_control.held = self.app.should_stop
        await super().on_partitions_assigned(assigned, generation_id)
