"""Claude through Anthropic's Messages API: one attempt a call, so that every attempt is audited."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from streams.core.address import is_http
from streams.core.errors import ConfigError, ModelError
from streams.core.process_fault import process_fault
from streams.models.providers.claude_answer import ClaudeAnswer
from streams.models.providers.claude_api_error import ApiError
from streams.models.providers.claude_bounds import body_of, is_success
from streams.models.providers.claude_errors import FOREIGN_ERRORS, translate
from streams.models.providers.claude_events import events_of
from streams.models.providers.claude_request import message_arguments, streamed
from streams.models.providers.protocol import ModelReply, ModelRequest

DEFAULT_BASE_URL = "https://api.anthropic.com"
_HEADERS: Final = {
    "anthropic-version": "2026-10-21",
    "content-type": "application/json",
    "accept": "application/json",
    "accept-encoding": "identity",  # a few compressed bytes can expand without limit
}

MOST_SECONDS_AFTER_END = 1.0
"""For a gateway that keeps a connection open after the message's last event."""


class _Key(str):
    """A key that no repr shows."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "[key]"


class ClaudeModel:
    """Claude's models as a LanguageModel. Retries nothing, and has a connection for each call in flight.

    Raises ConfigError for a malformed key or base URL.
    """

    def __init__(
        self,
        api_key: str,
        base_url: str | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._key = _Key(_checked_key(api_key))
        self._url = f"{_checked_url(base_url or DEFAULT_BASE_URL).rstrip('/')}/v1/messages"
        self._opened: aiohttp.ClientSession | None = None
        self._clock = clock
        self._now = now

    async def ask(self, request: ModelRequest, timeout: float) -> ModelReply:
        """Ask once, within `timeout` seconds in total.

        Raises ModelError, ConfigError for a wrong request, or ProcessError where this process cannot ask.
        """
        arguments = message_arguments(request)
        answer = ClaudeAnswer(self._clock)
        try:
            body = streamed(arguments)
            async with asyncio.timeout(timeout):
                await self._stream(body, answer)
            return answer.reply()
        except FOREIGN_ERRORS as error:
            began = answer.began or answer.has_output()
            problem = process_fault(error) or translate(error, answer.request_id, self._key, self._now(), began=began)
        # Raised out here, so that the foreign error, which may quote the key, is not chained and not logged.
        raise problem

    async def close(self) -> None:
        if self._opened is not None:
            await self._opened.close()

    def _session(self) -> aiohttp.ClientSession:
        """Return the session, opened with the first request because it belongs to that request's event loop."""
        if self._opened is None:
            self._opened = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={**_HEADERS, "authorization": f"Bearer {self._key}"},
                timeout=aiohttp.ClientTimeout(total=None),  # `ask` has one for the whole call
                auto_decompress=False,
                proxy=_proxy(self._url),
            )
        return self._opened

    async def _stream(self, body: bytes, answer: ClaudeAnswer) -> None:
        # A redirect would carry the prompt to another host, so none is followed.
        async with self._session().post(self._url, data=body, allow_redirects=False) as response:
            answer.request_id = response.headers.get("request-id")
            chunks = body_of(response)
            if not is_success(response):
                raise ApiError(response.status, response.headers, b"".join([chunk async for chunk in chunks]))
            async with contextlib.aclosing(events_of(chunks)) as events:
                await _take(events, answer, response)
                # The rest is read so that the connection can be used again, but the answer does not wait for it.
                with contextlib.suppress(*FOREIGN_ERRORS, ModelError):
                    async with asyncio.timeout(MOST_SECONDS_AFTER_END):
                        async for _ in events:
                            pass


async def _take(
    events: AsyncIterator[Mapping[str, Any]], answer: ClaudeAnswer, response: aiohttp.ClientResponse
) -> None:
    """Pass the events to the answer, up to the message's end."""
    async for event in events:
        if event["type"] == "error":
            raise ApiError(response.status, response.headers, event)
        answer.take(event)
        if answer.complete:
            return


def _checked_key(api_key: str) -> str:
    # Checked here because an HTTP library that meets such a key quotes it in its own error.
    if not api_key or not api_key.isascii() or not api_key.isprintable() or " " in api_key:
        what = "the Claude API key is empty or holds characters that no key has."
        raise ConfigError(what, "Set ANTHROPIC_API_KEY to the key alone, without spaces or line ends.")
    return api_key


def _checked_url(base_url: str) -> str:
    if not is_http(base_url):
        raise ConfigError("the Claude base URL is not an http(s) URL.", f"Write it like {DEFAULT_BASE_URL}.")
    return base_url


def _proxy(url: str) -> str | None:
    """Return the proxy that the environment names for an address."""
    parts, proxies = urlsplit(url), getproxies()
    return None if proxy_bypass(parts.hostname or "") else proxies.get(parts.scheme) or proxies.get("all")
