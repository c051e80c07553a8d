"""What a try takes from a budget: what it cost where that is known, else the most it can have cost."""

from __future__ import annotations

import json
from decimal import Decimal

from streams.core.messages import Call
from streams.core.pricing import Bounds, highest_cost
from streams.pipeline.handlers import Handler
from streams.stages.calls import cached, price_of
from streams.stages.ports import Asker, Desk, Said
from streams.stages.task import Task

PROVIDERS_OWN = 1_000
"""Tokens of input that a provider adds to a request of its own, at most, as for a schema that it enforces."""
BYTES_A_SIZE = 16
"""An asker's size of a task is a fourth of its characters, and a character has at most four bytes."""


def charge(call: Call, asker: Asker, task: Task, said: Said, desk: Desk) -> Decimal:
    """US dollars, never less than the true cost of a call whose provider follows its price list.

    A token has at least one byte, so a prompt has at most as many tokens as bytes.
    """
    reply, price = said.reply, price_of(asker, desk)
    if call.cost_usd is not None and not _understated(asker, said):
        return call.cost_usd
    if price is None or not _billed(said):
        return Decimal(0)
    counts = (reply.input_tokens, reply.output_tokens) if reply else (None, None)
    return highest_cost(price, *counts, *cached(asker, said), _bounds(asker, task, said))


def _understated(asker: Asker, said: Said) -> bool:
    """Whether even a price that is the same for cached tokens says too little: Anthropic counts them apart from the
    input, so where their counts are left out the input's may be short of them."""
    missing = said.reply is not None and None in cached(asker, said)
    return missing and asker.provider == "anthropic" and not asker.free


def _billed(said: Said) -> bool:
    """Whether the provider may charge for it; a prompt that could not be rendered was never sent."""
    if said.error is not None:
        return not said.error.unbilled
    if said.reply is not None:
        return not said.reply.unbilled
    return said.reading.error_type != "handler_error"


def _bounds(asker: Asker, task: Task, said: Said) -> Bounds:
    system = len(said.system.encode())
    prompt = system + len(said.prompt.encode()) if said.prompt else BYTES_A_SIZE * (asker.size(task) + 1)
    return Bounds(
        prompt=prompt + _schema_bytes(asker.handler) + PROVIDERS_OWN,
        cached=system if asker.bills_cache else 0,
        output=getattr(asker.handler.spec, "max_tokens", 0),
    )


def _schema_bytes(handler: Handler) -> int:
    contract = handler.prompting.contract if handler.prompting else None
    return len(json.dumps(contract.wire_schema).encode()) if contract and contract.wire_schema else 0
