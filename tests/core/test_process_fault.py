"""Faults of a process are distinguished from faults of a message."""

from __future__ import annotations

import errno
from concurrent.futures.process import BrokenProcessPool
from datetime import UTC, datetime

import pytest

from streams.core.errors import HandlerError, ModelError, ProcessError, UnreadableError
from streams.core.process_fault import REMEDIES, process_fault, raise_process_fault


@pytest.mark.parametrize("number", REMEDIES)
def test_an_error_of_the_machine_is_the_processs_own_and_has_a_remedy(number: int) -> None:
    own = process_fault(OSError(number, "so", "/a/file"))
    assert own is not None
    assert own.remedy == REMEDIES[number]


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("can't start new thread"),
        RuntimeError("cannot schedule new futures after shutdown"),
        BrokenProcessPool(),
        ModuleNotFoundError("No module named 'imagehash'"),
        ExceptionGroup("all attempts failed", [OSError(errno.EMFILE, "Too many open files")]),
    ],
    ids=lambda error: f"{type(error).__name__}: {error}",
)
def test_so_is_a_lack_of_memory_threads_handles_or_parts_of_the_program(error: Exception) -> None:
    assert process_fault(error) is not None


@pytest.mark.parametrize(
    "error",
    [
        ZeroDivisionError(),
        ValueError("no date"),
        RecursionError(),
        OSError("cannot identify image file"),
        OSError(errno.EINVAL, "Invalid argument"),
        OSError(errno.EOVERFLOW, "Value too large for defined data type"),
        FileNotFoundError(errno.ENOENT, "No such file"),
        ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"),
        PermissionError(errno.EPERM, "Operation not permitted"),  # connect(), behind a policy that denies it
        PermissionError(errno.EACCES, "Permission denied"),
        RuntimeError("a handler's own"),
        UnreadableError("bad_id", "It has no id."),
        ModelError("timeout", "It took too long.", retryable=True),
    ],
    ids=lambda error: f"{type(error).__name__}: {error}",
)
def test_what_a_message_or_a_service_can_cause_is_not(error: Exception) -> None:
    assert process_fault(error) is None
    raise_process_fault(error)


def test_a_time_out_of_range_is_the_messages_fault_though_it_is_an_error_of_the_machine() -> None:
    with pytest.raises((OSError, OverflowError, ValueError)) as caught:
        datetime.fromtimestamp(1e20, UTC)
    assert process_fault(caught.value) is None


def chained() -> HandlerError:
    try:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise ValueError("could not write") from error
    except ValueError as error:
        outer = HandlerError("The function failed.")
        outer.__cause__ = error
        return outer


def test_it_is_found_behind_what_it_was_wrapped_in() -> None:
    with pytest.raises(ProcessError, match="No space left") as caught:
        raise_process_fault(chained())
    assert isinstance(caught.value.__cause__, HandlerError)


def test_an_error_that_says_so_itself_is_raised_as_it_is() -> None:
    error = ProcessError("The table is broken.")
    assert process_fault(error) is error


def test_causes_that_form_a_circle_are_each_seen_once() -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__context__ = second, first
    assert process_fault(first) is None
