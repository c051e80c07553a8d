"""The Claude provider through the SDK, over HTTP, against the fake Messages server."""

from __future__ import annotations

import copy
import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from itertools import count
from types import MappingProxyType
from typing import Any

import jsonschema
import pytest

from streams.core.errors import ConfigError, ModelError
from streams.core.reply_contract import MAX_REPLY
from streams.models.providers.claude import ClaudeModel
from streams.models.providers.claude_schema import strict_schema
from streams.models.providers.protocol import LanguageModel, ModelReply, ModelRequest
from streams.models.providers.response_bounds import MAX_STREAM
from tests.harness.fakes.messages_server import (
    Answer,
    Failure,
    MessagesServer,
    Raw,
    StreamError,
    refusal,
)
from tests.harness.fakes.messages_wire import sse

KEY = "sk-ant-planted-0123456789"
NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
ORDER = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "sku": {"type": "string", "pattern": "^[A-Z]+$"},
        "quantity": {"type": "integer", "minimum": 1},
        "note": {"type": ["string", "null"], "description": "what else was asked"},
        "lines": {"type": "array", "items": {"type": "object", "properties": {"type": {"enum": ["a", "b"]}}}},
    },
    "required": ["sku", "quantity"],
}


def ask_for(prompt: str = "Where is my order?", **changes: Any) -> ModelRequest:
    fields: dict[str, Any] = {"model": "claude-haiku-4-5", "system": "Be brief.", "max_tokens": 100}
    return ModelRequest(prompt=prompt, **{**fields, **changes})


@pytest.fixture
async def server() -> AsyncIterator[MessagesServer]:
    async with MessagesServer() as running:
        yield running


@pytest.fixture
async def model(server: MessagesServer) -> AsyncIterator[LanguageModel]:
    ticks = count()
    claude = ClaudeModel(KEY, server.url, clock=lambda: float(next(ticks)), now=lambda: NOW)
    yield claude
    await claude.close()


def streamed(
    model: Any = "m", text: Any = "hi", stop_reason: Any = "end_turn", stop_details: Any = None, output_tokens: Any = 1
) -> bytes:
    """A whole answer in its wire form."""
    end = {"stop_reason": stop_reason, "stop_details": stop_details}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {"model": model, "usage": {"input_tokens": 3}}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}},
        {"type": "message_delta", "delta": end, "usage": {"output_tokens": output_tokens}},
        {"type": "message_stop"},
    ]
    return b"".join(sse(event) for event in events)


async def failure_of(model: LanguageModel, request: ModelRequest | None = None, seconds: float = 5) -> ModelError:
    with pytest.raises(ModelError) as caught:
        await model.ask(request or ask_for(), seconds)
    return caught.value


async def test_a_text_answer_comes_back_whole_with_its_counts(model: LanguageModel, server: MessagesServer) -> None:
    server.script(Answer("It left today. " * 9, input_tokens=7, output_tokens=40, cache_write_tokens=0))
    reply = await model.ask(ask_for(), timeout=5)
    assert reply == ModelReply(
        text="It left today. " * 9,
        model="claude-haiku-4-5",
        stop_reason="end_turn",
        input_tokens=7,
        output_tokens=40,
        cache_read_tokens=0,
        cache_write_tokens=0,
        first_token_seconds=1.0,
        request_id="req_000001",
        response_id="msg_000001",
    )


async def test_the_request_carries_the_prompt_and_a_cached_system_prompt(
    model: LanguageModel, server: MessagesServer
) -> None:
    await model.ask(ask_for("Hello", max_tokens=33), timeout=5)
    sent = server.requests[0]
    assert sent.headers["authorization"] == f"Bearer {KEY}"
    assert sent.body == {
        "model": "claude-haiku-4-5",
        "max_tokens": 33,
        "stream": True,
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        "messages": [{"role": "user", "content": "Hello"}],
    }


async def test_an_empty_system_prompt_is_left_out(model: LanguageModel, server: MessagesServer) -> None:
    await model.ask(ask_for(system=""), timeout=5)
    assert "system" not in server.requests[0].body


async def test_input_tokens_are_the_total_with_the_cached_ones(model: LanguageModel, server: MessagesServer) -> None:
    server.script(Answer("a", input_tokens=5), Answer("b", input_tokens=5))
    first = await model.ask(ask_for(system="x" * 400), timeout=5)
    second = await model.ask(ask_for(system="x" * 400), timeout=5)
    assert (first.input_tokens, first.cache_read_tokens, first.cache_write_tokens) == (105, 0, 100)
    assert (second.input_tokens, second.cache_read_tokens, second.cache_write_tokens) == (105, 100, 0)


