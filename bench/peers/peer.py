"""The frame of a peer: a program that does its calls, 32 in flight, and prints the CPU time of all but the first ones.

It gets one JSON object as its argument. Nothing of escalon is imported here, because some peers have an environment of
their own.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

WARM_UP, BATCH = 20, 200
"""Calls that are not measured, and events that the script handles together."""


def given() -> dict[str, Any]:
    """Return the argument of the program."""
    found: dict[str, Any] = json.loads(sys.argv[1])
    return found


def prompt(body: dict[str, Any], number: int) -> str:
    """Return a prompt that no other call has."""
    return f"{body['messages'][0]['content']}\n{number}"


async def measure(call: Callable[[int], Awaitable[None]], calls: int, recorded: asyncio.Event | None = None) -> None:
    """Make the calls, wait until all are recorded, and print the CPU seconds."""
    for number in range(WARM_UP):
        await call(number)
    numbers, began = iter(range(WARM_UP, WARM_UP + calls)), time.process_time()

    async def one_after_another() -> None:
        for number in numbers:
            await call(number)

    await asyncio.gather(*(one_after_another() for _ in range(32)))
    if recorded is not None:
        await recorded.wait()
    sys.stdout.write(json.dumps({"cpu_seconds": time.process_time() - began}) + "\n")
