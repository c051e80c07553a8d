"""The reads behind the pages: few at once, and one for all pages that ask the same at the same time."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import urlencode

from streams.audit.named_queries import named_query
from streams.audit.query import QueryResult
from streams.core.errors import ServiceError
from streams.ui.operator.scope import Scope

AT_ONCE: Final = 2
"""Reads that run at the same time; the others wait."""
KEPT_SECONDS: Final = 2.0
KEPT_TIMES: Final = 30
"""A result may be kept for so many times as long as it took to read, and for KEPT_SECONDS."""
MOST_KEPT: Final = 256
"""Results that are kept at most, the newest."""
T = TypeVar("T")


class NamedAudit(Protocol):
    """The part of Audit that pages read."""

    def named(self, name: str, run: str = "live", **parameters: Any) -> QueryResult: ...

    def close(self) -> None: ...


class AuditReads:
    """Blocking reads in threads. `open_audit` connects; it is called again after a server did not answer."""

    def __init__(
        self, open_audit: Callable[[], NamedAudit], clock: Callable[[], float] = time.monotonic, at_once: int = AT_ONCE
    ) -> None:
        self._open, self._clock = open_audit, clock
        self._free = asyncio.Semaphore(at_once)
        self._idle: list[NamedAudit] = []
        self._kept: OrderedDict[Hashable, tuple[float, asyncio.Future[Any]]] = OrderedDict()

    async def named(self, name: str, scope: Scope | None = None, **parameters: object) -> QueryResult:
        """Return the answer of a named query about a scope; it gets those parameters of the scope that it has.

        Raises ConfigError for a wrong parameter, ServiceError if the audit cannot be read.
        """
        values = _values(name, scope, parameters)
        key = (name, tuple(sorted((one, str(value)) for one, value in values.items())))
        return await self.audit(key, lambda audit: _in_utc(audit.named(name, **values)))

    async def audit(self, key: Hashable, read: Callable[[Any], T], kept_seconds: float = KEPT_SECONDS) -> T:
        """Return what `read` reads from the audit; equal keys share one read, as in `call`."""
        return await self.call(("audit", key), lambda: self._with_audit(read), kept_seconds)

    async def call(self, key: Hashable, function: Callable[[], T], kept_seconds: float = KEPT_SECONDS) -> T:
        """Return the result of a blocking function, from a thread. Equal keys share one call and its result.

        It is kept for `kept_seconds` at most, and less if it can soon be had again.
        """
        now = self._clock()
        kept = self._kept.get(key)
        if kept is None or kept[0] <= now or _has_failed(kept[1]):
            task: asyncio.Future[Any] = asyncio.ensure_future(self._run(key, function, kept_seconds))
            task.add_done_callback(
                lambda done: done.cancelled() or done.exception()
            )  # else it warns about an error that was not read
            self._kept[key] = kept = (float("inf"), task)
            self._kept.move_to_end(key)
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        result: T = await asyncio.shield(kept[1])
        return result

    async def _run(self, key: Hashable, function: Callable[[], T], kept_seconds: float) -> T:
        async with self._free:
            begun = self._clock()
            result = await asyncio.to_thread(function)
        now = self._clock()
        if key in self._kept:
            rest = min(kept_seconds, max(KEPT_SECONDS, KEPT_TIMES * (now - begun)))
            self._kept[key] = (now + rest, self._kept[key][1])
        return result

    def _with_audit(self, read: Callable[[NamedAudit], T]) -> T:
        try:
            audit = self._idle.pop()
        except IndexError:
            audit = self._open()
        try:
            result = read(audit)
        except ServiceError:
            with suppress(Exception):
                audit.close()
            raise
        except BaseException:
            self._idle.append(audit)
            raise
        self._idle.append(audit)
        return result

    def close(self) -> None:
        """Close the connections."""
        while self._idle:
            self._idle.pop().close()


def figure_link(name: str, scope: Scope | None = None, **parameters: object) -> str:
    """Return the address of the page with a named query that gives a figure."""
    values = _values(name, scope, parameters)
    return f"/query/{name}" + (f"?{urlencode({one: str(value) for one, value in values.items()})}" if values else "")


def _values(name: str, scope: Scope | None, parameters: dict[str, object]) -> dict[str, Any]:
    """Return the parameters that a query gets: those of the scope that it has, and the given ones."""
    known = named_query(name).parameters
    scoped = {} if scope is None else {one: value for one, value in scope.parameters().items() if one in known}
    return scoped | parameters


def _in_utc(result: QueryResult) -> QueryResult:
    """Return a result with its times in UTC; the driver leaves the zone out."""
    rows = [[one.replace(tzinfo=UTC) if isinstance(one, datetime) else one for one in row] for row in result.rows]
    return replace(result, rows=rows)


def _has_failed(future: asyncio.Future[Any]) -> bool:
    return future.done() and (future.cancelled() or future.exception() is not None)
