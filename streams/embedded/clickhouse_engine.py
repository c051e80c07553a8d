"""Run requests on the ClickHouse engine chDB, each in the calling thread."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, Final, Protocol

from streams.embedded.clickhouse_insert import insert_rows
from streams.embedded.clickhouse_protocol import (
    SAFE_TABLE_FUNCTIONS,
    STREAMED_FORMATS,
    Insert,
    QueryError,
    Statement,
    find_insert,
    guard,
    skeleton_of,
)
from streams.embedded.clickhouse_request import Request, refuse_native_revisions
from streams.embedded.clickhouse_sessions import EngineHandles

HEAD_BYTES: Final = 1 << 18
"""The part of a body that is searched for INSERT … FORMAT: the engine's own limit for a statement."""


class Exchange(Protocol):
    """The body and the response of a request. Every method may block."""

    def read(self) -> bytes:
        """Return the next piece of the body, decompressed; empty at its end."""
        ...

    def begin(self, format_name: str | None, summary: Mapping[str, str]) -> None:
        """Send status and headers; a later error can only be appended to the result."""
        ...

    def write(self, data: bytes) -> None: ...


class ClickHouseEngine:
    """chDB on one directory; any number of threads may run requests."""

    def __init__(self, path: Path, *, max_statement_bytes: int = 256 << 20) -> None:
        self._path = path
        self._handles = EngineHandles(path)
        self._max_statement_bytes = max_statement_bytes
        self.version, self.timezone = self._handles.query("SELECT version(), timezone()").split()
        names = self._handles.query("SELECT lower(name) FROM system.table_functions").split()
        self._outside = frozenset(names) - SAFE_TABLE_FUNCTIONS

    def run(self, request: Request, exchange: Exchange) -> None:
        """Answer one request; raise `QueryError` before or after `begin`."""
        try:
            head = self._read_head(request, exchange)
            insert = find_insert(head)
            if insert is not None:
                guard(skeleton_of(insert.sql), readonly=request.readonly, outside=self._outside)
                self._insert(request, exchange, insert, head[insert.rows_at :])
                return
            statement = Statement.parse(self._read_rest(head, exchange))
            guard(statement.skeleton, readonly=request.readonly, outside=self._outside)
            self._query(request, exchange, statement)
        except RuntimeError as error:
            raise QueryError.from_engine(error) from error

    def close(self) -> None:
        """Flush and close. No request may be running."""
        self._handles.close()

    def cancel_all(self) -> None:
        self._handles.query("KILL QUERY WHERE query_id != queryID() ASYNC")

    def _read_head(self, request: Request, exchange: Exchange) -> bytes:
        head = bytearray(request.options.get("query", "").encode("utf-8", "surrogateescape"))
        if head:
            head += b"\n"
        while len(head) < HEAD_BYTES and (piece := exchange.read()):
            head += piece
        if not head.strip():
            raise QueryError(62, "Syntax error: Empty query.", "SYNTAX_ERROR")
        return bytes(head)

    def _read_rest(self, head: bytes, exchange: Exchange) -> bytes:
        whole = bytearray(head)
        while piece := exchange.read():
            whole += piece
            if len(whole) > self._max_statement_bytes:
                what = f"The statement is larger than {self._max_statement_bytes} bytes; use INSERT … FORMAT."
                raise QueryError(62, what, "SYNTAX_ERROR")
        return bytes(whole)

    def _insert(self, request: Request, exchange: Exchange, insert: Insert, rows: bytes) -> None:
        _check_writable(request)
        refuse_native_revisions(request, insert.format)
        started = time.perf_counter_ns()
        with self._handles.lend(request) as handle:
            done = insert_rows(handle, insert, chain([rows], iter(exchange.read, b"")), self._path)
        written = {"written_rows": str(done.rows_written()), "written_bytes": str(done.bytes_written())}
        exchange.begin(None, {**written, "elapsed_ns": str(time.perf_counter_ns() - started)})

    def _query(self, request: Request, exchange: Exchange, statement: Statement) -> None:
        wanted = statement.format or request.options.get("default_format") or "TabSeparated"
        refuse_native_revisions(request, wanted)
        if not statement.reads:
            _check_writable(request)
        with self._handles.lend(request) as handle:
            if statement.selects and wanted in STREAMED_FORMATS and not request.is_on("wait_end_of_query"):
                _stream(handle, request, exchange, statement, wanted)
            else:
                _buffer(handle, request, exchange, statement, wanted)


def _check_writable(request: Request) -> None:
    """Refuse a write by GET in a session: its handle could not be made writable again after readonly."""
    if request.readonly and not request.user.readonly and request.options.get("session_id"):
        raise QueryError(164, "Cannot execute query in readonly mode: use POST.", "READONLY")


def _stream(handle: Any, request: Request, exchange: Exchange, statement: Statement, wanted: str) -> None:
    blocks = handle.send_query(statement.text, wanted, params=dict(request.parameters))
    try:
        pieces: Iterator[bytes] = (block.bytes() for block in blocks)
        first = next(pieces, b"") or _empty_result(handle, request, statement, wanted)
        exchange.begin(wanted, {})
        exchange.write(first)
        for piece in pieces:
            exchange.write(piece)
    finally:
        blocks.close()


def _buffer(handle: Any, request: Request, exchange: Exchange, statement: Statement, wanted: str) -> None:
    started = time.perf_counter_ns()
    result = handle.query(statement.text, wanted, params=dict(request.parameters))
    data: bytes = result.bytes() or b""
    summary = {"read_rows": result.storage_rows_read(), "read_bytes": result.storage_bytes_read()}
    summary |= {"written_rows": result.rows_written(), "written_bytes": result.bytes_written()}
    summary |= {"result_rows": result.rows_read(), "result_bytes": len(data)}
    summary["elapsed_ns"] = time.perf_counter_ns() - started
    if not data and statement.selects:
        data = _empty_result(handle, request, statement, wanted)
    exchange.begin(wanted if statement.reads else None, {name: str(value) for name, value in summary.items()})
    exchange.write(data)


def _empty_result(handle: Any, request: Request, statement: Statement, wanted: str) -> bytes:
    """Return a Native block without rows, from which clients take the column names."""
    if wanted != "Native":
        return b""
    described = b"DESCRIBE TABLE (" + statement.without_format() + b"\n)"
    try:
        answer = handle.query(described, "JSONCompactEachRow", params=dict(request.parameters)).bytes()
    except RuntimeError:
        return b""
    columns = [json.loads(line)[:2] for line in answer.splitlines()]
    block = _varint(len(columns)) + _varint(0)
    for column in columns:
        for text in column:
            block += _varint(len(text.encode())) + text.encode()
    return block


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
