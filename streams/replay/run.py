"""The replay of chosen events through a candidate pipeline, as a run of its own in the audit.

The order is the guarantee: an event goes through the tiers, ClickHouse acknowledges its rows, and then it is done. What
stops in between is done again, from the answers this replay has already had. Nothing is written to Kafka.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from typing import Any

from streams.adapters.kafka_record import KafkaRecord
from streams.core.errors import EscalonError, ProcessError, ServiceError
from streams.core.messages import Call, DeadLetter, Event, Run, RunState
from streams.core.process_fault import process_fault
from streams.replay.counted import CostLimitError, ReplaySpending, WouldAskError
from streams.replay.drive import BrokenOffError, Drive, Row
from streams.replay.rows import ReplayRows
from streams.replay.source import Chosen, Source
from streams.replay.store import ReplayStore
from streams.stages.settle import id_conflict

READ_AT_ONCE = 200
FLUSH_SECONDS = 1.0
MOST_ENDED = 5_000
Ended = Sequence[Row | DeadLetter]
STOPS = (CostLimitError, ServiceError, ProcessError)
"""Errors that end a replay before its events do."""


@dataclass(slots=True, kw_only=True)
class Replay:
    """One run. `drive` takes an event through the tiers; `report` is called with its progress."""

    run: Run
    source: Source
    drive: Drive
    store: ReplayStore
    rows: ReplayRows
    spending: ReplaySpending
    in_flight: int
    """Events in flight at once."""
    report: Callable[[Run], None]
    now: Callable[[], datetime]
    asked_for: Mapping[str, str | None]
    """Stored with its progress."""
    on_failure: Callable[[EscalonError], None] = lambda _: None
    """Called with what stops the replay, unless it is the cost limit: what has been paid for is waited for then."""
    _under_way: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    """By event, until its rows are acknowledged."""
    _ended: dict[str, Ended] = field(default_factory=dict)
    """Messages to write, by event; of an event whose id is another's, by its dead letter."""
    _contents: dict[str, str] = field(default_factory=dict)
    """Content hashes of the events that are not written yet."""
    _stopped: EscalonError | None = None
    _one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def go(self, chosen: Chosen) -> Run:
        """Replay the chosen events that are not done yet.

        Raises CostLimitError or ServiceError once all that had ended is written; a cancelled replay writes it too. The
        same replay, started again, continues from there.
        """
        await self._write("running")
        writing, whole = asyncio.create_task(self._write_now_and_then()), False
        try:
            await self._start_all(chosen)
            await asyncio.gather(*self._under_way.values())
            whole = self._stopped is None
        finally:
            writing.cancel()
            for task in self._under_way.values():
                task.cancel()
            await asyncio.gather(writing, *self._under_way.values(), return_exceptions=True)
            await self._write("done" if whole else "stopped")
        if self._stopped is not None:
            raise self._stopped
        return self.run

    async def _start_all(self, chosen: Chosen) -> None:
        """Start the events, not too many at once."""
        events, places = self.source.events(chosen), asyncio.Semaphore(self.in_flight)
        while self._stopped is None and (some := await asyncio.to_thread(self._read, events)):
            for record, event in some:
                event_id, content = event.origin.event_id, event.origin.content_digest
                known = self._known(event_id)
                if known is None:
                    await places.acquire()
                    if len(self._ended) > MOST_ENDED:  # ClickHouse takes them more slowly than they end
                        await self._write("running")
                    self._contents[event_id] = content
                    self._under_way[event_id] = asyncio.create_task(self._one(record, event, places))
                elif known and content and known != content:
                    self._refuse(record, event)
        if self._stopped is not None:  # it may have been the reading, in a thread of its own
            self._stop(self._stopped)

    def _known(self, event_id: str) -> str | None:
        """Return the content hash of the event with an id that is in flight or done; None without one."""
        return self._contents[event_id] if event_id in self._contents else self.store.content_of(event_id)

    def _refuse(self, record: KafkaRecord, event: Event) -> None:
        """Put another event under a known id into the dead letters, as the live tiers do."""
        letter = self.source.dead_letters.letter(record, id_conflict(event.origin, "earlier in this replay"))
        if self._known(letter.dead_letter_id) is None:
            self._contents[letter.dead_letter_id] = ""
            self._ended[letter.dead_letter_id] = [letter]

    def _read(self, events: Iterator[tuple[KafkaRecord, Event]]) -> list[tuple[KafkaRecord, Event]]:
        try:
            return list(islice(events, READ_AT_ONCE))
        except ServiceError as error:
            self._stopped = error
            return []

    def _stop(self, error: EscalonError) -> None:
        self._stopped = self._stopped or error
        if not isinstance(error, CostLimitError):
            self.on_failure(error)

    async def _one(self, record: KafkaRecord, event: Event, places: asyncio.Semaphore) -> None:
        """Take one event to its end; what stops the whole replay leaves it undone."""
        try:
            if self._stopped is None:
                self._ended[event.origin.event_id] = await self.drive(event)
        except BrokenOffError as broken:
            error = process_fault(broken) or broken.__cause__
            if isinstance(error, STOPS):
                self._stop(error)
            elif isinstance(error, Exception):  # as live: what cannot be done ends in the dead letters
                self._ended[event.origin.event_id] = [*broken.rows, self.source.dead_letters.letter(record, error)]
        finally:
            places.release()

    async def _write_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            await asyncio.shield(self._write("running"))

    async def _write(self, state: RunState) -> None:
        """Write what has ended, then mark it done; store the progress on disk and in the table of runs."""
        async with self._one_at_a_time:
            ended = dict(self._ended)
            messages: list[Any] = [message for rows in ended.values() for message in rows]
            run = self._after(state, len(ended), messages)
            try:
                await asyncio.to_thread(self.rows.write, [*messages, run])
            except ServiceError as error:
                self._stop(error)
                return
            self.run = run
            contents = {one: self._contents[one] for one in ended}
            self.store.done(contents, saved(run) | dict(self.asked_for))
            for one in ended:
                del self._ended[one], self._contents[one]
                self._under_way.pop(one, None)
        self.report(run)

    def _after(self, state: RunState, events: int, messages: Sequence[Any]) -> Run:
        reused = sum(isinstance(message, Call) and message.reused_from is not None for message in messages)
        return replace(
            self.run,
            state=state,
            events=self.run.events + events,
            reused_calls=self.run.reused_calls + reused,
            paid_calls=sum(self.spending.asked.values()),
            cost_usd=self.spending.usd,
            updated_at=self.now(),
        )


