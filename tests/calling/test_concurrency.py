"""Answers in batches, plain functions beside the event loop, and what is left of those that hang."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import Any

import pytest

from streams.calling.caller import Callee
from streams.calling.concurrency import LARGEST_BATCH, MOST_LEFT_BEHIND, Batched, Threads, gather
from streams.calling.python_function import PythonFunction
from streams.calling.task import Task
from streams.core.errors import ModelError
from streams.pipeline.handlers import Handler
from streams.pipeline.spec import WorkerSpec

HANGS = """
import asyncio, time
from streams.pipeline.handlers import Handler
from streams.pipeline.spec import WorkerSpec
from streams.calling.caller import Callee
from streams.calling.python_function import PythonFunction
from streams.calling.task import Task

def hang(_):
    time.sleep(3600)

async def main():
    spec = WorkerSpec.model_validate({"handler": "desk:do", "timeout": 0.01})
    handler = Handler(name="do", tier="worker", spec=spec, version="v")
    callee = Callee(handler=handler, operation="function", provider="python", model="desk:do")
    print((await PythonFunction(callee=callee, function=hang).ask(Task())).reading.error_type)

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
    handler = Handler(name="do", tier="worker", spec=spec, version="v")
    callee = Callee(handler=handler, operation="function", provider="python", model="desk:do", free=True)
    hang = PythonFunction(callee=callee, function=lambda _: gate.wait())
    await asyncio.gather(*(hang.ask(Task()) for _ in range(MOST_LEFT_BEHIND)))
    assert (await hang.ask(Task())).reading.error_type == "overloaded"
    assert await asyncio.wait_for(asyncio.to_thread(lambda: "hash"), 60) == "hash"


# ---- Several calls at once ----


async def after(seconds: float, result: str, ended: list[str]) -> str:
    await asyncio.sleep(seconds)
    ended.append(result)
    return result


async def fails() -> str:
    raise ZeroDivisionError


async def test_results_come_in_the_order_of_the_calls() -> None:
    ended: list[str] = []
    assert await gather([after(0.02, "slow", ended), after(0.0, "quick", ended)]) == ["slow", "quick"]
    assert ended == ["quick", "slow"]
    assert await gather([]) == []


async def test_where_one_fails_the_others_end_before_that_is_raised() -> None:
    ended: list[str] = []
    with pytest.raises(ZeroDivisionError):
        await gather([fails(), after(0.02, "paid for", ended)])
    assert ended == ["paid for"]


class Halves:
    """Halves even numbers, and fails for a batch with an odd one; remembers the batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.batches.append(list(numbers))
        if odd := [number for number in numbers if number % 2]:
            raise ValueError(f"odd: {odd}")
        return [number // 2 for number in numbers]


async def test_what_is_asked_at_the_same_time_is_answered_in_one_batch() -> None:
    halves = Halves()
    batched = Batched(halves)
    assert await gather(batched.ask(number) for number in (2, 4, 6)) == [1, 2, 3]
    assert await batched.ask(8) == 4
    assert halves.batches == [[2, 4, 6], [8]]


async def test_tasks_that_begin_some_turns_apart_meet_in_full_batches() -> None:
    halves = Halves()
    batched = Batched(halves)

    async def tasks(turns: int) -> None:
        for _ in range(3):
            for _ in range(turns):
                await asyncio.sleep(0)
            await batched.ask(2)

    await gather(tasks(turns) for turns in (0, 1, 2, 3))
    assert halves.batches == [[2, 2, 2, 2]] * 3


async def test_a_question_that_fails_does_not_fail_those_beside_it() -> None:
    batched = Batched(Halves())
    answers = await asyncio.gather(*(batched.ask(number) for number in (2, 3, 6)), return_exceptions=True)
    assert (answers[0], str(answers[1]), answers[2]) == (1, "odd: [3]", 3)


async def test_a_batch_has_a_largest_size_and_leaves_out_who_waits_no_longer() -> None:
    halves = Halves()
    batched = Batched(halves)
    tasks = [asyncio.create_task(batched.ask(2 * number)) for number in range(LARGEST_BATCH + 2)]
    tasks[-1].get_loop().call_soon(tasks[-1].cancel)
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert answers[:-1] == list(range(LARGEST_BATCH + 1))
    assert isinstance(answers[-1], asyncio.CancelledError)
    assert [len(batch) for batch in halves.batches] == [LARGEST_BATCH, 1]
