"""Plain functions beside the event loop, and what is left of those that hang."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import pytest

from streams.core.errors import ModelError
from streams.pipeline.handlers import Handler
from streams.pipeline.spec import WorkerSpec
from streams.stages.askers import FunctionAsker
from streams.stages.task import Task
from streams.stages.threads import MOST_LEFT_BEHIND, Threads

HANGS = """
import asyncio, time
from streams.pipeline.handlers import Handler
from streams.pipeline.spec import WorkerSpec
from streams.stages.askers import FunctionAsker
from streams.stages.task import Task

def hang(_):
    time.sleep(3600)

async def main():
    spec = WorkerSpec.model_validate({"handler": "desk:do", "timeout": 0.01})
    asker = FunctionAsker(handler=Handler(name="do", tier="worker", spec=spec, version="v"), function=hang)
    print((await asker.ask(Task())).reading.error_type)

asyncio.run(main())
"""
here: ContextVar[str] = ContextVar("here")


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    opened = threading.Event()
    yield opened
    opened.set()


def test_a_process_ends_although_a_function_of_its_handler_hangs() -> None:
    done = subprocess.run([sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == "timeout\n"


async def test_a_function_returns_raises_and_sees_the_context_of_its_caller() -> None:
    here.set("there")
    threads = Threads()
    assert await threads.call("f", lambda *given: (here.get(), *given), 1, 2) == ("there", 1, 2)
    with pytest.raises(ZeroDivisionError):
        await threads.call("f", lambda: 1 / 0)


@pytest.mark.parametrize("kind", [StopIteration, SystemExit, KeyboardInterrupt])
async def test_what_would_end_the_loop_or_be_lost_in_it_is_a_plain_error(kind: type[BaseException]) -> None:
    def leaves() -> None:
        raise kind

    with pytest.raises(RuntimeError, match=kind.__name__):
        await Threads().call("f", leaves)


async def left_behind(threads: Threads, function: Any) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(threads.call("desk:do", function), 0.001)


async def test_hanging_threads_are_bounded_and_a_function_is_called_again_once_one_has_ended(
    gate: threading.Event,
) -> None:
    threads, before = Threads(), threading.active_count()
    first, running = threading.Event(), list[threading.Thread]()

    def hang() -> None:
        running.append(threading.current_thread())
        first.wait()

    await left_behind(threads, hang)
    await asyncio.gather(*(left_behind(threads, gate.wait) for _ in range(MOST_LEFT_BEHIND - 1)))
    with pytest.raises(ModelError, match=f"{MOST_LEFT_BEHIND} calls of desk:do took too long") as caught:
        await threads.call("desk:do", gate.wait)
    assert (caught.value.error_type, caught.value.retryable) == ("overloaded", True)
    assert threading.active_count() - before <= MOST_LEFT_BEHIND
    first.set()
    running[0].join()
    assert await threads.call("desk:do", lambda: "answer") == "answer"


async def test_hanging_functions_take_no_place_in_the_loops_own_pool(gate: threading.Event) -> None:
    spec = WorkerSpec.model_validate({"handler": "desk:do", "timeout": 0.001})
    hang = FunctionAsker(
        handler=Handler(name="do", tier="worker", spec=spec, version="v"), function=lambda _: gate.wait()
    )
    await asyncio.gather(*(hang.ask(Task()) for _ in range(MOST_LEFT_BEHIND)))
    assert (await hang.ask(Task())).reading.error_type == "overloaded"
    assert await asyncio.wait_for(asyncio.to_thread(lambda: "hash"), 60) == "hash"
