"""Limits on the size of Claude's response, because an error's body and each event of a stream are held in memory."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import aiohttp

from streams.core.reply_contract import MAX_REPLY
from streams.models.providers.claude_errors import failure, reply_too_large

MAX_STREAM = 64 * MAX_REPLY
"""Bytes. An event with one token of text has some 120 bytes around it, and thinking comes in addition to the text."""
MAX_ERROR_BODY = 64 * 1024
"""Bytes of an error's body that are read; the message is at its beginning."""


def is_success(response: aiohttp.ClientResponse) -> bool:
    """True if the status promises a reply; a redirect does not."""
    return 200 <= response.status < 300


async def body_of(response: aiohttp.ClientResponse) -> AsyncGenerator[bytes]:
    """Yield a response's body, never decompressed: the beginning of an error, or all of a reply.

    Raises ModelError for a reply that is too large or compressed.
    """
    request_id, success = response.headers.get("request-id"), is_success(response)
    if response.headers.get("content-encoding", "").strip().lower() not in ("", "identity"):
        if success:
            raise failure("bad_reply", "Claude's reply came compressed, which was not asked for.", request_id)
        return  # the status says enough
    room = MAX_STREAM if success else MAX_ERROR_BODY
    async for chunk in response.content.iter_any():
        yield chunk[:room]
        room -= len(chunk)
        if room < 0:
            break
    if room < 0 and success:
        raise reply_too_large(f"{MAX_STREAM} bytes", request_id)
