"""Reads that take longer than a page may wait: their result, or None while they still run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Any, Final, TypeVar

from streams.core.errors import ServiceError
from streams.ui.operator.reads import AuditReads

PATIENCE_SECONDS: Final = 0.4
"""The time that a page waits; its live part shows the result when there is one."""
KEPT_SECONDS: Final = 300.0
NEEDS_EVALUATION: Final = (
    "This page needs the extra `evaluation`, which is not installed.",
    "Install it: `pip install '.[evaluation]'`.",
)
T = TypeVar("T")


async def estimated(
    reads: AuditReads, key: Hashable, read: Callable[[Any], T], patience_seconds: float | None = None
) -> T | None:
    """Return what `read` makes of the audit, or None after the patience; it goes on, and the next call may get it.

    Raises ServiceError if a module of the extra `evaluation` is missing.
    """
    running = asyncio.ensure_future(reads.audit(key, read, KEPT_SECONDS))
    done, _ = await asyncio.wait([running], timeout=patience_seconds)
    if not done:
        running.add_done_callback(lambda task: task.cancelled() or task.exception())
        return None
    try:
        return running.result()
    except ModuleNotFoundError as error:
        raise ServiceError(*NEEDS_EVALUATION) from error
