"""The batches of a replay: calls are gathered, sent to the provider's batch API, and given their replies.

The order of the steps is the guarantee, as in `batching.desk`: a batch's intent is in the replay's directory before the
provider is asked to create it, and its id afterwards. A replay that goes on after a kill searches for a batch whose id
it lacks, and a call that is in a batch already waits for that one. Results may be read again as long as the provider
keeps them, so nothing but the replay's own answers records which were used.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar
from uuid import uuid4

from streams.batching.desk import HOLD, POLL
from streams.batching.intent import Intent
from streams.batching.replies import end_of
from streams.batching.search import APART, Search
from streams.core.errors import EscalonError, ModelError, ProcessError, ServiceError
from streams.core.messages import BatchReply
from streams.models.providers.batches import (
    MOST_BYTES,
    MOST_REQUESTS,
    BatchAPI,
    BatchItem,
    BatchRequest,
    BatchStatus,
    was_not_created,
)
from streams.replay.batch_record import BatchedCall, BatchStore, StoredBatch
from streams.replay.counted import CostLimitError, ReplaySpending

QUIET = timedelta(seconds=5)
"""A batch is created when no further call of its model has come for this time, or when it is full."""
STEP_SECONDS = 0.5
GOES_ON = "Run the same command again; it goes on from here."
T = TypeVar("T")
log = logging.getLogger("escalon.replay")


@dataclass(kw_only=True)
class ReplayBatches:
    """The calls that wait for batches, and the batches. All but the provider's requests runs in one event loop."""

    apis: Callable[[str], BatchAPI]
    """By a model's key."""
    store: BatchStore
    spending: ReplaySpending
    now: Callable[[], datetime]
    quiet: timedelta = QUIET
    poll: timedelta = POLL
    _waiting: dict[str, list[BatchedCall]] = field(default_factory=dict)
    """All calls that have no reply yet, by key."""
    _batches: dict[str, StoredBatch] = field(default_factory=dict)
    _batch_of: dict[str, str] = field(default_factory=dict)
    """The intent of the batch that a call is in, by the call's key."""
    _ready: dict[str, tuple[BatchItem, BatchStatus]] = field(default_factory=dict)
    """Results for which no call has asked yet."""
    _reserved: dict[str, Decimal] = field(default_factory=dict)
    """The most that calls in batches can cost, by key, until their true cost is counted."""
    _look_at: dict[str, datetime] = field(default_factory=dict)
    _held: dict[str, datetime] = field(default_factory=dict)
    """Models of which no batch is created before a time."""
    _last: dict[str, datetime] = field(default_factory=dict)
    """The time of the latest call of a model."""
    _failed: EscalonError | None = None

    def __post_init__(self) -> None:
        found = sorted(map(StoredBatch.decode, self.store.batches()), key=lambda one: one.intent.intended_at)
        self._search = Search(is_known=lambda name: any(one.intent.batch_id == name for one in self._batches.values()))
        for one in found:
            self._add(one)

    @property
    def waiting(self) -> int:
        """The number of calls that wait, in a batch or for one."""
        return sum(map(len, self._waiting.values()))

    async def during(self, work: Coroutine[Any, Any, T]) -> T:
        """Do the work of a replay, and see to its batches meanwhile."""
        steps = asyncio.create_task(self._steps())
        try:
            return await work
        finally:
            steps.cancel()
            await asyncio.gather(steps, return_exceptions=True)

    def break_off(self, error: EscalonError) -> None:
        """End the waiting of every call, now and later; the batches stay, for the replay that goes on from here."""
        self._failed = self._failed or error
        for call in self._calls():
            _fail(call, self._failed)

    async def reply(self, call: BatchedCall) -> BatchReply:
        """Return what became of a call in its batch. Raises CostLimitError, and what broke the replay off."""
        if self._failed is not None:
            raise self._failed
        if (ready := self._ready.pop(call.key, None)) is not None:
            self._batch_of.pop(call.key, None)
            return end_of(*ready, call.handler_version, call.queued_at)
        if call.key in self._batch_of:
            self._reserved.setdefault(call.key, call.most_usd)
        else:
            self.spending.may_spend(self.now())
        self._last[call.model] = self.now()
        self._waiting.setdefault(call.key, []).append(call)
        try:
            return await call.reply
        finally:
            self._forget(call)

    def settle(self, call: BatchedCall) -> None:
        """Reserve nothing for a call any more: its cost is counted."""
        self._reserved.pop(call.key, None)

    def _forget(self, call: BatchedCall) -> None:
        calls = self._waiting.get(call.key, [])
        if call in calls:
            calls.remove(call)
        if not calls:
            self._waiting.pop(call.key, None)

    def _calls(self) -> Iterable[BatchedCall]:
        return [call for calls in self._waiting.values() for call in calls]

    def _add(self, batch: StoredBatch) -> None:
        self._batches[batch.intent.intent_id] = batch
        self._batch_of.update(dict.fromkeys(batch.most_usd, batch.intent.intent_id))
        if batch.intent.state != "returned":
            self._reserved.update(batch.most_usd)

    def _keep(self, batch: StoredBatch) -> StoredBatch:
        self.store.keep_batch(batch.intent.intent_id, batch.encode())
        return batch

    def _remove(self, batch: StoredBatch, keys: Iterable[str]) -> None:
        """Have the calls of a batch wait for another one."""
        for key in keys:
            if self._batch_of.get(key) == batch.intent.intent_id:
                del self._batch_of[key]
                self._reserved.pop(key, None)

    async def _steps(self) -> None:
        try:
            while True:
                await self._step()
                await asyncio.sleep(STEP_SECONDS)
        except (ServiceError, ProcessError) as error:
            self.break_off(error)
        except Exception as error:
            log.exception("the batches of this replay failed")
            what = f"The batches of this replay failed ({type(error).__name__})."
            self.break_off(ServiceError(what, f"The log has the traceback. {GOES_ON}"))

    async def _step(self) -> None:
        for batch in [*self._batches.values()]:
            if self._is_due(batch):
                await self._attend(batch)
        for model in [*self._last]:
            while (group := self._next(model)) and await self._create(model, group):
                pass

    # A batch that exists, or may exist.

    def _is_due(self, batch: StoredBatch) -> bool:
        name, now = batch.intent.intent_id, self.now()
        if now < self._look_at.get(name, now):
            return False
        asked_for = (key in self._waiting and self._batch_of.get(key) == name for key in batch.most_usd)
        return batch.intent.batch_id is None or any(asked_for)

    async def _attend(self, batch: StoredBatch) -> None:
        intent, api = batch.intent, self.apis(batch.intent.model)
        self._look_at[intent.intent_id] = self.now() + self.poll
        try:
            if intent.batch_id is None:
                await self._resolve(batch, api)
            else:
                await self._follow(batch, intent.batch_id, api)
        except ModelError as error:
            if error.error_type == "unauthorized":
                raise ServiceError(f"The batches of {intent.model}: {error.what}", GOES_ON) from None
            log.warning("the batch %s of %s: %s", intent.batch_id or "not yet found", intent.model, error)

    async def _resolve(self, batch: StoredBatch, api: BatchAPI) -> None:
        found = await asyncio.to_thread(self._search.find, batch.intent, api, self.now(), must_end=False)
        if found == "absent":
            self._drop(batch)
        elif found is not None:
            self._batches[batch.intent.intent_id] = self._keep(_created(batch, found))

    def _drop(self, batch: StoredBatch) -> None:
        self.store.drop_batch(batch.intent.intent_id)
        del self._batches[batch.intent.intent_id]
        self._remove(batch, batch.most_usd)

    async def _follow(self, batch: StoredBatch, batch_id: str, api: BatchAPI) -> None:
        try:
            status = await asyncio.to_thread(api.status, batch_id)
            if status.ended_at is None:
                return
            items = await asyncio.to_thread(lambda: [*api.results(batch_id)])
        except ModelError as error:
            if error.error_type != "not_found":
                raise
            log.warning("the batch %s is gone, so its calls are made again: %s", batch_id, error)
            self._drop(batch)
            return
        self._batches[batch.intent.intent_id] = self._keep(
            replace(batch, intent=replace(batch.intent, state="returned"))
        )
        self._hand_out(batch, items, status)

    def _hand_out(self, batch: StoredBatch, items: Iterable[BatchItem], status: BatchStatus) -> None:
        """Give the calls of a batch their results, one call each; what was not processed waits for another batch."""
        keys = batch.custom_ids()
        for item in items:
            key = keys.get(item.custom_id)
            if key is None or (item.reply is None and item.error is None):
                continue
            del keys[item.custom_id]
            if self._batch_of.get(key) != batch.intent.intent_id:
                continue
            if calls := self._waiting.get(key):
                _give(calls[0], end_of(item, status, calls[0].handler_version, calls[0].queued_at))
                self._forget(calls[0])
                del self._batch_of[key]
            else:
                self._reserved.pop(key, None)
                self._ready[key] = (item, status)
        self._remove(batch, keys.values())
        for call in self._of(keys.values()) if status.refused else ():
            _pass_on(call)

    def _of(self, keys: Iterable[str]) -> list[BatchedCall]:
        return [call for key in keys for call in self._waiting.get(key, ())]

    # Calls in no batch.

    def _next(self, model: str) -> list[BatchedCall]:
        """Return the calls of the next batch of a model; none if it is not due, or there is no money for it now."""
        now = self.now()
        unclear = any(
            one.intent.model == model and one.intent.batch_id is None and now < one.intent.intended_at + APART
            for one in self._batches.values()
        )
        if unclear or self._failed is not None or now < self._held.get(model, now):
            return []
        free = [calls[0] for key, calls in self._waiting.items() if key not in self._batch_of]
        free = [call for call in free if call.model == model and not call.reply.done()]
        full = len(free) >= MOST_REQUESTS or sum(call.size for call in free) >= MOST_BYTES
        if not free or not (full or now - self._last[model] >= self.quiet):
            return []
        return self._affordable(free)

    def _affordable(self, free: list[BatchedCall]) -> list[BatchedCall]:
        """Return the first calls that one batch holds and the limit has money for, each at the most it can cost."""
        limit, group, size = self.spending.limit, list[BatchedCall](), 0
        usd = self.spending.usd + sum(self._reserved.values(), Decimal(0))
        for call in free[:MOST_REQUESTS]:
            size, usd = size + call.size, usd + call.most_usd
            if (group and size > MOST_BYTES) or (limit is not None and usd > limit):
                break
            group.append(call)
        if not group and not self._reserved:
            what = (
                f"The limit of ${limit} has no room for a further call in a batch, which may cost "
                f"${free[0].most_usd:.4f}: ${self.spending.usd} spent."
            )
            for call in free:
                _fail(call, CostLimitError(what, f"Give a higher --max-cost. {GOES_ON}"))
        return group

    async def _create(self, model: str, group: list[BatchedCall]) -> bool:
        """Create a batch; return whether another one may follow at once."""
        intent = Intent(
            intent_id=uuid4().hex,
            partition=0,
            state="intended",
            model=model,
            offsets=tuple(range(len(group))),
            intended_at=self.now(),
        )
        batch = self._keep(StoredBatch(intent=intent, most_usd={call.key: call.most_usd for call in group}))
        self._add(batch)
        try:
            await asyncio.to_thread(self._ask_for, batch, [call.request for call in group])
        except ModelError as error:
            log.warning("a batch of %d calls of %s: %s", len(group), model, error)
            if was_not_created(error):
                self._drop(batch)
                self._refused(group, error)
            return False
        return True

    def _ask_for(self, batch: StoredBatch, requests: list[Any]) -> None:
        """Create and record; in one thread, so that no cancellation comes between the two."""
        intent = batch.intent
        wanted = [BatchRequest(intent.custom_id(number), request) for number, request in enumerate(requests)]
        status = self.apis(intent.model).create(intent.intent_id, wanted)
        self._batches[intent.intent_id] = self._keep(_created(batch, status))
        self._look_at[intent.intent_id] = self.now() + self.poll

    def _refused(self, group: list[BatchedCall], error: ModelError) -> None:
        """Wait where the refusal may pass; else leave it to the ordinary API to say what is wrong with each call."""
        if error.error_type in ("rate_limited", "unreachable"):
            self._held[group[0].model] = self.now() + HOLD
            return
        for call in group:
            _pass_on(call)


def _created(batch: StoredBatch, status: BatchStatus) -> StoredBatch:
    created = replace(batch.intent, state="created", batch_id=status.batch_id, created_at=status.created_at)
    return replace(batch, intent=created)


def _give(call: BatchedCall, reply: BatchReply) -> None:
    if not call.reply.done():
        call.reply.set_result(reply)


def _pass_on(call: BatchedCall) -> None:
    _give(call, BatchReply(end="passed", queued_at=call.queued_at))


def _fail(call: BatchedCall, error: EscalonError) -> None:
    if not call.reply.done():
        call.reply.set_exception(error)
