"""Any server with OpenAI's Chat Completions API: one attempt a call, so that every attempt is audited."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import httpx2
import openai

from streams.core.address import is_http
from streams.core.errors import ConfigError, ModelError
from streams.core.process_fault import process_fault
from streams.models.providers.connections import Connections
from streams.models.providers.openai_answer import ChatAnswer
from streams.models.providers.openai_errors import FOREIGN_ERRORS, OPENAI, translate
from streams.models.providers.openai_events import chunks_of
from streams.models.providers.openai_request import chat_arguments
from streams.models.providers.protocol import ModelReply, ModelRequest
from streams.models.providers.response_bounds import MAX_STREAM, UNCOMPRESSED, bound
from streams.pipeline.dialects import CAPABILITIES, Capabilities, Dialect

DEFAULT_BASE_URL = "https://api.openai.com/v1"

MOST_SECONDS_AFTER_END = 1.0
"""For a server that keeps a connection open after the end."""
MOST_BYTES = 2 * MAX_STREAM
"""Of a response: a chunk with the log-probability of one token has some 500 bytes."""
_BODY = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
"""Encode a request's body with the settings of the SDK."""
_JSON = {"content-type": "application/json"}


class OpenAIModel:
    """The models of one server as a LanguageModel. Retries nothing, and has a connection for each call in flight.

    `headers` are sent with every request. Raises ConfigError for a malformed key or base URL.
    """

    def __init__(
        self,
        api_key: str,
        base_url: str | None = None,
        *,
        dialect: Dialect = "openai",
        capabilities: Capabilities | None = None,
        headers: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        connections = Connections()
        self._client = openai.AsyncOpenAI(
            api_key=_checked_key(api_key),
            base_url=_checked_url(base_url or DEFAULT_BASE_URL),
            max_retries=0,
            timeout=None,  # `ask` has one for the whole call
            default_headers=headers,
            http_client=openai.DefaultAioHttpClient(
                limits=httpx2.Limits(max_connections=0),  # none to aiohttp: a call in the queue would spend its timeout
                follow_redirects=False,  # a redirect would carry the prompt to another host
                headers=UNCOMPRESSED,
                event_hooks={
                    "request": [connections.before],
                    "response": [connections.after, partial(bound, api=OPENAI, most=MOST_BYTES)],
                },
            ),
        )
        if base_url is not None:  # another server has no business with the account's names in the environment
            self._client.organization = self._client.project = None
        base = self._client.base_url
        self._url = str(base.copy_with(raw_path=base.raw_path.rstrip(b"/") + b"/chat/completions"))
        self._dialect = dialect
        self._can = capabilities or CAPABILITIES[dialect]
        self._clock = clock
        self._now = now

    async def ask(self, request: ModelRequest, timeout: float) -> ModelReply:
        """Ask once, within `timeout` seconds in total.

        Raises ModelError, ConfigError for a wrong request, or ProcessError where this process cannot ask.
        """
        arguments = chat_arguments(request, self._dialect, self._can)
        answer = ChatAnswer(self._clock, waits_for_usage="stream_options" in arguments)
        try:
            async with asyncio.timeout(timeout):
                await self._stream(_BODY.encode(arguments).encode(), answer)
            return answer.reply()
        except FOREIGN_ERRORS as error:
            secrets, began = (self._client.api_key,), answer.began or answer.has_output()
            problem = process_fault(error) or translate(error, answer.request_id, secrets, self._now(), began=began)
        # Raised out here, so that the foreign error, which may quote the key, is not chained and not logged.
        raise problem

    async def close(self) -> None:
        await self._client.close()

    async def _stream(self, body: bytes, answer: ChatAnswer) -> None:
        # By `post`, because `chat.completions.create` takes five times the client's CPU time.
        made = await self._client.post(
            self._url,
            content=body,
            options={"headers": _JSON},
            cast_to=object,
            stream=True,
            stream_cls=openai.AsyncStream[object],
        )
        response = made.response
        async with contextlib.aclosing(response):
            answer.request_id = response.headers.get(OPENAI.id_header)
            async with contextlib.aclosing(chunks_of(response.aiter_raw())) as chunks:
                await _take(chunks, answer, response)
                # The rest is read so that the connection can be used again, but the answer does not wait for it.
                with contextlib.suppress(*FOREIGN_ERRORS, ModelError):
                    async with asyncio.timeout(MOST_SECONDS_AFTER_END):
                        async for _ in chunks:
                            pass


async def _take(chunks: AsyncIterator[Mapping[str, Any]], answer: ChatAnswer, response: httpx2.Response) -> None:
    """Pass the chunks to the answer, up to the end."""
    async for chunk in chunks:
        if (said := chunk.get("error")) or chunk.get("object") == "error":
            body = said or chunk
            raise openai.APIStatusError(f"{body}", response=response, body=body)
        answer.take(chunk)
        if answer.complete:
            return


def _checked_key(api_key: str) -> str:
    # Checked here because an HTTP library that meets such a key quotes it in its own error.
    if not api_key or not api_key.isascii() or not api_key.isprintable() or " " in api_key:
        what = "the API key is empty or holds characters that no key has."
        raise ConfigError(what, "Set the variable of api_key_env to the key alone, without spaces or line ends.")
    return api_key


def _checked_url(base_url: str) -> str:
    if not is_http(base_url):
        raise ConfigError("the base URL is not an http(s) URL.", f"Write it like {DEFAULT_BASE_URL}.", "base_url")
    return base_url
