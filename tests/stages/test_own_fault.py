"""What this process lacks is neither a model's fault nor a function's: it ends no event."""

from __future__ import annotations

import asyncio
import errno
import threading
from pathlib import Path
from typing import Any

import pytest

from streams.core.errors import ModelError, ProcessError
from streams.core.messages import StoredAnswer
from streams.stages.consult import consult
from streams.stages.ports import Said
from streams.stages.question import Consultation
from streams.stages.task import Task
from tests.stages.support import Office, office, said
from tests.stages.test_askers import function_asker
from tests.stages.test_assess import TASK, assessor
from tests.stages.test_consult import asker, question
from tests.stages.trusting import attempt, trust


@pytest.fixture
def here(tmp_path: Path) -> Office:
    return office(tmp_path)


def lacking(number: int = errno.EMFILE) -> OSError:
    return OSError(number, "so")


def unreachable() -> ModelError:
    """A provider that could not be called, for want of a file handle."""
    error = ModelError("unreachable", "The provider cannot be reached.", retryable=True)
    error.__cause__ = ConnectionError("all attempts failed")
    error.__cause__.__cause__ = ExceptionGroup("two addresses", [lacking(), lacking()])
    return error


@pytest.mark.parametrize("error", [unreachable(), lacking(), MemoryError()], ids=["wrapped", "bare", "memory"])
async def test_a_call_that_this_process_cannot_make_is_no_try(here: Office, error: Any) -> None:
    one = asker(here, [error, said()])
    with pytest.raises(ProcessError):
        await consult(question(one), here.desk)
    assert len(one.asked) == 1, "it is not tried again"


def test_a_failed_try_is_not_made_of_it() -> None:
    with pytest.raises(ProcessError):
        Said.failed(unreachable())
    assert Said.failed(ModelError("unreachable", "Away.", retryable=True)).error is not None


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EMFILE, errno.EIO])
async def test_a_function_that_meets_it_has_not_failed(number: int) -> None:
    def function(_: Task) -> Any:
        raise lacking(number)

    with pytest.raises(ProcessError):
        await function_asker(function).ask(Task(text="x"))


async def test_a_thread_that_cannot_be_started_is_not_the_functions_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(ProcessError):
        await function_asker(lambda _: "yes").ask(Task(text="x"))


async def test_a_source_of_confidence_that_meets_it_is_not_unknown() -> None:
    def function(*_: Any) -> float:
        raise lacking()

    with pytest.raises(ProcessError):
        await assessor(trust("verbalized", "desk:long"), long=function)(TASK, attempt(verbalized=0.9))


class FullStore:
    """A store of answers on a full disk."""

    def get(self, _: str) -> StoredAnswer | None:
        """Nothing."""
        return None

    def put(self, *_: Any) -> None:
        """Fail."""
        raise ProcessError("The table cannot be written.")


async def test_an_answer_that_cannot_be_stored_still_serves_those_that_wait_for_it(here: Office) -> None:
    desk, one = here.desk, asker(here, [said("yes"), said("no")])
    object.__setattr__(desk, "answers", FullStore())
    one.gate = asyncio.Event()
    both = [asyncio.create_task(consult(question(one, event_id), desk)) for event_id in ("e1", "e2")]
    for _ in range(10):  # one asks, the other waits for it
        await asyncio.sleep(0)
    one.gate.set()
    first, second = await asyncio.gather(*both, return_exceptions=True)
    assert isinstance(first, ProcessError)
    assert isinstance(second, Consultation)
    assert second.attempt.answer == '"yes"'
    assert len(one.asked) == 1, "nobody pays for it again"
