"""Limits on the size of a provider's response: an SDK holds an error's body, and each event of a stream, in memory."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

import httpx2

from streams.core.reply_contract import MAX_REPLY
from streams.models.providers.failures import Api, failure, reply_too_large

MAX_STREAM = 64 * MAX_REPLY
"""Bytes. An event with one token of text has some 120 bytes around it, and thinking comes in addition to the text."""
MAX_ERROR_BODY = 64 * 1024
"""Bytes of an error's body that are read; the message is at its beginning."""
UNCOMPRESSED = {"accept-encoding": "identity"}
"""Sent with every request, because a few compressed bytes can expand without limit."""


async def bound(response: httpx2.Response, api: Api, most: int = MAX_STREAM) -> None:
    """Limit the size of a response, and never decompress it. `most` is in bytes.

    The HTTP client calls this before it reads the body.
    """
    encoding = response.headers.pop("content-encoding", "").strip().lower()
    assert isinstance(response.stream, httpx2.AsyncByteStream)  # noqa: S101 - the client is asynchronous
    response.stream = _Bounded(
        response.stream,
        compressed=encoding not in ("", "identity"),
        is_error=not response.is_success,
        api=api,
        most=most,
        request_id=response.headers.get(api.id_header),
    )


class _Bounded(httpx2.AsyncByteStream):
    """A response body: the beginning of an error, all of a reply, or ModelError for one that is too large."""

    def __init__(
        self,
        body: httpx2.AsyncByteStream,
        *,
        compressed: bool,
        is_error: bool,
        api: Api,
        most: int,
        request_id: str | None,
    ) -> None:
        self._body = body
        self._api = api
        self._most = most
        self._compressed = compressed
        self._is_error = is_error
        self._request_id = request_id

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._compressed and not self._is_error:
            what = f"{self._api.name}'s reply came compressed, which was not asked for."
            raise failure("bad_reply", what, self._request_id)
        if self._compressed:  # the status says enough
            return
        room = MAX_ERROR_BODY if self._is_error else self._most
        chunks = self._body.__aiter__()
        try:
            async for chunk in chunks:
                yield chunk[:room]
                room -= len(chunk)
                if room < 0:
                    break
        finally:
            if isinstance(chunks, AsyncGenerator):
                await chunks.aclose()
        if room < 0 and not self._is_error:
            raise reply_too_large(self._api.name, f"{self._most} bytes", self._request_id)

    async def aclose(self) -> None:
        await self._body.aclose()
