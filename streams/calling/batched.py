"""Calls that wait for a provider's batch, and the replies that came from one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from streams.calling.budgeted import Budget, Budgeted
from streams.calling.caller import Caller, CallWrapper
from streams.calling.prompted import PromptedModel
from streams.calling.record import CallRecords
from streams.calling.request import CallOutcome, CallRequest, OutOfBudget, Postponed, Reply
from streams.core.batch_time import has_room
from streams.core.errors import HandlerError, ModelError
from streams.core.messages import BatchReply
from streams.models.providers.batches import reply_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ForBatch(CallWrapper):
    """Puts a call off where its event's deadline leaves time for a batch, and there is money for it."""

    budget: Budget | None
    now: Callable[[], datetime]

    async def call(self, request: CallRequest) -> CallOutcome | OutOfBudget:
        """Return Postponed, or call now."""
        spec, now = self.callee.handler.spec, self.now()
        waits = self.callee.handler.batch
        if request.batched is not None or waits is None or not has_room(request.deadline, spec.timeout, waits, now):
            return await self.caller.call(request)
        affordable = self.budget is None or self.budget.may_spend(now)
        return Postponed() if affordable else OutOfBudget()


@dataclass(frozen=True, slots=True, kw_only=True)
class FromBatch(CallWrapper):
    """Takes the reply of a batch as the first attempt. It counts against no limit, and is charged like any other."""

    model: PromptedModel
    records: CallRecords
    budgeted: Callable[[Caller], Budgeted] | None
    """The budget's wrapper; None without a budget."""

    async def call(self, request: CallRequest) -> CallOutcome | OutOfBudget:
        """Return the attempt that the batch made, or call."""
        batched = request.batched
        if batched is None or batched.end == "passed" or batched.asked_at is None or request.tried:
            return await self.caller.call(request)
        ended_at = batched.ended_at or batched.asked_at
        outcome = self.records.outcome(
            dataclasses.replace(request, received_at=batched.queued_at),
            self.callee,
            self._reply(request, batched),
            batched.asked_at,
            (ended_at - batched.asked_at).total_seconds(),
        )
        if self.budgeted is not None:
            budgeted = self.budgeted(self.caller)
            budgeted.budget.spend(budgeted.charge(outcome, request.task), self.records.now())
        return outcome

    def _reply(self, request: CallRequest, batched: BatchReply) -> Reply:
        try:
            system, prompt = self.model.asked(request.task)
        except HandlerError as failure:
            return dataclasses.replace(Reply.failed(failure), batch_id=batched.batch_id)
        said = reply_of(batched.reply) if batched.reply is not None else None
        if said is None:
            reply = Reply.failed(_error(batched), system, prompt)
        elif batched.handler_version != self.callee.handler.version:
            reply = dataclasses.replace(
                Reply.failed(_replaced(batched)), response=self.model.read(said, "", "").response, model_reply=said
            )
        else:
            reply = self.model.read(said, system, prompt)
        return dataclasses.replace(reply, batch_id=batched.batch_id)


def _error(batched: BatchReply) -> ModelError:
    what = batched.error or "The batch holds no reply."
    return ModelError(batched.error_type or "bad_reply", what, retryable=batched.retryable, unbilled=True)


def _replaced(batched: BatchReply) -> ModelError:
    what = f"The batch {batched.batch_id} asked an earlier version of this handler ({batched.handler_version})."
    return ModelError("bad_reply", what, "The task is asked again.", retryable=True)