async def test_a_structured_answer_follows_the_schema_and_the_schema_is_not_changed(
    model: LanguageModel, server: MessagesServer
) -> None:
    before = copy.deepcopy(ORDER)
    reply = await model.ask(ask_for(schema=MappingProxyType(ORDER)), timeout=5)
    jsonschema.validate(json.loads(reply.text), {**ORDER, "properties": {"quantity": {"type": "integer"}}})
    sent = server.requests[0].body["output_config"]["format"]
    assert sent["type"] == "json_schema"
    assert sent["schema"]["additionalProperties"] is False
    assert sent["schema"]["properties"]["lines"]["items"]["additionalProperties"] is False
    assert sent["schema"]["properties"]["note"]["anyOf"] == [{"type": "string"}, {"type": "null"}]
    assert "$schema" not in json.dumps(sent)
    assert before == ORDER


async def test_the_answer_may_depend_on_the_request() -> None:
    def shout(body: Mapping[str, Any]) -> dict[str, str]:
        return {"said": body["messages"][0]["content"].upper()}

    async with MessagesServer(answer=shout) as server:
        model = ClaudeModel(KEY, server.url)
        reply = await model.ask(ask_for("hello"), timeout=5)
        await model.close()
    assert json.loads(reply.text) == {"said": "HELLO"}


async def test_thinking_is_the_first_token_but_no_part_of_the_text(
    model: LanguageModel, server: MessagesServer
) -> None:
    server.script(Answer("42", thinking="let me see"))
    parameters = {"thinking": {"type": "adaptive"}, "effort": "low", "stop_sequences": ["END"]}
    reply = await model.ask(ask_for(parameters=parameters, schema={"type": "integer"}), timeout=5)
    assert (reply.text, reply.first_token_seconds) == ("42", 1.0)
    sent = server.requests[0].body
    assert sent["thinking"] == {"type": "adaptive"}
    assert sent["stop_sequences"] == ["END"]
    assert sent["output_config"]["effort"] == "low"
    assert sent["output_config"]["format"]["schema"] == {"type": "integer"}


@pytest.mark.parametrize("stop_reason", ["max_tokens", "stop_sequence", "a reason of next year"])
async def test_the_stop_reason_is_passed_on(model: LanguageModel, server: MessagesServer, stop_reason: str) -> None:
    server.script(Answer("cut", stop_reason=stop_reason))
    reply = await model.ask(ask_for(), timeout=5)
    assert (reply.stop_reason, reply.refusal) == (stop_reason, None)


@pytest.mark.parametrize(
    ("explanation", "category", "expected"),
    [
        ("That could do harm.", "cyber", "That could do harm."),
        (None, "bio", "bio"),
        (None, None, "no explanation given"),
    ],
)
async def test_a_refusal_is_a_value_with_the_providers_words(
    model: LanguageModel,
    server: MessagesServer,
    explanation: str | None,
    category: str | None,
    expected: str,
) -> None:
    server.script(refusal(explanation, category, text="I was going to"))
    reply = await model.ask(ask_for(), timeout=5)
    assert (reply.stop_reason, reply.refusal, reply.text) == ("refusal", expected, "I was going to")


@pytest.mark.parametrize(
    ("status", "error_type", "retryable"),
    [
        (400, "bad_request", False),
        (401, "unauthorized", False),
        (403, "unauthorized", False),
        (404, "not_found", False),
        (413, "too_large", False),
        (418, "bad_request", False),
        (429, "rate_limited", True),
        (500, "server_error", True),
        (503, "server_error", True),
        (529, "overloaded", True),
    ],
)
async def test_an_error_status_is_asked_once_and_becomes_a_model_error(
    model: LanguageModel, server: MessagesServer, status: int, error_type: str, retryable: bool
) -> None:
    server.script(Failure(status, "what went wrong"))
    error = await failure_of(model)
    assert (error.error_type, error.retryable, error.retry_after) == (error_type, retryable, None)
    assert error.request_id == "req_000001"
    assert "what went wrong" in error.what
    assert error.remedy
    assert server.count == 1


