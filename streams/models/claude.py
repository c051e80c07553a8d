"""Claude through Anthropic's Messages API: one attempt a call, so that every attempt is audited."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import anthropic
import httpx2
from anthropic.types import MessageDeltaUsage, RawMessageStreamEvent, Usage

from streams.core.contract import MAX_REPLY, encodable
from streams.core.errors import ConfigError
from streams.models.claude_bounds import UNCOMPRESSED, bound
from streams.models.claude_errors import FOREIGN_ERRORS, failure, reply_too_large, translate
from streams.models.claude_schema import strict_schema
from streams.models.protocol import ModelReply, ModelRequest

DEFAULT_BASE_URL = "https://api.anthropic.com"

# What the caller may set. Left out on purpose: `service_tier`, `speed` and `inference_geo`, which change the
# price of a call without its token counts showing it, and tools, which a text reply cannot carry.
_TOP_LEVEL = frozenset({"thinking", "stop_sequences", "metadata"})
_OUTPUT_CONFIG = frozenset({"effort"})

MOST_TOKENS = 10**9
"""Of one kind in one call; a higher count is nonsense."""
LONGEST_NAME = 200
"""Characters of a model's name or a stop reason."""

_COUNTS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


class ClaudeModel:
    """Claude's models as a LanguageModel. Retries nothing; keeps at most `max_connections` connections open.

    Raises ConfigError for a key or a base URL that cannot be one.
    """

    def __init__(
        self,
        api_key: str,
        base_url: str | None = None,
        max_connections: int = 64,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client = anthropic.AsyncAnthropic(
            api_key=_checked_key(api_key),
            base_url=_checked_url(base_url or DEFAULT_BASE_URL),
            max_retries=0,
            # A redirect would carry the prompt to another host, so none is followed.
            http_client=anthropic.DefaultAsyncHttpxClient(
                limits=httpx2.Limits(max_connections=max_connections, max_keepalive_connections=max_connections),
                follow_redirects=False,
                headers=UNCOMPRESSED,
                event_hooks={"response": [bound]},
            ),
        )
        self._clock = clock
        self._now = now

    async def ask(self, request: ModelRequest, timeout: float) -> ModelReply:
        """Ask once, in `timeout` seconds over all. Raises ModelError, or ConfigError for a wrong request."""
        arguments = message_arguments(request)
        answer = _Answer(self._clock)
        try:
            async with asyncio.timeout(timeout):
                await self._stream(arguments, timeout, answer)
            return answer.reply()
        except FOREIGN_ERRORS as error:
            problem = translate(error, answer.request_id, self._client.api_key or "", self._now())
        # Raised out here, so that the foreign error, which may quote the key, is not chained and not logged.
        raise problem

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _stream(self, arguments: dict[str, Any], seconds: float, answer: _Answer) -> None:
        # Always streamed: it alone tells the time to the first token, and long answers outlive idle proxies.
        # Events are read raw, because the SDK's own accumulation builds a message that nobody needs.
        stream = await self._client.messages.create(**arguments, stream=True, timeout=seconds)
        async with stream:
            answer.request_id = stream.response.headers.get("request-id")
            async for event in stream:
                answer.take(event)


@dataclass
class _Answer:
    """What the events of one stream have said so far."""

    clock: Callable[[], float]
    request_id: str | None = None
    model: str | None = None
    text: list[str] = field(default_factory=list)
    size: int = 0
    stop_reason: str | None = None
    refusal: str | None = None
    complete: bool = False
    first_token_seconds: float | None = None
    counts: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.started = self.clock()

    def take(self, event: RawMessageStreamEvent) -> None:
        """Add one event; kinds that say nothing here are passed over. ValueError for a malformed one."""
        try:
            self._take(event)
        except (AttributeError, TypeError) as error:
            raise ValueError("malformed event") from error

    def _take(self, event: RawMessageStreamEvent) -> None:
        if event.type == "message_start":
            self.model = _name(event.message.model)
            self._count(event.message.usage)
        elif event.type == "content_block_delta":
            if self.first_token_seconds is None:
                self.first_token_seconds = self.clock() - self.started
            if event.delta.type == "text_delta":
                self._add(_text(event.delta.text))
        elif event.type == "message_delta":
            self.stop_reason = None if event.delta.stop_reason is None else _name(event.delta.stop_reason)
            if details := event.delta.stop_details:
                self.refusal = _text(details.explanation or details.category or "")
            self._count(event.usage)
        elif event.type == "message_stop":
            self.complete = True

    def _add(self, text: str) -> None:
        self.text.append(text)
        self.size += len(text)
        if self.size > MAX_REPLY:
            raise reply_too_large(f"{MAX_REPLY} characters", self.request_id)

    def _count(self, usage: Usage | MessageDeltaUsage) -> None:
        # Later counts are totals, so they replace earlier ones; one left out leaves the earlier one standing.
        for name in _COUNTS:
            if (value := getattr(usage, name, None)) is not None:
                self.counts[name] = _tokens(value)

    def reply(self) -> ModelReply:
        """The whole reply. Raises ModelError if the stream held none or broke off."""
        if self.model is None:
            raise failure("bad_reply", "Claude's reply holds no message.", self.request_id)
        if not self.complete or self.stop_reason is None:
            raise failure("unreachable", "Claude's stream broke off before its end.", self.request_id)
        uncached, output, read, written = (self.counts.get(name) for name in _COUNTS)
        return ModelReply(
            text="".join(self.text),
            model=self.model,
            stop_reason=self.stop_reason,
            input_tokens=None if uncached is None else uncached + (read or 0) + (written or 0),
            output_tokens=output,
            cache_read_tokens=read,
            cache_write_tokens=written,
            first_token_seconds=self.first_token_seconds,
            request_id=self.request_id,
            refusal=(self.refusal or "no explanation given") if self.stop_reason == "refusal" else None,
        )


# The SDK checks no types, so what it calls a text or a count may be anything that JSON can say.


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return encodable(value)


def _name(value: object) -> str:
    if len(name := _text(value)) > LONGEST_NAME:
        raise TypeError("no name")
    return name


def _tokens(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST_TOKENS:
        raise TypeError("no count of tokens")
    return value


def message_arguments(request: ModelRequest) -> dict[str, Any]:
    """The request as arguments of the Messages API. Raises ConfigError for what the API does not take."""
    if unknown := sorted(set(request.parameters) - _TOP_LEVEL - _OUTPUT_CONFIG):
        allowed = ", ".join(sorted(_TOP_LEVEL | _OUTPUT_CONFIG))
        what = f"not taken by Claude: {', '.join(unknown)}."
        raise ConfigError(what, f"Remove it; allowed are {allowed}.", "parameters")
    arguments: dict[str, Any] = {
        "model": request.model,
        "max_tokens": request.max_tokens,
        "messages": [{"role": "user", "content": request.prompt}],
    }
    if request.system:
        cached = {"type": "text", "text": request.system, "cache_control": {"type": "ephemeral"}}
        arguments["system"] = [cached]
    output = {name: value for name, value in request.parameters.items() if name in _OUTPUT_CONFIG}
    if request.schema is not None:
        output["format"] = {"type": "json_schema", "schema": strict_schema(request.schema)}
    if output:
        arguments["output_config"] = output
    return arguments | {name: value for name, value in request.parameters.items() if name in _TOP_LEVEL}


def _checked_key(api_key: str) -> str:
    # Checked here because an HTTP library that meets such a key quotes it in its own error.
    if not api_key or not api_key.isascii() or not api_key.isprintable() or " " in api_key:
        what = "the Claude API key is empty or holds characters that no key has."
        raise ConfigError(what, "Set ANTHROPIC_API_KEY to the key alone, without spaces or line ends.")
    return api_key


def _checked_url(base_url: str) -> str:
    if not base_url.startswith(("http://", "https://")):
        raise ConfigError("the Claude base URL is not an http(s) URL.", f"Write it like {DEFAULT_BASE_URL}.")
    return base_url
