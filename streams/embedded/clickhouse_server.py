"""ClickHouse's HTTP interface on 127.0.0.1 over chDB: `python -m streams.embedded.clickhouse_server`.

One process owns the data directory. An acknowledged INSERT is on disk. Not implemented: TLS, grants and quotas,
requests in ClickHouse's compressed blocks, progress headers, replication.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from aiohttp import web

from streams.core.errors import EscalonError, ServiceError
from streams.embedded.clickhouse_blocks import BlockEncoder
from streams.embedded.clickhouse_compression import Encoder, choose_encoder
from streams.embedded.clickhouse_engine import ClickHouseEngine
from streams.embedded.clickhouse_exchange import ClientGoneError, HttpExchange
from streams.embedded.clickhouse_protocol import QueryError
from streams.embedded.clickhouse_request import DEFAULT_USERS, Request, User, is_on, load_users, read_request

WAITING_REQUESTS: Final = 64
GRACE_SECONDS: Final = 3.0
"""The time that running queries have after a stop signal, before they are cancelled."""


class ClickHouseServer:
    """The routes. At most `threads` queries run and WAITING_REQUESTS more wait; further ones get a 503."""

    def __init__(
        self, engine: ClickHouseEngine, users: Sequence[User], *, threads: int = 8, max_body_bytes: int = 1 << 30
    ) -> None:
        self._engine = engine
        self._users = tuple(users)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="query")
        self._limit = threads + WAITING_REQUESTS
        self._running = 0
        self._max_body_bytes = max_body_bytes
        self._headers = {"X-ClickHouse-Timezone": engine.timezone, "X-ClickHouse-Server-Display-Name": "escalon"}

    def application(self) -> web.Application:
        application = web.Application()
        application.add_routes(
            [web.get("/ping", _ok), web.get("/", self._query), web.post("/", self._query)],
        )
        return application

    async def close(self) -> None:
        """Wait GRACE_SECONDS for running queries, cancel the rest, then flush and close the engine."""
        for _ in range(int(GRACE_SECONDS / 0.05)):
            if not self._running:
                break
            await asyncio.sleep(0.05)
        else:
            self._engine.cancel_all()
        await asyncio.to_thread(self._pool.shutdown)
        self._engine.close()

    async def _query(self, request: web.Request) -> web.StreamResponse:
        query_id = ""
        try:
            asked = await read_request(request, self._users, self._max_body_bytes)
            if request.method == "GET" and "query" not in asked.options:
                return await _ok(request)
            query_id = asked.query_id
            exchange = HttpExchange(request, asked, self._headers, self._max_body_bytes)
            await self._run(asked, exchange)
        except QueryError as error:
            encoder = BlockEncoder() if is_on(request.query, "compress") else choose_encoder("")[1]
            return self._failure(error, query_id, encoder)
        except ClientGoneError:
            return web.Response(status=499)
        return exchange.response or web.Response(status=500)

    async def _run(self, asked: Request, exchange: HttpExchange) -> None:
        if self._running >= self._limit:
            what = f"Too many simultaneous queries: {self._limit} are running or waiting."
            raise QueryError(202, what, "TOO_MANY_SIMULTANEOUS_QUERIES")
        self._running += 1
        try:
            await asyncio.get_running_loop().run_in_executor(self._pool, self._answer, asked, exchange)
        finally:
            self._running -= 1

    def _answer(self, asked: Request, exchange: HttpExchange) -> None:
        try:
            self._engine.run(asked, exchange)
        except QueryError as error:
            if exchange.response is None:
                raise
            exchange.append_error(error, self._engine.version)
        exchange.finish()

    def _failure(self, error: QueryError, query_id: str, encoder: Encoder) -> web.Response:
        """Return an error's response, in blocks if the client asked for them, because it expects nothing else."""
        headers = {
            **self._headers,
            "X-ClickHouse-Exception-Code": str(error.code),
            "X-ClickHouse-Query-Id": query_id,
        }
        text = f"{error.what} (version {self._engine.version})\n".encode()
        body = encoder.compress(text) + encoder.flush()
        return web.Response(status=error.status, body=body, content_type="text/plain", charset="utf-8", headers=headers)


async def _ok(_request: web.Request) -> web.Response:
    return web.Response(text="Ok.\n")


async def serve(path: Path, users: Sequence[User], *, port: int, port_file: Path | None, threads: int) -> None:
    """Serve `path` until SIGTERM or SIGINT. Port 0 means a free one; it is written to `port_file` once it answers."""
    stop = asyncio.Event()
    server = ClickHouseServer(open_engine(path), users, threads=threads)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(server.application(), auto_decompress=False, access_log=None, shutdown_timeout=GRACE_SECONDS)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        if port_file is not None:
            _write_whole(port_file, str(runner.addresses[0][1]))
        await stop.wait()
        await site.stop()
        await server.close()
    finally:
        await runner.cleanup()


def open_engine(path: Path) -> ClickHouseEngine:
    """Open the engine on `path`, which is created if missing; raise `ServiceError` if that fails."""
    path.mkdir(parents=True, exist_ok=True)
    try:
        return ClickHouseEngine(path)
    except RuntimeError as error:
        remedy = "Stop the process that uses it, or choose another directory."
        raise ServiceError(f"ClickHouse's engine cannot open {path}: {error}.", remedy) from error


def _write_whole(path: Path, text: str) -> None:
    draft = path.with_name(path.name + ".part")
    draft.write_text(text, encoding="ascii")
    draft.replace(path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0 after a clean stop, 1 if the engine or the port is not available."""
    parser = argparse.ArgumentParser(description="ClickHouse's HTTP interface over chDB, on 127.0.0.1.")
    parser.add_argument("--path", type=Path, required=True, help="data directory")
    parser.add_argument("--port", type=int, default=0, help="0 for a free one")
    parser.add_argument("--port-file", type=Path, help="file to write the port to once it answers")
    parser.add_argument("--users", type=Path, help="JSON list of users; default: `default` and `reader`")
    parser.add_argument("--threads", type=int, default=8, help="queries that run at the same time")
    given = parser.parse_args(arguments)
    path, port_file = given.path.resolve(), given.port_file and given.port_file.resolve()
    try:
        users = load_users(given.users) if given.users else DEFAULT_USERS
        path.mkdir(parents=True, exist_ok=True)
        os.chdir(path)
        asyncio.run(serve(path, users, port=given.port, port_file=port_file, threads=given.threads))
    except (EscalonError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
