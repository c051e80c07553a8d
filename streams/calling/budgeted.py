"""The day's money: no call without any left, and each call's charge counted."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from streams.calling.caller import Callee, CallWrapper
from streams.calling.record import CallRecords, cache_tokens
from streams.calling.request import CallOutcome, CallRequest, OutOfBudget, Reply
from streams.calling.task import Task
from streams.core.pricing import Bounds, Price, highest_cost
from streams.core.provider_names import CLAUDE
from streams.pipeline.handlers import Handler

PROVIDERS_OWN = 1_000
"""Input tokens that a provider adds to a request, at most, as for a schema that it enforces."""
BYTES_A_SIZE = 16
"""A task's size is a fourth of its characters, and a character has at most four bytes."""


class Budget(Protocol):
    """The money of the partition whose message is being handled."""

    def may_spend(self, now: datetime) -> bool:
        """True if a call may still start today."""
        ...

    def spend(self, usd: Decimal, now: datetime) -> None:
        """Count a call's cost, or the most it can have cost where that is not known."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgeted(CallWrapper):
    """Calls while the budget has money left."""

    budget: Budget
    records: CallRecords
    size: Callable[[Task], int]

    async def call(self, request: CallRequest) -> CallOutcome | OutOfBudget:
        """Return the outcome, its charge counted on the day on which the call began."""
        if not self.budget.may_spend(self.records.now()):
            return OutOfBudget()
        outcome = await self.caller.call(request)
        if isinstance(outcome, CallOutcome) and (usd := self.charge(outcome, request.task)):
            self.budget.spend(usd, outcome.calls[-1].started_at)
        return outcome

    def charge(self, outcome: CallOutcome, task: Task) -> Decimal:
        """Return US dollars, never less than the true cost of a call whose provider follows its price list."""
        reply, cost = outcome.reply, outcome.calls[-1].cost_usd
        if reply is None:
            return Decimal(0)
        if cost is not None and not _understated(self.callee, reply):
            return cost
        price = self.records.price_of(self.callee)
        return Decimal(0) if price is None or not _billed(reply) else self._most(price, reply, task)

    def _most(self, price: Price, reply: Reply, task: Task) -> Decimal:
        """Return the most a call can have cost. A token has at least one byte, so a prompt's bytes bound its tokens."""
        said, handler, system = reply.model_reply, self.callee.handler, len(reply.system.encode())
        image = self.callee.image_tokens if task.image else 0
        prompt = system + len(reply.prompt.encode()) if reply.prompt else BYTES_A_SIZE * (self.size(task) - image + 1)
        bounds = Bounds(
            prompt=prompt + image + _schema_bytes(handler) + PROVIDERS_OWN,
            cached=system if self.callee.bills_cache else 0,
            output=handler.prompts.max_tokens if handler.prompting else 0,
        )
        counts = (said.input_tokens, said.output_tokens) if said else (None, None)
        return highest_cost(price, *counts, *cache_tokens(self.callee, reply), bounds)


def most_cost(callee: Callee, price: Price, size: int) -> Decimal:
    """Return the most US dollars that a call can cost which is not made yet; `size` is its task's, in tokens, about."""
    handler = callee.handler
    bounds = Bounds(
        prompt=BYTES_A_SIZE * (size + 1) + _schema_bytes(handler) + PROVIDERS_OWN,
        cached=0,
        output=handler.prompts.max_tokens if handler.prompting else 0,
    )
    return highest_cost(price, None, None, None, None, bounds)


def _understated(callee: Callee, reply: Reply) -> bool:
    """True if even a price that is the same for cached tokens says too little: Anthropic counts them apart from the
    input, so where their counts are left out the input's may be short of them."""
    missing = reply.model_reply is not None and None in cache_tokens(callee, reply)
    return missing and callee.provider in CLAUDE and not callee.free


def _billed(reply: Reply) -> bool:
    """True if the provider may charge for it; a prompt that could not be rendered was never sent."""
    if reply.error is not None:
        return not reply.error.unbilled
    if reply.model_reply is not None:
        return not reply.model_reply.unbilled
    return reply.reading.error_type != "handler_error"


def _schema_bytes(handler: Handler) -> int:
    contract = handler.prompting.contract if handler.prompting else None
    return len(json.dumps(contract.wire_schema).encode()) if contract and contract.wire_schema else 0