def saved(run: Run) -> dict[str, Any]:
    """Return a run's progress as values of JSON."""
    return {
        "pipeline": run.pipeline,
        "selection": run.selection,
        "topic": run.topic,
        "started_at": run.started_at.isoformat(),
        "events": run.events,
        "reused_calls": run.reused_calls,
    }


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """The calls that a replay would have to make."""

    events: int
    unchanged: int
    """Events for which all answers exist."""
    asked: Counter[str]
    """Calls that would have to be made first, by `tier.handler`; what they would lead to is not known."""


async def rehearse(source: Source, chosen: Chosen, drive: Drive) -> Rehearsal:
    """Take the events as far as stored answers lead. Nothing is asked and nothing written. Raises ServiceError."""
    asked: Counter[str] = Counter()
    known: set[str] = set()
    events = unchanged = 0
    for _, event in source.events(chosen):
        events += 1
        try:
            await drive(event)
            unchanged += 1
        except BrokenOffError as broken:
            if isinstance(broken.__cause__, ServiceError):
                raise broken.__cause__ from None
            if isinstance(broken.__cause__, WouldAskError):
                _count(broken.__cause__, event, asked, known)
            else:
                unchanged += 1  # it would end as a dead letter, without a call
    return Rehearsal(events, unchanged, asked)


def _count(needed: WouldAskError, event: Event, asked: Counter[str], known: set[str]) -> None:
    """Count a call, once for all events that would share its answer."""
    handler = needed.handler
    task = needed.task if handler.spec.cache == "shared" else f"{needed.task} {event.origin.event_id}"
    if task not in known:
        known.add(task)
        asked[f"{handler.tier}.{handler.name}"] += handler.confidence.samples if handler.confidence else 1
