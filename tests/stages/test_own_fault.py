"""A fault of this process is neither a model's nor a function's: it ends no event."""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import threading
from pathlib import Path
from typing import Any

import pytest

from streams.calling.cached import StoredAnswers
from streams.calling.confidence import ConfidenceScorer
from streams.calling.request import CallOutcome, Reply
from streams.calling.task import Task
from streams.core.errors import ModelError, ProcessError
from streams.core.messages import StoredAnswer
from tests.harness.confidence import attempt, config
from tests.harness.stages import Office, backend, office, python_function, said


@pytest.fixture
def here(tmp_path: Path) -> Office:
    return office(tmp_path)


def lacking(number: int = errno.EMFILE) -> OSError:
    return OSError(number, "so")


def unreachable() -> ModelError:
    """A provider that could not be called without a file handle."""
    error = ModelError("unreachable", "The provider cannot be reached.", retryable=True)
    error.__cause__ = ConnectionError("all attempts failed")
    error.__cause__.__cause__ = ExceptionGroup("two addresses", [lacking(), lacking()])
    return error


@pytest.mark.parametrize("error", [unreachable(), lacking(), MemoryError()], ids=["wrapped", "bare", "memory"])
async def test_a_call_that_this_process_cannot_make_is_not_an_attempt(here: Office, error: Any) -> None:
    one = backend(here, [error, said()])
    with pytest.raises(ProcessError):
        await here.ask(one)
    assert len(one.asked) == 1, "it is not tried again"


def test_a_failed_try_is_not_made_of_it() -> None:
    with pytest.raises(ProcessError):
        Reply.failed(unreachable())
    assert Reply.failed(ModelError("unreachable", "Away.", retryable=True)).error is not None


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EMFILE, errno.EIO])
async def test_a_function_that_meets_it_has_not_failed(number: int) -> None:
    def function(_: Task) -> Any:
        raise lacking(number)

    with pytest.raises(ProcessError):
        await python_function(function).ask(Task(text="x"))


async def test_a_thread_that_cannot_be_started_is_not_the_functions_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(ProcessError):
        await python_function(lambda _: "yes").ask(Task(text="x"))


async def test_a_source_of_confidence_that_meets_it_is_not_unknown() -> None:
    def function(*_: Any) -> float:
        raise lacking()

    with pytest.raises(ProcessError):
        await ConfidenceScorer(config=config("verbalized", "desk:long"), functions={"desk:long": function}, timeout=5)(
            Task(text="x"), attempt(verbalized=0.9)
        )


class FullStore:
    """A store of answers on a full disk."""

    def get(self, _: str) -> StoredAnswer | None:
        """Nothing."""
        return None

    def put(self, *_: Any) -> None:
        """Fail."""
        raise ProcessError("The table cannot be written.")


async def test_an_answer_that_cannot_be_stored_still_serves_those_that_wait_for_it(here: Office) -> None:
    one = backend(here, [said("yes"), said("no")])
    full = StoredAnswers(store=FullStore(), records=here.records)
    here.services = dataclasses.replace(here.services, answers=full)
    one.gate = asyncio.Event()
    both = [asyncio.create_task(here.ask(one, event_id)) for event_id in ("e1", "e2")]
    for _ in range(10):  # one asks, the other waits for it
        await asyncio.sleep(0)
    one.gate.set()
    first, second = await asyncio.gather(*both, return_exceptions=True)
    assert isinstance(first, ProcessError)
    assert isinstance(second, CallOutcome)
    assert second.attempt.answer == '"yes"'
    assert len(one.asked) == 1, "nobody pays for it again"
