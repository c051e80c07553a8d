"""Locks of a data directory, so that two processes do not use it for the same."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streams.core.errors import ServiceError


@contextmanager
def locked(directory: Path, name: str) -> Iterator[None]:
    """Hold the lock file `name`; the kernel releases it even if this process is killed.

    Raises ServiceError with the owner's process id if it is held.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / name).open("a+", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            owner = lock.read().strip() or "unknown"
            what = f"{directory} is in use by process {owner}."
            raise ServiceError(what, "Stop that process, or set ESCALON_DATA to another directory.") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def is_locked(directory: Path, name: str) -> bool:
    """True if another process holds the lock file `name`."""
    try:
        with (directory / name).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
