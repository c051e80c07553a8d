"""Engine handles: a fresh one for each request, or one kept for each named session."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import chdb

from streams.embedded.clickhouse_insert import insert_rows
from streams.embedded.clickhouse_protocol import Insert, QueryError
from streams.embedded.clickhouse_request import Request
from streams.packaged_files import resource

DEFAULT_SESSION_SECONDS: Final = 60.0
LONGEST_SESSION_SECONDS: Final = 3600.0


class EngineHandle(Protocol):
    """A connection of the engine, with settings of its own."""

    def query(self, sql: str, *options: Any, **parameters: Any) -> Any: ...
    def close(self) -> None: ...


@dataclass(slots=True)
class _Session:
    handle: EngineHandle
    expires: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)


class EngineHandles:
    """Opens the engine on one directory and lends handles, so that no client sees another's settings.

    A process can open one directory only. Raises RuntimeError if another process has it open.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_sessions: int = 256,
        clock: Callable[[], float] = time.monotonic,
        connect: Callable[[str], Any] = chdb.connect,
    ) -> None:
        self._target, self._directory = _target(path), path
        self._max_sessions = max_sessions
        self._clock = clock
        self._connect = connect
        self._root = connect(self._target)
        self._sessions: dict[tuple[str, str], _Session] = {}
        self._lock = threading.Lock()

    @contextmanager
    def lend(self, request: Request) -> Iterator[Any]:
        """Lend a handle with the request's database, settings and external tables applied."""
        name = request.options.get("session_id")
        if name:
            with self._borrow(name, request) as handle, _restored(handle, request, self._directory):
                yield handle
            return
        handle = self._open()
        try:
            _apply(handle, request, self._directory)
            if request.readonly:
                handle.query("SET readonly = 2")
            yield handle
        finally:
            handle.close()

    def query(self, sql: str) -> str:
        """Run one of the server's own queries and return its result, tab-separated."""
        answer: bytes = self._root.query(sql, "TSV").bytes()
        return answer.decode()

    def close(self) -> None:
        """Flush and close everything. No request may be running."""
        with self._lock:
            for session in self._sessions.values():
                session.handle.close()
            self._sessions.clear()
        self._root.close()

    def _open(self) -> EngineHandle:
        handle: EngineHandle = self._connect(self._target)
        handle.query("SET async_insert = 0")
        return handle

    @contextmanager
    def _borrow(self, name: str, request: Request) -> Iterator[Any]:
        seconds = _session_seconds(request)
        with self._lock:
            session = self._find(name, request)
            if not session.lock.acquire(blocking=False):
                raise QueryError(373, f"Session {name} is locked by a concurrent client.", "SESSION_IS_LOCKED")
        try:
            yield session.handle
        finally:
            session.expires = self._clock() + seconds
            session.lock.release()

    def _find(self, name: str, request: Request) -> _Session:
        key = (request.user.name, name)
        known = self._sessions.get(key)
        if known is not None and (known.lock.locked() or known.expires >= self._clock()):
            return known
        self._make_room()
        session = self._sessions[key] = _Session(self._open())
        if request.user.readonly:
            session.handle.query("SET readonly = 2")
        return session

    def _make_room(self) -> None:
        """Close expired sessions, and if there are still too many, the one that expires next."""
        resting = sorted((one.expires, key) for key, one in self._sessions.items() if not one.lock.locked())
        surplus = len(self._sessions) - self._max_sessions + 1
        now = self._clock()
        for place, (expires, key) in enumerate(resting):
            if expires < now or place < surplus:
                self._sessions.pop(key).handle.close()
        if len(self._sessions) >= self._max_sessions:
            what = f"Too many sessions: {self._max_sessions} are busy."
            raise QueryError(202, what, "TOO_MANY_SIMULTANEOUS_QUERIES")


def _target(path: Path) -> str:
    """Return the connection string. The engine reads a config.xml in the directory, unless another file is named."""
    if (path / "config.xml").exists():
        return str(path)
    return f"{path}?config-file={resource('clickhouse') / 'embedded.xml'}"


def _session_seconds(request: Request) -> float:
    try:
        wanted = float(request.options.get("session_timeout", DEFAULT_SESSION_SECONDS))
    except ValueError:
        wanted = math.nan
    if not wanted >= 0:  # also refuses NaN, with which a session would never expire
        raise QueryError(36, "session_timeout is not a number of seconds.", "BAD_ARGUMENTS")
    return min(wanted, LONGEST_SESSION_SECONDS)


def _apply(handle: Any, request: Request, directory: Path) -> None:
    for name, value in request.settings.items():
        handle.query(f"SET {name} = {_literal(value)}")
    if database := request.options.get("database"):
        handle.query(f"USE {_identifier(database)}")
    for table in request.external:
        handle.query(f"CREATE TEMPORARY TABLE {table.name} ({table.structure})")
        insert_rows(handle, Insert(f"INSERT INTO {table.name}", table.format, 0), [table.data], directory)


@contextmanager
def _restored(handle: Any, request: Request, directory: Path) -> Iterator[None]:
    """Apply a request's database, settings and tables, and undo them at its end, for a handle of a session."""
    undo = [f"DROP TABLE IF EXISTS {table.name}" for table in request.external]
    if request.options.get("database"):
        undo.append(f"USE {_identifier(_rows(handle, 'SELECT currentDatabase()')[0][0])}")
    if request.settings:
        asked = "SELECT name, value, changed FROM system.settings WHERE has({names:Array(String)}, name)"
        before = _rows(handle, asked, names=str(list(request.settings)))
        undo += [f"SET {name} = {_literal(value) if changed else 'DEFAULT'}" for name, value, changed in before]
    try:
        _apply(handle, request, directory)
        yield
    finally:
        for statement in undo:
            handle.query(statement)


def _rows(handle: Any, sql: str, **parameters: str) -> list[list[Any]]:
    answer: bytes = handle.query(sql, "JSONCompactEachRow", params=parameters).bytes()
    return [json.loads(line) for line in answer.splitlines()]


def _literal(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _identifier(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"
