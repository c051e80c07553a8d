"""The wrapper by which a replay's calls go through batches; the chain takes the replies as it does live."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from streams.batching.waiting import size_of
from streams.calling.budgeted import most_cost
from streams.calling.cached import key_of
from streams.calling.caller import CallWrapper
from streams.calling.prompted import PromptedModel
from streams.calling.record import CallRecords
from streams.calling.request import CallOutcome, CallRequest, OutOfBudget
from streams.calling.task import Task
from streams.core.errors import HandlerError, UnreadableError
from streams.models.providers.protocol import ModelRequest
from streams.pipeline.handlers import Handler
from streams.replay.batch_record import BatchedCall
from streams.replay.batches import ReplayBatches


@dataclass(frozen=True, slots=True, kw_only=True)
class InBatch(CallWrapper):
    """Has a call wait for a batch, and hands its reply on as the first attempt."""

    batches: ReplayBatches
    model: PromptedModel
    records: CallRecords
    before: Callable[[Handler, Task], None]
    """Counts a call."""

    async def call(self, request: CallRequest) -> CallOutcome | OutOfBudget:
        """Call once the batch has ended. What cannot be asked for is left to the wrapped caller to report."""
        if request.tried or request.batched is not None:
            return await self.caller.call(request)
        try:
            wanted = await self.model.request(request.task, request.sample)
        except (HandlerError, UnreadableError):
            return await self.caller.call(request)
        waiting = self._waiting(request, wanted)
        try:
            batched = await self.batches.reply(waiting)
            if batched.end != "passed":
                self.before(self.callee.handler, request.task)
            return await self.caller.call(dataclasses.replace(request, batched=batched))
        finally:
            self.batches.settle(waiting)

    def _waiting(self, request: CallRequest, wanted: ModelRequest) -> BatchedCall:
        handler, price = self.callee.handler, self.records.price_of(self.callee)
        price = price and (price.in_batch() or price)
        tokens = self.model.size(request.task)
        return BatchedCall(
            key=key_of(request.fingerprint, request, handler),
            model=self.model.prompting.model_key,
            request=wanted,
            size=size_of(wanted),
            most_usd=most_cost(self.callee, price, tokens) if price else Decimal(0),
            handler_version=handler.version,
            queued_at=self.records.now(),
        )
