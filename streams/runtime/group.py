"""A consumer group's member: a thread that reads partitions in batches, for stages that run in the event loop.

Only that thread calls the client. It hands each batch to the loop, and the loop hands it commands: to commit, or to
begin with partitions whose tables are recovered. The order at the end of an assignment is the guarantee:

1. No further record of the partition is started; those that wait are forgotten and come again.
2. Records in flight end, and Kafka confirms what they caused, or a time limit passes: then they come again as well.
3. Up to the first record that is not done, offsets are committed.
4. Tables are closed, and the partition is given up.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, Final, Protocol

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition
from mode import Service

from streams.adapters.kafka import KafkaConfig
from streams.adapters.kafka_admin import ADMIN_TIMEOUT, TopicIds
from streams.adapters.kafka_record import KafkaRecord
from streams.adapters.topic_reader import record_of
from streams.core.errors import ProcessError, ServiceError
from streams.runtime.partition import Partition
from streams.telemetry.lag import lag_statistics
from streams.telemetry.skipped_offsets import is_partition_end, report_skipped

BATCH: Final = 500
"""Records read at once."""
WINDOW: Final = 1000
"""Records of a process that may be read and not done, before it reads no more."""
POLL_SECONDS: Final = 0.1
PATIENCE_SECONDS: Final = 1.0
"""The time to wait for room before partitions are paused, which costs reading some records again."""
COMMIT_SECONDS: Final = 1.0
TOPIC_CHECK_SECONDS: Final = 5.0
SESSION_MS, FETCH_BYTES = 10_000, 1024 * 1024
TICK_SECONDS: Final = 1.0
SUSPENDED_SECONDS: Final = 5.0
"""A process that did nothing for this long may have lost its session: its last heartbeat may be 3 seconds older."""
DOUBT_SECONDS: Final = 3.0
"""The time in which the next heartbeat shows if the session is lost."""
_HOPELESS: Final = (
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.INCONSISTENT_GROUP_PROTOCOL,
)
log = logging.getLogger("escalon.runtime")

Batch = list[tuple[Partition, KafkaRecord]]


class Owner(Protocol):
    """The use that is made of the group's partitions; all methods run in the event loop."""

    async def take(self, partitions: Sequence[Partition]) -> bool:
        """Prepare for the records of new partitions, some of which may be given up meanwhile; False if that failed."""
        ...

    def handle(self, topic: str, batch: Batch) -> None:
        """Accept records that were read; each is reported to `GroupMember.done` in the end."""
        ...

    async def give_up(self, partitions: Sequence[Partition], *, lost: bool) -> None:
        """Forget partitions, whose records in flight have ended or are left to their next owner.

        If they were `lost`, another process may have had them before this one knew.
        """
        ...

    async def commit(self) -> None:
        """Save what belongs to the commit of offsets."""
        ...

    def end(self, error: ProcessError) -> None:
        """End the process."""
        ...


