"""Distinguish faults of this process from faults of a message.

A full disk, a limit on file handles or a lack of memory hits any message in flight. If the message were blamed, its
event would end for good, and so would every event after it.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from typing import Final

from streams.core.errors import ProcessError

REMEDIES: Final = {
    errno.ENOSPC: "Free space on the disk of ESCALON_DATA (or on the disk that was written to).",
    errno.EDQUOT: "Free space within the quota, or raise it.",
    errno.EFBIG: "Raise the limit on the size of a file (ulimit -f).",
    errno.EMFILE: "Raise the limit on file handles (ulimit -n).",
    errno.ENFILE: "Raise the machine's limit on file handles (fs.file-max).",
    errno.ENOMEM: "Give the process more memory.",
    errno.EIO: "Check the disk.",
    errno.EROFS: "Mount the disk for writing.",
    errno.ENODEV: "Check the disk.",
    errno.ENXIO: "Check the disk.",
    errno.ESTALE: "Mount the disk again.",
    errno.EACCES: "Give the process's user access to its files.",
    errno.EPERM: "Give the process's user access to its files.",
    errno.ELIBACC: "Reinstall escalon: a library cannot be read.",
}
"""By an OSError's number, without those that a message (EINVAL, EOVERFLOW) or a network can cause."""
_MEMORY: Final = "Give the process more memory."
_THREADS: Final = "Raise the limit on threads and processes (ulimit -u, or the container's pids limit)."
_INSTALL: Final = "Install the missing module; if it is a part of escalon, reinstall escalon."
_THREAD_WORDS: Final = ("can't start new thread", "cannot schedule new futures")
"""RuntimeErrors of Python when no thread can be started, or the process is shutting down."""
_CHAIN: Final = 20
"""Causes inspected at most."""


def process_fault(error: BaseException) -> ProcessError | None:
    """Return a ProcessError if the error or a cause of it is the process's fault; None if it may be a message's."""
    for cause in causes(error):
        if isinstance(cause, ProcessError):
            return cause
        if (remedy := _remedy(cause)) is not None:
            return ProcessError(f"This process cannot continue: {type(cause).__name__}: {cause}.", remedy)
    return None


def raise_process_fault(error: BaseException) -> None:
    """Raise ProcessError if the error is the process's fault. Call it first in every handler of `Exception`."""
    if (own := process_fault(error)) is not None:
        raise own from (None if own is error else error)


def _remedy(error: BaseException) -> str | None:
    if isinstance(error, OSError):
        # Without a file name it is a connection that a firewall or a policy forbids.
        forbidden = error.errno in (errno.EACCES, errno.EPERM) and error.filename is None
        return None if forbidden else REMEDIES.get(error.errno or 0)
    if isinstance(error, MemoryError):
        return _MEMORY
    if isinstance(error, BrokenExecutor):
        return _THREADS
    if isinstance(error, ImportError):
        return _INSTALL
    if isinstance(error, RuntimeError) and any(words in str(error) for words in _THREAD_WORDS):
        return _THREADS
    return None


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and, once each, all errors that it was raised from, directly or not."""
    waiting, seen = [error], set[int]()
    while waiting and len(seen) < _CHAIN:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions
        waiting += [cause for cause in (one.__cause__, one.__context__) if cause is not None]
