"""The tasks of one partition that wait for a batch, and the batches they are in.

The order of the steps is the guarantee. A batch: 1. its intent is in the log, 2. the provider is asked to create it,
3. its id is in the log, 4. its tasks are published, 5. the log says that they went back, 6. their offsets are
committed. A process that ends between two steps is followed by one that reads the log and the tasks again. After 1 it
looks for the batch at the provider before anything is created, after 3 it asks for the results again, and after 4 the
tiers recognise a task that comes twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from streams.batching.groups import following, next_group
from streams.batching.intent import Intent
from streams.batching.ports import Log, Outbox
from streams.batching.replies import passed, reply_to
from streams.batching.search import APART, Search
from streams.batching.waiting import BatchQuestion, Waiting
from streams.core.errors import ModelError
from streams.models.providers.batches import BatchAPI, BatchRequest, BatchStatus, was_not_created

FRESH = timedelta(seconds=30)
"""An older intent is not acted upon: after a pause of this process, another one may have taken over."""
POLL, HOLD = timedelta(seconds=20), timedelta(seconds=60)
"""The time between two looks at a batch, and the pause after a refusal to create one."""
log = logging.getLogger("escalon.batch")


@dataclass(kw_only=True)
class Desk:
    """The batches of one partition. `step` does what is due; call it often."""

    partition: int
    apis: Callable[[str], BatchAPI]
    """By a model's key."""
    log: Log
    outbox: Outbox
    now: Callable[[], datetime]
    new_id: Callable[[], str]
    search: Search
    next_offset: int = 0
    """The first offset that was not read."""
    _committed: int = 0
    _tasks: dict[int, Waiting] = field(default_factory=dict)
    """All tasks that have not gone back."""
    _free: dict[int, Waiting] = field(default_factory=dict)
    """Those of them in no batch."""
    _intents: dict[str, Intent] = field(default_factory=dict)
    _bound: set[int] = field(default_factory=set)
    """Offsets of tasks that are in a batch, or may be."""
    _done: set[int] = field(default_factory=set)
    """Offsets of tasks that went back and are not committed."""
    _look_at: dict[str, datetime] = field(default_factory=dict)
    _held: dict[str, datetime] = field(default_factory=dict)
    """Models of which no batch is created before a time."""

    def restore(self, intents: Iterable[Intent], committed: int) -> None:
        """Begin where an earlier process ended: with the log's intents, at the committed offset."""
        self.next_offset = self._committed = committed
        for intent in intents:
            self._intents[intent.intent_id] = intent
            (self._done if intent.state == "returned" else self._bound).update(intent.offsets)

    def add(self, waiting: Waiting) -> None:
        """Take a task, read in the partition's order."""
        self.next_offset = waiting.offset + 1
        if waiting.offset in self._done:
            return
        self._tasks[waiting.offset] = waiting
        if waiting.offset not in self._bound:
            self._free[waiting.offset] = waiting

    def is_done(self, offset: int) -> bool:
        """True for a record that an earlier process has done."""
        return offset in self._done

    def skip(self, offset: int) -> None:
        """Go on after a record that holds no task; what became of it was published."""
        self.next_offset = offset + 1
        if not self.is_done(offset):
            self._record(self._returned((offset,)))

    @property
    def waiting(self) -> int:
        """The number of tasks that have not gone back."""
        return len(self._tasks)

    @property
    def size(self) -> int:
        """The bytes of their requests, about."""
        return sum(one.question.size for one in self._tasks.values() if one.question is not None)

    @property
    def in_batches(self) -> int:
        """The number of tasks that are in a batch."""
        return len(self._tasks) - len(self._free)

    def step(self) -> None:
        """Do what is due. A provider that fails is asked again later."""
        for intent in [*self._live()]:
            self._attend(intent)
        self._pass_on()
        if self.caught_up:
            while self._create():
                pass
        self._commit()

    def _live(self) -> list[Intent]:
        return [one for one in self._intents.values() if one.state != "returned"]

    @property
    def caught_up(self) -> bool:
        """True once the tasks of all batches were read (again)."""
        return self.next_offset > max((max(one.offsets) for one in self._live()), default=-1)

    # A batch that exists, or may exist.

    def _attend(self, intent: Intent) -> None:
        due = self._look_at.get(intent.intent_id)
        if due is not None and self.now() < due:
            return
        try:
            self._resolve(intent) if intent.batch_id is None else self._follow(intent, intent.batch_id)
        except ModelError as error:
            log.warning("the batch %s of %s: %s", intent.batch_id or "not yet found", intent.model, error)
        if intent.intent_id in self._intents:
            self._look_at[intent.intent_id] = self.now() + POLL

    def _resolve(self, intent: Intent) -> None:
        api, now = self.apis(intent.model), self.now()
        found = self.search.find(intent, api, now, must_end=self._must_end(intent))
        if found == "absent":
            self._withdraw(intent)
        elif found is not None:
            self._created(intent, found)

    def _follow(self, intent: Intent, batch_id: str) -> None:
        api = self.apis(intent.model)
        try:
            status = api.status(batch_id)
        except ModelError as error:
            if error.error_type != "not_found":
                raise
            log.warning("the batch %s is gone: %s", batch_id, error)
            status = BatchStatus(batch_id=batch_id, created_at=self.now(), ended_at=self.now())
            self._collect(intent, status, None)
            return
        if status.ended_at is not None:
            self._collect(intent, status, api)
        elif self._must_end(intent):
            api.cancel(batch_id)

    def _must_end(self, intent: Intent) -> bool:
        ends = [self._tasks[one].cancelled_at for one in intent.offsets if one in self._tasks]
        return any(end is not None and end <= self.now() for end in ends)

    def _collect(self, intent: Intent, status: BatchStatus, api: BatchAPI | None) -> None:
        """Publish the tasks of a batch that has ended; `api` None says that its results are lost."""
        if not self.caught_up:
            return
        members = {intent.custom_id(one): self._tasks[one] for one in intent.offsets if one in self._tasks}
        followers = following(members.values(), self._free.values())
        done: list[int] = [one for one in intent.offsets if one not in self._tasks]
        for item in api.results(status.batch_id) if api is not None else ():
            waiting = members.get(item.custom_id)
            if waiting is None or (item.reply is None and item.error is None):
                continue
            del members[item.custom_id]
            self.outbox.publish(waiting, reply_to(waiting, item, status))
            for one in (waiting, *followers.get(waiting.offset, ())):
                if one is not waiting:
                    self.outbox.publish(one, passed(one))
                done.append(one.offset)
        for waiting in members.values() if status.refused else ():  # it would be refused again
            self.outbox.publish(waiting, passed(waiting))
            done.append(waiting.offset)
        self.outbox.flush()
        self._ended(intent, done)

    def _ended(self, intent: Intent, done: list[int]) -> None:
        """Record which tasks went back; those that were not processed wait again."""
        unprocessed = [one for one in intent.offsets if one in self._tasks and one not in done]
        self._bound.difference_update(intent.offsets)
        self._record(replace(intent, state="returned", offsets=tuple(done)))
        self._free.update({one: self._tasks[one] for one in unprocessed})

    # Tasks in no batch.

    def _create(self) -> bool:
        """Create the next batch that is due; return whether there was one."""
        now = self.now()
        busy = {question.key for one in self._members() if (question := one.question)}
        group = next_group(self._free.values(), busy, now, self._held_now())
        if not group:
            return False
        model = group[0][1].model
        intent = Intent(
            intent_id=self.new_id(),
            partition=self.partition,
            state="intended",
            model=model,
            offsets=tuple(waiting.offset for waiting, _ in group),
            intended_at=now,
        )
        self.log.write(intent)
        self._intents[intent.intent_id] = intent
        self._bound.update(intent.offsets)
        for offset in intent.offsets:
            del self._free[offset]
        if self.now() - now < FRESH:
            self._ask_for(intent, group)
        return True

    def _held_now(self) -> set[str]:
        """Return the models of which no batch is created now."""
        unclear = {one.model for one in self._live() if one.batch_id is None and self.now() < one.intended_at + APART}
        return unclear | {key for key, until in self._held.items() if self.now() < until}

    def _ask_for(self, intent: Intent, group: list[tuple[Waiting, BatchQuestion]]) -> None:
        requests = [BatchRequest(intent.custom_id(waiting.offset), question.request) for waiting, question in group]
        try:
            status = self.apis(intent.model).create(intent.intent_id, requests)
        except ModelError as error:
            log.warning("a batch of %d calls of %s: %s", len(requests), intent.model, error)
            if was_not_created(error):
                self._withdraw(intent)
                self._refused(intent, error)
            return
        self._created(intent, status)

    def _refused(self, intent: Intent, error: ModelError) -> None:
        """Wait where the refusal may pass; else leave it to the ordinary API to say what is wrong with each task."""
        self._held[intent.model] = self.now() + HOLD
        if error.error_type in ("bad_request", "too_large", "rejected", "not_found"):
            self._give_back([self._tasks[one] for one in intent.offsets])

    def _created(self, intent: Intent, status: BatchStatus) -> None:
        intent = replace(intent, state="created", batch_id=status.batch_id, created_at=status.created_at)
        self.log.write(intent)
        self._intents[intent.intent_id] = intent
        self._look_at[intent.intent_id] = self.now() + POLL

    def _withdraw(self, intent: Intent) -> None:
        """Forget an intent of which no batch exists."""
        self.log.erase(intent)
        del self._intents[intent.intent_id]
        self._bound.difference_update(intent.offsets)
        self._free.update({one: self._tasks[one] for one in intent.offsets if one in self._tasks})

    def _members(self) -> Iterable[Waiting]:
        return (one for offset, one in self._tasks.items() if offset not in self._free)

    def _pass_on(self) -> None:
        """Leave to the ordinary API what cannot wait."""
        now = self.now()
        due = {at: one for at, one in self._tasks.items() if one.last_call is not None and one.last_call <= now}
        busy = {question.key for one in self._members() if (question := one.question)}
        for offset, one in self._free.items():
            follows, until = one.question is not None and one.question.key in busy, one.cancelled_at
            if (until is not None and until <= now) if follows else not one.may_wait(now):
                due[offset] = one
        self._give_back([*due.values()])

    def _give_back(self, tasks: list[Waiting]) -> None:
        if not tasks:
            return
        for one in tasks:
            self.outbox.publish(one, passed(one))
        self.outbox.flush()
        self._record(self._returned(tuple(one.offset for one in tasks)))

    def _returned(self, offsets: tuple[int, ...]) -> Intent:
        """Return the record of tasks that went back without a batch."""
        name, at = self.new_id(), self.now()
        return Intent(intent_id=name, partition=self.partition, state="returned", offsets=offsets, intended_at=at)

    def _record(self, intent: Intent) -> None:
        self.log.write(intent)
        self._intents[intent.intent_id] = intent
        self._look_at.pop(intent.intent_id, None)
        self._done.update(intent.offsets)
        for offset in intent.offsets:
            self._tasks.pop(offset, None)
            self._free.pop(offset, None)

    def _commit(self) -> None:
        first = min(self._tasks, default=self.next_offset)
        if first <= self._committed:
            return
        self.outbox.commit(self.partition, first)
        self._committed = first
        self._done = {one for one in self._done if one >= first}
        for intent in [one for one in self._intents.values() if one.state == "returned"]:
            if max(intent.offsets, default=-1) < first:
                self.log.erase(intent)
                del self._intents[intent.intent_id]