class GroupMember(Service):  # type: ignore[misc]
    """Reads `topics`, and those that `find` finds, as a member of `group` until it is stopped.

    `drain_seconds` limits step 2.
    """

    def __init__(
        self,
        kafka: KafkaConfig,
        group: str,
        topics: Sequence[str],
        owner: Owner,
        drain_seconds: float,
        find: Callable[[], Sequence[str]] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._topics, self._owner, self._drain_seconds, self._find = topics, owner, drain_seconds, find
        self._settings = {
            **kafka.accounting_consumer(group, **lag_statistics()),
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": SESSION_MS,
            "max.partition.fetch.bytes": FETCH_BYTES,
            "queued.max.messages.kbytes": 4 * FETCH_BYTES // 1024,
            "reconnect.backoff.max.ms": 1000,
            "on_commit": self._on_commit,
        }
        self._topic_ids = TopicIds(kafka)
        self._partitions: dict[tuple[str, int], Partition] = {}
        """Those of the present assignment; changed by the thread alone."""
        self._commands: SimpleQueue[Callable[[Any], None]] = SimpleQueue()
        self._stop_reading = threading.Event()
        self._room = threading.Condition()
        self._undone = 0
        self._polled = monotonic()
        self._in_doubt_until = 0.0
        self._tasks: set[asyncio.Task[Any]] = set()

    # ---- In the event loop ----

    async def on_start(self) -> None:
        """Begin to read."""
        self._loop, self._awake = asyncio.get_running_loop(), monotonic()
        self._thread = threading.Thread(target=self._run, name="kafka", daemon=True)
        self._thread.start()

    async def on_stop(self) -> None:
        """Give up all partitions and leave the group."""
        self._stop_reading.set()
        with self._room:
            self._room.notify()
        await asyncio.to_thread(self._thread.join)

    @Service.task  # type: ignore[untyped-decorator]
    async def _commit_regularly(self) -> None:
        while not self.should_stop:
            await self.sleep(COMMIT_SECONDS)
            await self._owner.commit()
            if offsets := _offsets(self._all()):
                self._commands.put(partial(self._commit_owned, offsets=offsets))

    @Service.task  # type: ignore[untyped-decorator]
    async def _tick(self) -> None:
        while not self.should_stop:
            self.doubt_seconds()
            await self.sleep(TICK_SECONDS)

    def doubt_seconds(self) -> float:
        """Look for a suspension of this process, and return the time to wait after one before a record is started.

        Meanwhile the client learns which partitions it has lost.
        """
        now = monotonic()
        if now - self._awake > SUSPENDED_SECONDS:
            log.warning("this process did nothing for %.0f s and may have lost its partitions", now - self._awake)
            self._in_doubt_until = now + DOUBT_SECONDS
        self._awake = now
        return max(0.0, self._in_doubt_until - now)

    @Service.task  # type: ignore[untyped-decorator]
    async def _check_topics_regularly(self) -> None:
        while not self.should_stop:
            await self.sleep(TOPIC_CHECK_SECONDS)
            await self.check_topics()
            if topics := await asyncio.to_thread(self._more_topics):
                self._commands.put(partial(self._subscribe, topics=topics))

    async def check_topics(self) -> None:
        """Begin again with topics that were created again: the same offsets are other records now."""
        partitions = self._all()  # one that is assigned after the lookup may be of a newer topic
        ids = await asyncio.to_thread(self._known_ids)
        for one in partitions:
            now = ids.get(one.topic, one.topic_id)
            if not one.topic_id:
                one.topic_id = now
            elif now != one.topic_id and one.open:
                log.error("%s/%d was created again and is read from its beginning", *one.place)
                self._begin_again(one, 0, now)

    def _more_topics(self) -> Sequence[str]:
        """Return the topics to read, if more were found; else nothing. A topic that is gone may come again."""
        try:
            found = self._find() if self._find is not None else ()
        except ServiceError as error:
            log.warning("cannot look for further topics: %s", error)
            return ()
        more = sorted(set(found) - set(self._topics))
        if more:
            log.info("reading the topics %s", ", ".join(more))
        return [*self._topics, *more] if more else ()

    def _known_ids(self) -> Mapping[str, str]:
        try:
            return self._topic_ids.known(self._topics)
        except ServiceError as error:
            log.debug("cannot check if topics were created again: %s", error)
            return {}

    def _arrived(self, batch: Batch, ends: Iterable[tuple[Partition, int]]) -> None:
        """Enter records in the books before anything is committed, and pass them on by topic."""
        by_topic: dict[str, Batch] = {}
        for one, record in batch:
            one.read(record.offset)
            by_topic.setdefault(record.topic, []).append((one, record))
        for one, offset in ends:
            one.passed(offset)
        for topic, part in by_topic.items():
            self._owner.handle(topic, part)

    def done(self, count: int = 1) -> None:
        """Note that records are done or will come again, so that there is room for others."""
        with self._room:
            self._undone -= count
            self._room.notify()

    def _begin_again(self, old: Partition, offset: int, topic_id: str) -> None:
        """Read a partition from an offset, once its records in flight have ended. Does nothing for one given up."""
        if old.open:
            old.open, old.restarting = False, True
            self._commands.put(lambda consumer: consumer.pause([_at(one) for one in self._all() if one is old]))
            self._background(self._when_idle(old, offset, topic_id))

    async def _when_idle(self, old: Partition, offset: int, topic_id: str) -> None:
        await old.idle()
        self._commands.put(partial(self._replace, old=old, offset=offset, topic_id=topic_id))

    async def _take(self, partitions: Sequence[Partition]) -> None:
        try:
            taken = await self._owner.take(partitions)
        except Exception as error:  # the partitions would stay paused
            log.exception("partitions cannot be taken")
            self._owner.end(_ending(error))
        else:
            if taken:
                self._commands.put(lambda consumer: _resume(consumer, [one for one in partitions if one.open]))

    async def _give_up(self, partitions: Sequence[Partition], *, lost: bool) -> list[TopicPartition]:
        """Carry out steps 1 to 4 but for the commit itself, and return its offsets."""
        for one in partitions:
            one.open, one.owned = False, not lost
        if not lost:
            await self._drain(partitions)
        await self._owner.commit()
        for one in partitions:
            one.owned, one.committed = False, None  # a commit in the queue may not have been sent
        offsets = [] if lost else [*_offsets(partitions).values()]
        await self._owner.give_up(partitions, lost=lost)
        return offsets

    async def _drain(self, partitions: Iterable[Partition]) -> None:
        try:
            async with asyncio.timeout(self._drain_seconds):
                for one in partitions:
                    await one.idle()
        except TimeoutError:
            left = sum(one.in_flight() for one in partitions)
            log.warning("%d messages are not done after %g s and will come again", left, self._drain_seconds)

    def _background(self, work: Awaitable[Any]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ---- In the thread ----

    def _run(self) -> None:
        try:
            consumer = Consumer(self._settings)
            try:
                self._subscribe(consumer, self._more_topics() or self._topics)
                while not self._stop_reading.is_set():
                    self._step(consumer)
                self._leave(consumer, self._all(), lost=False)
            finally:
                consumer.close()
        except Exception as error:  # nothing would be read any more
            own = error if isinstance(error, ProcessError) else _ending(error)
            self._loop.call_soon_threadsafe(self._owner.end, own)

    def _subscribe(self, consumer: Any, topics: Sequence[str]) -> None:
        self._topics = topics
        consumer.subscribe(list(topics), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost)

    def _step(self, consumer: Any) -> None:
        self._obey(consumer)
        with self._room:
            room = self._room.wait_for(self._has_room, POLL_SECONDS)
        if not room:
            if monotonic() - self._polled > PATIENCE_SECONDS:
                self._hold(consumer)
            return
        self._polled = monotonic()
        first = consumer.poll(POLL_SECONDS)
        if first is not None:
            self._deliver(consumer, [first, *consumer.consume(BATCH - 1, 0)])

    def _has_room(self) -> bool:
        return self._undone < WINDOW or self._stop_reading.is_set()

    def _hold(self, consumer: Any) -> None:
        """Poll without reading, which keeps this member in its group, until there is room."""
        while not self._has_room():
            consumer.pause([_at(one) for one in self._all()])  # some may just have been resumed
            message = consumer.poll(0)
            if message is not None:
                self._deliver(consumer, [message])
            with self._room:
                self._room.wait_for(self._has_room, POLL_SECONDS)
            self._obey(consumer)
        _resume(consumer, [one for one in self._all() if one.open and one.taken])
        self._polled = monotonic()

    def _obey(self, consumer: Any) -> None:
        while True:
            try:
                command = self._commands.get_nowait()
            except Empty:
                return
            command(consumer)

    def _deliver(self, consumer: Any, messages: Iterable[Any]) -> None:
        batch: Batch = []
        ends: list[tuple[Partition, int]] = []
        for message in messages:
            one = self._partitions.get((message.topic(), message.partition()))
            if message.error() is not None and not is_partition_end(message):
                self._on_error(consumer, one, message.error())
            elif one is None or not one.open:
                continue
            elif message.error() is None:
                one.position = message.offset() + 1
                batch.append((one, record_of(message)))
            elif message.offset() != one.position:  # the offsets before its end have no record
                one.position = message.offset()
                ends.append((one, message.offset()))
        if batch or ends:
            with self._room:
                self._undone += len(batch)
            self._loop.call_soon_threadsafe(self._arrived, batch, ends)

    def _on_error(self, consumer: Any, one: Partition | None, error: KafkaError) -> None:
        if error.fatal() or error.code() in _HOPELESS:
            raise KafkaException(error)
        if error.code() == KafkaError._AUTO_OFFSET_RESET and one is not None:
            self._on_missing(consumer, one)
        else:
            log.warning("Kafka reports: %s", error.str())

    def _on_missing(self, consumer: Any, one: Partition) -> None:
        """Go on where records were deleted before they were read; begin again if the log is another one."""
        wanted = one.position or 0
        try:
            first, end = consumer.get_watermark_offsets(_at(one), ADMIN_TIMEOUT, cached=False)
        except KafkaException as error:
            log.warning("%s/%d: its first offset is not known, trying again: %s", *one.place, error.args[0].str())
            first, end = wanted, wanted
        if first > wanted:
            if one.position is not None:
                report_skipped(*one.place, wanted, first)
            one.position = wanted = first
        elif wanted > end:
            if one.open:
                log.error("%s/%d no longer holds offset %d: reading begins again at %d", *one.place, wanted, first)
                self._loop.call_soon_threadsafe(self._begin_again, one, first, "")  # its topic's id may be another one
            return
        _start_again(consumer, one, wanted)

    def _replace(self, consumer: Any, old: Partition, offset: int, topic_id: str) -> None:
        if self._partitions.get(old.place) is not old:  # it was revoked meanwhile
            return
        new = self._partitions[old.place] = Partition(old.topic, old.number, offset)
        new.committed, new.taken, new.topic_id = None, True, topic_id
        old.owned = False
        _start_again(consumer, new, offset)

    # ---- Rebalances: called by the client while the thread polls ----

    def _on_assign(self, consumer: Any, places: list[TopicPartition]) -> None:
        ids = self._known_ids()
        committed = self._committed(consumer, places)
        if len(committed) < len(places):  # it stops; the client assigns them by itself until it is closed
            return
        new = [_assigned(place, ids.get(place.topic, "")) for place in committed]
        self._partitions.update({one.place: one for one in new})
        consumer.incremental_assign([_at(one, OFFSET_BEGINNING if one.start is None else one.start) for one in new])
        if new:
            consumer.pause([_at(one) for one in new])
        asyncio.run_coroutine_threadsafe(self._take(new), self._loop)

    def _committed(self, consumer: Any, places: list[TopicPartition]) -> list[TopicPartition]:
        """Return the committed offsets, however long the broker does not give them; none once this member stops."""
        while places and not self._stop_reading.is_set():
            try:
                found: list[TopicPartition] = consumer.committed(places, ADMIN_TIMEOUT)
                if errors := [place.error for place in found if place.error is not None]:
                    raise KafkaException(errors[0])
                return found
            except KafkaException as error:
                if error.args[0].code() in _HOPELESS:
                    raise
                log.warning("the committed offsets are not known, trying again: %s", error.args[0].str())
                self._stop_reading.wait(PATIENCE_SECONDS)
        return []

    def _on_revoke(self, consumer: Any, places: list[TopicPartition]) -> None:
        self._leave(consumer, self._of(places), lost=False)
        consumer.incremental_unassign(places)

    def _on_lost(self, consumer: Any, places: list[TopicPartition]) -> None:
        log.warning("this process was taken for dead; its partitions are another's: their messages come again")
        self._leave(consumer, self._of(places), lost=True)
        consumer.incremental_unassign(places)

    def _all(self) -> list[Partition]:
        return [*self._partitions.values()]

    def _of(self, places: Iterable[TopicPartition]) -> list[Partition]:
        found = (self._partitions.get((place.topic, place.partition)) for place in places)
        return [one for one in found if one is not None]

    def _leave(self, consumer: Any, partitions: list[Partition], *, lost: bool) -> None:
        for one in partitions:
            del self._partitions[one.place]
        offsets = asyncio.run_coroutine_threadsafe(self._give_up(partitions, lost=lost), self._loop).result()
        _commit(consumer, offsets, wait=True)

    # ---- Commits ----

    def _commit_owned(self, consumer: Any, offsets: Mapping[Partition, TopicPartition]) -> None:
        """Commit, but not over the commits of a partition's next owner."""
        _commit(consumer, [at for one, at in offsets.items() if self._partitions.get(one.place) is one])

    def _on_commit(self, error: KafkaError | None, places: Sequence[TopicPartition]) -> None:
        """Have offsets that the broker did not take committed again."""
        failed = [place for place in places if error is not None or place.error is not None]
        if failed:
            log.warning("offsets are not committed, trying again: %s", (error or failed[0].error).str())
        for one in self._of(failed):
            one.committed = None


def _at(one: Partition, offset: int | None = None) -> TopicPartition:
    return TopicPartition(*one.place) if offset is None else TopicPartition(*one.place, offset)


def _assigned(place: TopicPartition, topic_id: str) -> Partition:
    """Return a partition at its committed offset.

    Kafka forgets committed offsets with their topic. But a commit that is under way when the topic is deleted is
    retried until it succeeds, and then applies to a new topic of that name. So each is committed with its topic's id.
    """
    ours = place.offset >= 0 and (place.metadata or "") in ("", topic_id or place.metadata)
    one = Partition(place.topic, place.partition, place.offset if ours else None)
    one.topic_id = topic_id
    return one


def _start_again(consumer: Any, one: Partition, offset: int) -> None:
    """Read a partition from an offset. The client has stopped reading one whose offset it could not find: no seek."""
    consumer.incremental_unassign([_at(one)])
    consumer.incremental_assign([_at(one, offset)])
    if one.taken:
        _resume(consumer, [one])
    else:  # its tables are not recovered
        consumer.pause([_at(one)])


def _offsets(partitions: Iterable[Partition]) -> dict[Partition, TopicPartition]:
    """Return the offsets to commit, and note them as committed."""
    found = {}
    for one in partitions:
        at = one.committable()
        if at is not None and at != one.committed and not one.restarting:
            one.committed = at
            found[one] = TopicPartition(*one.place, at, one.topic_id)
    return found


def _commit(consumer: Any, offsets: list[TopicPartition], wait: bool = False) -> None:
    try:
        if offsets:
            consumer.commit(offsets=offsets, asynchronous=not wait)
    except KafkaException as error:  # the messages come again, and nothing of them is done twice
        log.warning("offsets are not committed: %s", error.args[0].str())


def _resume(consumer: Any, partitions: Iterable[Partition]) -> None:
    for one in partitions:
        one.taken = True
    places = [_at(one) for one in partitions]
    if places:
        consumer.resume(places)


def _ending(error: Exception) -> ProcessError:
    said = error.args[0].str() if isinstance(error, KafkaException) else f"{type(error).__name__}: {error}"
    return ProcessError(f"This process reads no more from Kafka ({said}).", "Check the broker and its access rights.")
