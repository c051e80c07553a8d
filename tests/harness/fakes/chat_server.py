"""A fake of OpenAI's Chat Completions API: real HTTP on 127.0.0.1, scripted as the fake Messages API is.

    async with ChatServer() as server:
        server.script(Failure(503), DropStream())
        ...
        assert server.books[0].output_tokens == 7

It takes the same outcomes, in the words of the Messages API, so that one test can ask several providers. A refusal
fills the field `refusal`; `content_filter` is passed on as it is. The system prompt is cached without being asked for;
what is written to the cache is billed apart only where an answer says so.
`python -m tests.harness.fakes.chat_server --port P` serves.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from tests.harness.fakes import chat_wire
from tests.harness.fakes.books import Billed
from tests.harness.fakes.chat_images import input_tokens
from tests.harness.fakes.messages_outcomes import Answer, AnswerFunction, Failure, example_of
from tests.harness.fakes.messages_server import MessagesServer, serve
from tests.harness.fakes.messages_wire import tokens


def chat_answer_by_schema(body: Mapping[str, Any]) -> Answer:
    """A smallest answer that follows the request's schema, or a plain sentence when there is none."""
    form = body.get("response_format") or {}
    if form.get("type") != "json_schema":
        return Answer("This is the fake Chat Completions server.")
    schema = form["json_schema"]["schema"]
    return Answer(json.dumps(example_of(schema, schema)))


class ChatServer(MessagesServer):
    """The server; its `url` ends in /v1, as an OpenAI client's base URL does."""

    path = "/v1/chat/completions"
    id_header = "x-request-id"

    def __init__(self, answer: AnswerFunction = chat_answer_by_schema, port: int = 0) -> None:
        super().__init__(answer, port)

    async def start(self) -> None:
        """Listen; from here on `url` holds the address."""
        await super().start()
        self.url += "/v1"

    def _by_schema(self, body: Mapping[str, Any]) -> Answer:
        return chat_answer_by_schema(body)

    def _wrong_with(self, headers: Mapping[str, str], body: Mapping[str, Any]) -> Failure | None:
        return chat_wire.wrong_with(headers, body)

    def _error(self, failure: Failure, request_id: str) -> web.Response:
        return chat_wire.error(failure, request_id)

    def _events(self, body: Mapping[str, Any], message: Mapping[str, Any], answer: Answer) -> list[bytes]:
        return chat_wire.chunks(body, message, answer)

    def _failed(self, error_type: str, _: str) -> bytes:
        return chat_wire.sse(chat_wire.error_body(500, "scripted failure", error_type))

    def _message(self, body: Mapping[str, Any], answer: Answer, request_id: str) -> dict[str, Any]:
        refused = answer.stop_reason == "refusal"
        said = (answer.stop_details or {}).get("explanation") or (answer.stop_details or {}).get("category")
        message: dict[str, Any] = {"role": "assistant", "content": answer.text or None, "refusal": None}
        if refused:
            message["refusal"] = said or "I cannot help with that."
        if answer.thinking:
            message["reasoning_content"] = answer.thinking
        finish = chat_wire.FINISH_REASONS.get(answer.stop_reason, answer.stop_reason)
        logprobs = {"content": [chat_wire.token(answer.text)], "refusal": None} if body.get("logprobs") else None
        return {
            "id": request_id.replace("req_", "chatcmpl-"),
            "object": "chat.completion",
            "created": 1_795_000_000,
            "model": body["model"],
            "choices": [{"index": 0, "message": message, "logprobs": logprobs, "finish_reason": finish}],
            "usage": self._usage(body, answer),
            "service_tier": "default",
            "system_fingerprint": "fp_0",
        }

    def _usage(self, body: Mapping[str, Any], answer: Answer) -> dict[str, Any]:
        entry = self._entry(body, answer)
        self.books.append(entry)
        prompt = entry.input_tokens + entry.cache_read_tokens + entry.cache_write_tokens
        read = {"cached_tokens": entry.cache_read_tokens, "audio_tokens": 0}
        if answer.cache_write_tokens is not None:  # models that bill no writes do not count them
            read["cache_write_tokens"] = entry.cache_write_tokens
        return {
            "prompt_tokens": prompt,
            "completion_tokens": entry.output_tokens,
            "total_tokens": prompt + entry.output_tokens,
            "prompt_tokens_details": read,
            "completion_tokens_details": {"reasoning_tokens": entry.thinking_tokens, "audio_tokens": 0},
        }

    def _entry(self, body: Mapping[str, Any], answer: Answer) -> Billed:
        system = [one for one in body["messages"] if one["role"] in ("system", "developer")]
        rest = [one for one in body["messages"] if one not in system]
        text = "".join(one["content"] for one in system)
        seen = (body["model"], text) in self._cached
        if len(self._cached) < 1_000:
            self._cached.add((body["model"], text))
        said = answer.text + ((answer.stop_details or {}).get("explanation") or "")
        fresh = input_tokens(rest) + (0 if seen else tokens(text))
        return Billed(
            model=body["model"],
            input_tokens=fresh if answer.input_tokens is None else answer.input_tokens,
            cache_read_tokens=tokens(text) * seen if answer.cache_read_tokens is None else answer.cache_read_tokens,
            cache_write_tokens=answer.cache_write_tokens or 0,
            output_tokens=tokens(said + answer.thinking) if answer.output_tokens is None else answer.output_tokens,
            thinking_tokens=tokens(answer.thinking),
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A fake of OpenAI's Chat Completions API on 127.0.0.1.")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 takes a free one")
    arguments = parser.parse_args()
    asyncio.run(serve(ChatServer(port=arguments.port)))
