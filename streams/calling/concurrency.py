"""Several calls at once, and plain functions beside the event loop."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from streams.core.errors import ModelError

MOST_LEFT_BEHIND = 32
"""Threads of functions that took too long and still run, before no further one is started."""
LARGEST_BATCH = 64
TURNS = 5
"""Turns of the event loop in which the next tasks begin after others have ended: a turn each for the answer, the task,
its end, the start of the next one, and that one's question. An idle loop takes microseconds for all."""
Q = TypeVar("Q")
T = TypeVar("T")


async def gather(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Return the results, in order. Where one raises, wait for the others first, for they may have been paid for."""
    started, results = list(work), list[T]()
    if len(started) < 2:  # one needs no task of its own
        return [await one for one in started]
    for one in await asyncio.gather(*started, return_exceptions=True):
        if isinstance(one, BaseException):
            raise one
        results.append(one)
    return results


@dataclass(slots=True)
class Batched(Generic[Q, T]):
    """Answers together what is asked within a few turns of the event loop, or as soon as a batch is full."""

    answer: Callable[[Sequence[Q]], Sequence[T]]
    _asked: list[tuple[Q, asyncio.Future[T]]] = field(default_factory=list)

    async def ask(self, question: Q) -> T:
        """Return the answer. One that fails with an error does not fail the others."""
        loop = asyncio.get_running_loop()
        if not self._asked:
            loop.call_soon(self._wait, TURNS)
        future: asyncio.Future[T] = loop.create_future()
        self._asked.append((question, future))
        return await future

    def _wait(self, turns: int) -> None:
        if turns > 1 and len(self._asked) < LARGEST_BATCH:
            asyncio.get_running_loop().call_soon(self._wait, turns - 1)
            return
        asked, self._asked = self._asked, []
        for start in range(0, len(asked), LARGEST_BATCH):
            self._answer(asked[start : start + LARGEST_BATCH])

    def _answer(self, asked: Sequence[tuple[Q, asyncio.Future[T]]]) -> None:
        waiting = [(question, future) for question, future in asked if not future.done()]
        if not waiting:
            return
        try:
            answers = self.answer([question for question, _ in waiting])
        except Exception as error:
            if len(waiting) > 1:
                for one in waiting:
                    self._answer([one])
            else:
                waiting[0][1].set_exception(error)
            return
        for (_, future), answer in zip(waiting, answers, strict=True):
            future.set_result(answer)


@dataclass(slots=True)
class Threads:
    """Runs each plain function in a daemon thread of its own; used from one event loop.

    A function that hangs neither keeps the process from ending nor takes a place in the loop's own pool. The caller
    bounds how many calls there are at once.
    """

    _left_behind: list[Future[Any]] = field(default_factory=list)

    async def call(self, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return what the function does, in this context. Raises ModelError while too many calls of it hang."""
        self._left_behind = [one for one in self._left_behind if not one.done()]
        if len(self._left_behind) >= MOST_LEFT_BEHIND:
            what = f"{len(self._left_behind)} calls of {name} took too long and still run, so it is not called again."
            raise ModelError("overloaded", what, "Give what it waits for a time limit.", retryable=True)
        done: Future[Any] = Future()
        done.set_running_or_notify_cancel()
        context = contextvars.copy_context()
        thread = threading.Thread(target=_run, args=(done, context, function, arguments), name=name, daemon=True)
        thread.start()
        try:
            return await asyncio.wrap_future(done)
        except asyncio.CancelledError:
            self._left_behind.append(done)
            raise


def _run(
    done: Future[Any], context: contextvars.Context, function: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    try:
        done.set_result(context.run(function, *arguments))
    except (StopIteration, SystemExit, KeyboardInterrupt) as error:  # a future carries none, the others end the loop
        done.set_exception(RuntimeError(repr(error)))
    except BaseException as error:
        done.set_exception(error)
