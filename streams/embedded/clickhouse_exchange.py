"""The HTTP side of a request, for the thread that runs its query."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Coroutine, Iterator, Mapping
from typing import Any, Final, TypeVar

from aiohttp import web

from streams.embedded.clickhouse_blocks import BlockEncoder
from streams.embedded.clickhouse_compression import Decoder, Encoder, choose_encoder
from streams.embedded.clickhouse_protocol import QueryError
from streams.embedded.clickhouse_request import Request

STALLED_SECONDS: Final = 300.0
"""A client that neither sends nor receives for this long is disconnected, and its thread released."""

EXPANSION: Final = 20
"""The largest decompressed body, as a multiple of the largest body; rows shrink to about a tenth."""
_CONTENT_TYPES: Final = {
    "Native": "application/octet-stream",
    "RowBinary": "application/octet-stream",
    "JSON": "application/json; charset=UTF-8",
    "JSONCompact": "application/json; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
    "CSV": "text/csv; charset=UTF-8",
    "CSVWithNames": "text/csv; charset=UTF-8",
}
_T = TypeVar("_T")


class ClientGoneError(Exception):
    """The client disconnected or stalled."""


class HttpExchange:
    """Gives one thread access to a request's body and response, at the client's speed."""

    def __init__(
        self, request: web.Request, asked: Request, server_headers: Mapping[str, str], max_body_bytes: int
    ) -> None:
        self._request = request
        self._asked = asked
        self._server_headers = server_headers
        self._left = max_body_bytes
        self._plain_left = max_body_bytes * EXPANSION
        self._loop = asyncio.get_running_loop()
        self._decoder = Decoder(request.headers.get("Content-Encoding", ""))
        self._pieces: Iterator[bytes] = iter(())
        self._ended = request.content_type == "multipart/form-data"
        self._tag = secrets.token_hex(8)
        self._encoder: Encoder | None = None
        self.response: web.StreamResponse | None = None

    def read(self) -> bytes:
        """Return the next piece of the body, decompressed; empty at its end. Blocks; not for the event loop."""
        while True:
            for piece in self._pieces:
                if piece:
                    self._plain_left -= len(piece)
                    if self._plain_left < 0:
                        raise QueryError(36, "The body is too large once it is decompressed.", "BAD_ARGUMENTS")
                    return piece
            if self._ended:
                return b""
            chunk = self._wait(self._request.content.readany())
            self._left -= len(chunk)
            if self._left < 0:
                raise QueryError(36, "The body is too large: send it in several requests.", "BAD_ARGUMENTS")
            self._ended = not chunk
            if chunk:
                self._pieces = self._decoder.feed(chunk)
            else:
                self._decoder.finish()

    def begin(self, format_name: str | None, summary: Mapping[str, str]) -> None:
        """Send status 200 and the headers. Blocks; not for the event loop."""
        encoding, self._encoder = self._chosen_encoder()
        headers = {
            **self._server_headers,
            "X-ClickHouse-Query-Id": self._asked.query_id,
            "X-ClickHouse-Summary": json.dumps(dict(summary)),
            "X-ClickHouse-Exception-Tag": self._tag,
            "Content-Type": _CONTENT_TYPES.get(format_name or "", "text/plain; charset=UTF-8"),
        }
        if format_name:
            headers["X-ClickHouse-Format"] = format_name
        if encoding:
            headers["Content-Encoding"] = encoding
        self.response = web.StreamResponse(headers=headers)
        self.response.enable_chunked_encoding()
        self._wait(self._start(self.response))

    def write(self, data: bytes) -> None:
        """Send a piece of the result. Blocks; not for the event loop."""
        if self.response is None or self._encoder is None:
            raise ClientGoneError("write before begin")
        if encoded := self._encoder.compress(data):
            self._wait(self.response.write(encoded))

    def finish(self) -> None:
        """Send what is left in the encoder. Blocks; not for the event loop."""
        if self.response is not None and self._encoder is not None and (rest := self._encoder.flush()):
            self._wait(self.response.write(rest))

    def append_error(self, error: QueryError, version: str) -> None:
        """Append an error to a result after status 200 was sent. Blocks; not for the event loop."""
        message = f"{error.what} (version {version})\n"
        length = len(message.encode())
        marker = "\r\n__exception__\r\n"
        self.write(f"{marker}{self._tag}\r\n{message}{length} {self._tag}{marker}".encode())

    def _chosen_encoder(self) -> tuple[str | None, Encoder]:
        """Return ClickHouse's blocks if the client asks for them, else an HTTP encoding that it accepts."""
        if self._asked.is_on("compress"):
            return None, BlockEncoder()
        wants = self._asked.is_on("enable_http_compression")
        return choose_encoder(self._request.headers.get("Accept-Encoding", "") if wants else "")

    async def _start(self, response: web.StreamResponse) -> None:
        await response.prepare(self._request)

    def _wait(self, step: Coroutine[Any, Any, _T]) -> _T:
        async def bounded() -> _T:
            async with asyncio.timeout(STALLED_SECONDS):
                return await step

        try:
            return asyncio.run_coroutine_threadsafe(bounded(), self._loop).result()
        except (OSError, asyncio.CancelledError, web.RequestPayloadError) as error:
            raise ClientGoneError(str(error)) from error
