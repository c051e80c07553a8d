"""Any server with OpenAI's Chat Completions API: one attempt a call, so that every attempt is audited."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import httpx2
import openai

from streams.core.process_fault import process_fault
from streams.models.providers.openai_answer import ChatAnswer
from streams.models.providers.openai_errors import FOREIGN_ERRORS, OPENAI, translate
from streams.models.providers.openai_events import chunks_of
from streams.models.providers.openai_request import chat_arguments
from streams.models.providers.protocol import ModelReply, ModelRequest
from streams.models.providers.response_bounds import MAX_STREAM
from streams.models.providers.sdk_client import checked_key, checked_url, encoded, options_of, read_events
from streams.pipeline.dialects import CAPABILITIES, Capabilities, Dialect

DEFAULT_BASE_URL = "https://api.openai.com/v1"

MOST_BYTES = 2 * MAX_STREAM
"""Of a response: a chunk with the log-probability of one token has some 500 bytes."""
_WHOSE = "server's"
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
        self._client = openai.AsyncOpenAI(
            api_key=checked_key(api_key, "the variable of api_key_env", _WHOSE),
            base_url=checked_url(base_url or DEFAULT_BASE_URL, _WHOSE, DEFAULT_BASE_URL),
            default_headers=headers,
            **options_of(OPENAI, openai.DefaultAioHttpClient, MOST_BYTES),
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
                await self._stream(encoded(arguments), answer)
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
            await read_events(chunks_of(response.aiter_raw()), partial(_taken, answer, response), FOREIGN_ERRORS)


def _taken(answer: ChatAnswer, response: httpx2.Response, chunk: Mapping[str, Any]) -> bool:
    """Pass a chunk to the answer; return whether it was the last."""
    if (said := chunk.get("error")) or chunk.get("object") == "error":
        body = said or chunk
        raise openai.APIStatusError(f"{body}", response=response, body=body)
    answer.take(chunk)
    return answer.complete