@pytest.mark.parametrize(
    ("said", "error_type", "retryable"),
    [
        ("overloaded_error", "overloaded", True),
        ("rate_limit_error", "rate_limited", True),
        ("invalid_request_error", "bad_request", False),
        ("an error of next year", "server_error", True),
    ],
)
async def test_an_error_inside_the_stream_keeps_its_own_type(
    model: LanguageModel, server: MessagesServer, said: str, error_type: str, retryable: bool
) -> None:
    server.script(StreamError(said))
    error = await failure_of(model)
    assert (error.error_type, error.retryable, error.request_id) == (error_type, retryable, "req_000001")


@pytest.mark.parametrize(
    "changes",
    [
        {"model": {}},
        {"model": "m" * 201},
        {"text": 7},
        {"text": ["a"]},
        {"stop_reason": []},
        {"stop_details": 7},
        {"stop_details": {"explanation": 7}},
        {"output_tokens": 10**23},
        {"output_tokens": -1},
        {"output_tokens": "many"},
        {"output_tokens": []},
    ],
)
async def test_a_reply_whose_parts_are_of_no_such_kind_is_a_bad_reply(
    model: LanguageModel, server: MessagesServer, changes: dict[str, Any]
) -> None:
    server.script(Raw(streamed(**changes)))
    error = await failure_of(model)
    assert (error.error_type, error.retryable) == ("bad_reply", True)


async def test_half_a_surrogate_pair_is_a_question_mark_in_any_place(
    model: LanguageModel, server: MessagesServer
) -> None:
    half = "\ud800"
    server.script(Raw(streamed(model=half, text=half, stop_reason=half, stop_details={"explanation": half})))
    reply = await model.ask(ask_for(), timeout=5)
    assert (reply.model, reply.text, reply.stop_reason) == ("?", "?", "?")


async def test_an_error_inside_the_stream_of_no_such_kind_is_a_server_error(
    model: LanguageModel, server: MessagesServer
) -> None:
    server.script(Raw(b'event: error\ndata: {"type": "error", "error": {"type": [], "message": {}}}\n\n'))
    assert (await failure_of(model)).error_type == "server_error"


def test_the_largest_reply_may_come_a_token_an_event_with_as_much_thinking_before_it() -> None:
    delta = {"type": "text_delta", "text": "word"}
    event = sse({"type": "content_block_delta", "index": 0, "delta": delta})
    assert 2 * len(event) * MAX_REPLY // len("word") <= MAX_STREAM


async def test_events_of_an_unknown_kind_are_passed_over(model: LanguageModel, server: MessagesServer) -> None:
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {"model": "m", "usage": {"input_tokens": 3}}},
        {"type": "news", "anything": 1},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "news_delta"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    ]
    lines = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events]
    server.script(Raw("".join(lines).encode()))
    reply = await model.ask(ask_for(), timeout=5)
    assert (reply.text, reply.model, reply.input_tokens, reply.output_tokens) == ("hi", "m", 3, 1)
    assert (reply.cache_read_tokens, reply.cache_write_tokens) == (None, None)


@pytest.mark.parametrize("name", ["temperature", "top_p", "speed", "max_token"])
async def test_a_parameter_the_provider_does_not_take_is_refused_before_asking(
    model: LanguageModel, server: MessagesServer, name: str
) -> None:
    with pytest.raises(ConfigError, match=rf"{name}.*allowed are effort") as caught:
        await model.ask(ask_for(parameters={name: 1}), timeout=5)
    assert caught.value.key == "parameters"
    assert server.count == 0


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"description": "anything"},
        {"type": "object", "properties": {"x": True}},
        {"type": "object", "additionalProperties": {"type": "string"}},
        {"type": "strange"},
        {"type": "array", "items": 5},
        {"type": "object", "properties": 5},
        {"anyOf": 5},
    ],
)
def test_a_schema_the_provider_has_no_form_of_is_a_config_error(schema: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        strict_schema(schema)
    assert caught.value.key == "schema"
    assert caught.value.remedy


def test_values_in_a_schema_are_left_alone() -> None:
    schema = {
        "type": "object",
        "properties": {
            "$id": {"type": "string"},
            "type": {"type": ["string", "null"], "enum": ["a", None]},
            "kind": {"$ref": "#/$defs/kind"},
        },
        "$defs": {"kind": {"const": "x"}},
    }
    strict = strict_schema(schema)
    assert strict["properties"] == {
        "$id": {"type": "string"},
        "type": {"enum": ["a", None]},
        "kind": {"$ref": "#/$defs/kind"},
    }
    assert strict["$defs"] == {"kind": {"const": "x"}}
