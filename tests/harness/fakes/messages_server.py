"""A fake of Anthropic's Messages API: real HTTP on 127.0.0.1, with any failure that a test asks for.

    async with MessagesServer() as server:
        server.script(Failure(529), DropStream())
        ...  # two requests fail, the next ones are answered
        assert server.requests[0].body["model"] == "claude-haiku-4-5"

A request takes the next scripted outcome; when none is left, `answer` makes one from the request's body. It
may return an outcome, a text, or a mapping that becomes JSON; the default one follows the request's schema.

As a program (`python -m tests.harness.fakes.messages_server --port P`) it prints its address and serves until it is
stopped; GET /_requests then returns the requests.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Self

from aiohttp import web

from tests.harness.fakes.books import Billed
from tests.harness.fakes.messages_images import input_tokens, tokens
from tests.harness.fakes.messages_outcomes import (
    Answer,
    AnswerFunction,
    DropConnection,
    DropStream,
    Failure,
    Outcome,
    Raw,
    Slow,
    StreamError,
    answer_by_schema,
    refusal,
)
from tests.harness.fakes.messages_wire import error, events, sse, wrong_with

__all__ = [
    "Answer",
    "AnswerFunction",
    "DropConnection",
    "DropStream",
    "Failure",
    "MessagesServer",
    "Outcome",
    "Raw",
    "Received",
    "Slow",
    "StreamError",
    "answer_by_schema",
    "refusal",
]


@dataclass(frozen=True)
class Received:
    """One request as it came."""

    body: Mapping[str, Any]
    headers: Mapping[str, str]


class MessagesServer:
    """The server; `url` is its address once it has started, `requests` keeps the last 10,000 of `count`.

    `books` says what each answered request is billed. A fake of another API overrides what is on the wire.
    """

    path = "/v1/messages"
    id_header = "request-id"
    stream_type = "text/event-stream"

    def __init__(self, answer: AnswerFunction = answer_by_schema, port: int = 0) -> None:
        self.answer = answer
        self.requests: deque[Received] = deque(maxlen=10_000)
        self.books: list[Billed] = []
        self.count = 0
        self.url = ""
        self._port = port
        self._script: deque[Outcome] = deque()
        self._ids = count(1)
        self._cached: set[tuple[str, str]] = set()
        self._stopping = asyncio.Event()

    def script(self, *outcomes: Outcome) -> None:
        """Line up what the next requests get, one each."""
        self._script.extend(outcomes)

    async def start(self) -> None:
        """Listen; from here on `url` holds the address."""
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_post(self.path, self._messages)
        app.router.add_get("/_requests", self._asked)
        self._add_routes(app)
        self._runner = web.AppRunner(app, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    def _add_routes(self, app: web.Application) -> None:
        """Add what a fake of more than this API serves."""

    async def stop(self) -> None:
        """Cut short what is slow and stop listening."""
        self._stopping.set()
        await self._runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _as_sent_to_anthropic(self, _: web.Request, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """The body as Anthropic's own API would get it."""
        return body

    async def _asked(self, _: web.Request) -> web.Response:
        return web.json_response({"count": self.count, "bodies": [dict(one.body) for one in self.requests]})

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        body = self._as_sent_to_anthropic(request, await request.json())
        self.count += 1
        self.requests.append(Received(body, {name.lower(): value for name, value in request.headers.items()}))
        request_id = f"req_{next(self._ids):06d}"
        if wrong := self._wrong_with(request.headers, body):
            return self._error(wrong, request_id)
        outcome = self._script.popleft() if self._script else self._made(body)
        if isinstance(outcome, Slow):
            await self._wait(outcome.seconds)
            outcome = outcome.then or self._made(body)
        return await self._perform(request, body, outcome, request_id)

    def _made(self, body: Mapping[str, Any]) -> Outcome:
        made = self.answer(body)
        if isinstance(made, str):
            return Answer(made)
        return Answer(json.dumps(made)) if isinstance(made, Mapping) else made

    async def _wait(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return

    async def _perform(
        self, request: web.Request, body: Mapping[str, Any], outcome: Outcome, request_id: str
    ) -> web.StreamResponse:
        match outcome:
            case Failure():
                return self._error(outcome, request_id)
            case Raw():
                headers = {"content-type": outcome.content_type, self.id_header: request_id, **outcome.headers}
                return web.Response(body=outcome.body, status=outcome.status, headers=headers)
            case DropConnection():
                _hang_up(request)
                return web.Response()
            case Answer() if not body.get("stream"):
                message = self._message(body, outcome, request_id)
                return web.json_response(message, headers={self.id_header: request_id})
        answer = outcome if isinstance(outcome, Answer) else self._by_schema(body)
        stream = self._events(body, self._message(body, answer, request_id), answer)
        return await self._send_events(request, outcome, stream, request_id)

    def _by_schema(self, body: Mapping[str, Any]) -> Answer:
        return answer_by_schema(body)

    def _wrong_with(self, headers: Mapping[str, str], body: Mapping[str, Any]) -> Failure | None:
        return wrong_with(headers, body)

    def _error(self, failure: Failure, request_id: str) -> web.Response:
        return error(failure, request_id)

    def _events(self, _: Mapping[str, Any], message: Mapping[str, Any], answer: Answer) -> list[bytes]:
        return [sse(one) for one in events(message, answer.piece)]

    def _failed(self, error_type: str, request_id: str) -> bytes:
        """An error in the middle of a stream."""
        details = {"type": error_type, "message": "scripted failure"}
        return sse({"type": "error", "error": details, "request_id": request_id})

    async def _send_events(
        self, request: web.Request, outcome: Outcome, stream: Sequence[bytes], request_id: str
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": self.stream_type, self.id_header: request_id})
        await response.prepare(request)
        last = outcome.events if isinstance(outcome, DropStream | StreamError) else len(stream)
        for event in stream[:last]:
            if isinstance(outcome, Answer) and outcome.pause:
                await self._wait(outcome.pause)
            await response.write(event)
        if isinstance(outcome, Answer) and outcome.hold:
            await self._wait(outcome.hold)
        if isinstance(outcome, StreamError):
            await response.write(self._failed(outcome.error_type, request_id))
        if isinstance(outcome, DropStream) and not outcome.politely:
            _hang_up(request)
            return response
        await response.write_eof()
        return response

    def _message(self, body: Mapping[str, Any], answer: Answer, request_id: str) -> dict[str, Any]:
        blocks = [{"type": "thinking", "thinking": answer.thinking, "signature": "sig"}] if answer.thinking else []
        usage = self._usage(body, answer)
        self.books.append(_entry(body["model"], usage, answer))
        return {
            "id": request_id.replace("req", "msg"),
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": [*blocks, {"type": "text", "text": answer.text}],
            "stop_reason": answer.stop_reason,
            "stop_sequence": None,
            "stop_details": answer.stop_details,
            "usage": usage,
        }

    def _usage(self, body: Mapping[str, Any], answer: Answer) -> dict[str, Any]:
        read, written = self._cache(body)
        made_up = {
            "input_tokens": input_tokens(body["messages"]),
            "cache_creation_input_tokens": written,
            "cache_read_input_tokens": read,
            "output_tokens": tokens(answer.text + answer.thinking),
        }
        asked = {
            "input_tokens": answer.input_tokens,
            "cache_creation_input_tokens": answer.cache_write_tokens,
            "cache_read_input_tokens": answer.cache_read_tokens,
            "output_tokens": answer.output_tokens,
        }
        details = {"output_tokens_details": {"thinking_tokens": tokens(answer.thinking)}} if answer.thinking else {}
        return made_up | {name: value for name, value in asked.items() if value is not None} | details

    def _cache(self, body: Mapping[str, Any]) -> tuple[int, int]:
        """Tokens read from and written to the prompt cache, which keeps the marked system prompts."""
        blocks = body.get("system") or []
        text = "".join(block["text"] for block in blocks if "cache_control" in block)
        if not text:
            return 0, 0
        seen = (body["model"], text) in self._cached
        if len(self._cached) < 1_000:
            self._cached.add((body["model"], text))
        return (tokens(text), 0) if seen else (0, tokens(text))


def _entry(model: str, usage: Mapping[str, Any], answer: Answer) -> Billed:
    """The entry of a message in the books: a refusal before any output is counted and not charged."""
    return Billed(
        model=model,
        input_tokens=usage["input_tokens"],
        cache_read_tokens=usage["cache_read_input_tokens"],
        cache_write_tokens=usage["cache_creation_input_tokens"],
        output_tokens=usage["output_tokens"],
        thinking_tokens=tokens(answer.thinking),
        free=answer.stop_reason == "refusal" and not answer.text and not answer.thinking,
    )


def _hang_up(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


async def serve(server: MessagesServer) -> None:
    """Print the server's address and serve until SIGINT or SIGTERM."""
    await server.start()
    sys.stdout.write(f"{server.url}\n")
    sys.stdout.flush()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()
    await server.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A fake of Anthropic's Messages API on 127.0.0.1.")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 takes a free one")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    arguments = parser.parse_args()
    slow: AnswerFunction = lambda body: Slow(arguments.latency, answer_by_schema(body))  # noqa: E731
    asyncio.run(serve(MessagesServer(slow, arguments.port)))
