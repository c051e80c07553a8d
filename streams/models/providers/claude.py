"""Claude through Anthropic's Messages API: one attempt a call, so that every attempt is audited."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import anthropic
import httpx2

from streams.core.errors import ModelError
from streams.core.process_fault import process_fault
from streams.models.providers.claude_answer import ClaudeAnswer
from streams.models.providers.claude_errors import CLAUDE, FOREIGN_ERRORS
from streams.models.providers.claude_events import events_of
from streams.models.providers.claude_request import message_arguments
from streams.models.providers.failures import Api, translated
from streams.models.providers.protocol import ModelReply, ModelRequest
from streams.models.providers.sdk_client import checked_key, checked_url, encoded, options_of, read_events

DEFAULT_BASE_URL = "https://api.anthropic.com"

STREAM = anthropic.AsyncStream[object]
Client = anthropic.AsyncAnthropic | anthropic.AsyncAnthropicBedrock | anthropic.AsyncAnthropicVertex
_SECRET_HEADERS = ("authorization", "x-api-key", "api-key", "x-amz-security-token")


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
        client = anthropic.AsyncAnthropic(
            api_key=checked_key(api_key, "ANTHROPIC_API_KEY"),
            base_url=checked_url(base_url or DEFAULT_BASE_URL),
            **client_options(CLAUDE),
        )
        self._url = str(client.base_url.copy_with(raw_path=client.base_url.raw_path + b"v1/messages"))
        self._use(client, CLAUDE, clock, now)

    def _use(self, client: Client, api: Api, clock: Callable[[], float], now: Callable[[], datetime]) -> None:
        self._client = client
        self._api = api
        self._clock = clock
        self._now = now

    @property
    def address(self) -> str:
        """The address of its requests, without the API's path."""
        return str(self._client.base_url)

    async def ask(self, request: ModelRequest, timeout: float) -> ModelReply:
        """Ask once, within `timeout` seconds in total.

        Raises ModelError, ConfigError for a wrong request, or ProcessError where this process cannot ask.
        """
        arguments = message_arguments(request)
        answer = ClaudeAnswer(self._clock)
        try:
            async with asyncio.timeout(timeout):
                await self._stream({**arguments, "stream": True}, answer)
            return answer.reply()
        except FOREIGN_ERRORS as error:
            problem = process_fault(error) or self._translated(error, answer)
        # Raised out here, so that the foreign error, which may quote the key, is not chained and not logged.
        raise problem

    async def close(self) -> None:
        await self._client.close()

    def _translated(self, error: Exception, answer: ClaudeAnswer) -> ModelError:
        secrets = (getattr(self._client, "api_key", None) or "", *_sent_secrets(error))
        began = answer.began or answer.has_output()
        problem = translated(self._api, error, answer.request_id, secrets, self._now(), began=began)
        if problem.request_id is None and isinstance(error, anthropic.APIStatusError):
            problem.request_id = error.response.headers.get(self._api.id_header)
        return problem

    async def _post(self, body: Mapping[str, Any]) -> httpx2.Response:
        # By `post`, because `messages.create` copies the body and parses the URL: a third of the client's CPU time.
        content = encoded(body)
        made = await self._client.post(self._url, content=content, cast_to=object, stream=True, stream_cls=STREAM)
        return made.response

    def _events(self, response: httpx2.Response) -> AsyncGenerator[Mapping[str, Any]]:
        return events_of(response.aiter_raw())

    async def _stream(self, body: Mapping[str, Any], answer: ClaudeAnswer) -> None:
        # Always streamed: only a stream shows the time to the first token, and long answers outlive idle proxies.
        response = await self._post(body)
        async with contextlib.aclosing(response):
            answer.request_id = response.headers.get(self._api.id_header)
            await read_events(self._events(response), partial(_taken, answer, response), FOREIGN_ERRORS)


def _taken(answer: ClaudeAnswer, response: httpx2.Response, event: Mapping[str, Any]) -> bool:
    """Pass an event to the answer; return whether it was the message's last."""
    if event["type"] == "error":
        raise anthropic.APIStatusError(f"{dict(event)}", response=response, body=event)
    answer.take(event)
    return answer.complete


def _sent_secrets(error: Exception) -> Iterator[str]:
    """Yield what an error's request logged in with: the servers of clouds quote the headers that they were sent."""
    for request in (error.request,) if isinstance(error, anthropic.APIError) else ():
        for name in _SECRET_HEADERS:
            value = request.headers.get(name, "")
            yield from (value, value.rpartition(" ")[2])


def client_options(api: Api) -> dict[str, Any]:
    """Return the options of any of the SDK's clients."""
    return options_of(api, anthropic.DefaultAioHttpClient)
