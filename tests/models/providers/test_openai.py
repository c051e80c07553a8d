"""The openai provider: its requests, and the replies and errors that only this API has."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from itertools import count
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings

from streams.core.errors import ConfigError, ModelError
from streams.core.reply_contract import MAX_REPLY, Contract
from streams.models.providers.openai_chat import MOST_BYTES, OpenAIModel
from streams.models.providers.openai_request import chat_arguments
from streams.models.providers.openai_schema import nulls_absent, response_format
from streams.models.providers.protocol import ImagePart, ModelReply, ModelRequest, Token
from streams.pipeline.dialects import CAPABILITIES, DIALECTS, Dialect
from tests.harness.claude_schemas import schemas
from tests.harness.fakes.chat_server import ChatServer
from tests.harness.fakes.chat_wire import error_body, sse, wrong_with_form
from tests.harness.fakes.messages_outcomes import Answer, Raw, example_of
from tests.models.contract.peers import CHAT_USAGE, DONE, PLAIN, TEXT, chat_body

KEY = "sk-planted-0123456789"
NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)


def ask_for(prompt: str = "Where is my order?", **changes: Any) -> ModelRequest:
    return ModelRequest(**{"model": "m", "system": "Be brief.", "prompt": prompt, "max_tokens": 100, **changes})


@pytest.fixture
async def server() -> AsyncIterator[ChatServer]:
    async with ChatServer() as running:
        yield running


@pytest.fixture
async def model(server: ChatServer) -> AsyncIterator[OpenAIModel]:
    ticks = count()
    made = OpenAIModel(KEY, server.url, headers={"x-team": "desk"}, clock=lambda: float(next(ticks)), now=lambda: NOW)
    yield made
    await made.close()


async def failure_of(model: OpenAIModel, request: ModelRequest | None = None) -> ModelError:
    with pytest.raises(ModelError) as caught:
        await model.ask(request or ask_for(), 10)
    return caught.value


# ---- Requests ----


async def test_a_request_is_sent_as_documented(model: OpenAIModel, server: ChatServer) -> None:
    await model.ask(ask_for("Hello", parameters={"temperature": 0, "seed": 3}), 10)
    sent = server.requests[0]
    assert sent.headers["authorization"] == f"Bearer {KEY}"
    assert (sent.headers["x-team"], sent.headers["content-type"]) == ("desk", "application/json")
    assert sent.body == {
        "model": "m",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}],
        "max_completion_tokens": 100,
        "temperature": 0,
        "seed": 3,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def test_another_server_does_not_learn_of_the_account_in_the_environment(
    server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-planted")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-planted")
    model = OpenAIModel(KEY, server.url)
    await model.ask(ask_for(), 10)
    await model.close()
    assert "planted" not in json.dumps({**server.requests[0].headers, "authorization": ""})


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_a_dialect_takes_is_what_it_is_sent(dialect: Dialect) -> None:
    can = CAPABILITIES[dialect]
    schema = Contract({"type": "integer"}, "field").wire_schema if can.json_schema else None
    body = chat_arguments(ask_for(system="", schema=schema), dialect, can)
    assert ("max_completion_tokens" in body, "max_tokens" in body) == (dialect == "openai", dialect != "openai")
    assert ("response_format" in body) == can.json_schema
    assert [one["role"] for one in body["messages"]] == ["user"]
    assert body["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    ("dialect", "parameters"),
    [
        ("openai", {"top_k": 1}),
        ("openai", {"service_tier": "flex"}),
        ("openai", {"n": 2}),
        ("openai", {"max_tokens": 2}),
        ("ollama", {"chat_template_kwargs": {}}),
        ("litellm", {"seed": 1}),
    ],
)
def test_a_parameter_that_is_not_taken_is_refused(dialect: Dialect, parameters: Mapping[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(parameters))}.*allowed are") as caught:
        chat_arguments(ask_for(parameters=parameters), dialect, CAPABILITIES[dialect])
    assert caught.value.key == "parameters"


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"images": (ImagePart("0" * 64, "image/png", b"x"),)}, "images"),
        ({"parameters": {"logprobs": True}}, "logprobs"),
        ({"schema": {"type": "object"}}, "json_schema"),
    ],
)
def test_what_the_model_cannot_do_is_never_asked_of_it(changes: Mapping[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        chat_arguments(ask_for(**changes), "litellm", CAPABILITIES["litellm"])
    assert caught.value.key == key


async def test_a_server_without_streams_is_asked_for_a_whole_reply(server: ChatServer) -> None:
    can = CAPABILITIES["openai"].overridden({"stream": False})
    model = OpenAIModel(KEY, server.url, capabilities=can)
    server.script(Answer("It left.", output_tokens=3))
    reply = await model.ask(ask_for(), 10)
    await model.close()
    assert not {"stream", "stream_options"} & set(server.requests[0].body)
    assert (reply.text, reply.output_tokens) == ("It left.", 3)


async def test_a_server_that_does_not_count_in_streams_is_not_waited_for(server: ChatServer) -> None:
    can = CAPABILITIES["openai"].overridden({"stream_options": False})
    model = OpenAIModel(KEY, server.url, capabilities=can)
    server.script(Raw(chat_body(*PLAIN[:4], done=b"")))
    reply = await model.ask(ask_for(), 10)
    await model.close()
    assert "stream_options" not in server.requests[0].body
    assert (reply.text, reply.input_tokens, reply.output_tokens) == (TEXT, None, None)


# ---- Schemas ----


@settings(max_examples=150, deadline=None)
@given(schemas)
def test_a_strict_schema_is_one_that_the_api_takes_and_its_answers_are_read_back(schema: dict[str, Any]) -> None:
    contract = Contract(schema, "field")
    try:
        form = response_format(contract.wire_schema or {}, all_required=True)
    except ConfigError:
        return  # as Claude's form of it is refused
    assert wrong_with_form(form) is None
    strict = form["json_schema"]["schema"]
    example = {**example_of(strict, strict), "refusal": None}
    jsonschema.validate(example, strict)
    read = contract.read(nulls_absent(json.dumps(example), schema), "end_turn", None)
    assert read.error_type in (None, "schema"), "limits that are only described may be broken, the shape may not"


def test_an_answer_and_a_refusal_are_two_properties_of_one_object() -> None:
    wire = Contract({"type": "string"}, "field", verbalized=True).wire_schema
    assert wire is not None
    strict = response_format(wire, all_required=True)["json_schema"]["schema"]
    assert strict["required"] == ["answer", "confidence", "refusal"]
    assert strict["properties"]["answer"] == {"anyOf": [{"type": "string"}, {"type": "null"}]}
    assert "anyOf" not in strict
    loose = response_format(wire, all_required=False)["json_schema"]["schema"]
    assert [sorted(one["properties"]) for one in loose["anyOf"]] == [["answer", "confidence"], ["refusal"]]


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        ({"a": None, "b": None}, {"b": None}),
        ({"a": 1, "b": 2, "c": [{"d": None}, {"d": 3}]}, {"a": 1, "b": 2, "c": [{}, {"d": 3}]}),
        ({"b": 2, "e": {"f": None}}, {"b": 2, "e": {"f": None}}),
        ({"b": 2, "e": {"g": None, "h": 1}}, {"b": 2, "e": {"h": 1}}),
        ({"b": 2, "unknown": None}, {"b": 2, "unknown": None}),
        (None, None),
        ([None], [None]),
    ],
)
def test_a_null_is_left_out_where_it_stands_for_an_optional_property(answer: Any, kept: Any) -> None:
    variants = [
        {"type": "object", "properties": {"f": {"type": "null"}}, "required": ["f"]},
        {"type": "object", "properties": {"g": {"type": "string"}, "h": {"type": "integer"}}, "required": ["h"]},
    ]
    schema = {
        "type": "object",
        "properties": {
            "a": {"type": "integer"},
            "b": {"type": ["integer", "null"]},
            "c": {"type": "array", "items": {"type": "object", "properties": {"d": {"type": "integer"}}}},
            "e": {"anyOf": variants},
        },
        "required": ["b"],
    }
    assert json.loads(nulls_absent(json.dumps({"answer": answer}), schema)) == {"answer": kept}


@pytest.mark.parametrize("text", ["", "null", "[null]", '{"answer": null', '{"refusal": null}'])
def test_a_text_that_is_not_the_contracts_object_is_left_as_it_is(text: str) -> None:
    assert nulls_absent(text, {"type": "object"}) == text


# ---- Replies ----


async def test_reasoning_is_counted_and_no_part_of_the_text(model: OpenAIModel, server: ChatServer) -> None:
    server.script(Answer("42", thinking="let me see", input_tokens=9, cache_read_tokens=4, output_tokens=12))
    assert await model.ask(ask_for(), 10) == ModelReply(
        text="42",
        model="m",
        stop_reason="end_turn",
        input_tokens=13,
        output_tokens=12,
        cache_read_tokens=4,
        cache_write_tokens=None,
        thinking_tokens=3,
        first_token_seconds=1.0,
        request_id="req_000001",
        response_id="chatcmpl-000001",
    )


async def test_log_probabilities_are_the_tokens(model: OpenAIModel, server: ChatServer) -> None:
    server.script(Answer("It left today.", piece=5))
    reply = await model.ask(ask_for(parameters={"logprobs": True}), 10)
    assert reply.tokens == tuple(Token(text, -0.125) for text in ("It le", "ft to", "day."))


@pytest.mark.parametrize("token", [{"token": "a"}, {"token": "a", "logprob": None}, {"token": 7, "logprob": -1}])
async def test_without_one_of_the_probabilities_there_is_none(
    model: OpenAIModel, server: ChatServer, token: dict[str, Any]
) -> None:
    choice = {"index": 0, "delta": {"content": "a"}, "logprobs": {"content": [{"token": "b", "logprob": -1}, token]}}
    server.script(Raw(chat_body({**PLAIN[0], "choices": [choice]}, *PLAIN[3:])))
    assert (await model.ask(ask_for(), 10)).tokens == ()


@pytest.mark.parametrize(
    ("finish", "stop_reason", "refusal"),
    [
        ("content_filter", "refusal", "the provider's content filter stopped it"),
        ("tool_calls", "tool_use", None),
        ("function_call", "tool_use", None),
        ("length", "max_tokens", None),
        ("eos", "eos", None),
    ],
)
async def test_a_finish_reason_is_a_stop_reason(
    model: OpenAIModel, server: ChatServer, finish: str, stop_reason: str, refusal: str | None
) -> None:
    end = {**PLAIN[3], "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}
    server.script(Raw(chat_body(*PLAIN[:3], end, *PLAIN[3:])))
    reply = await model.ask(ask_for(), 10)
    assert (reply.stop_reason, reply.refusal) == (stop_reason, refusal), "a later good end does not mend a bad one"


async def test_a_reasoning_that_used_all_tokens_is_not_an_answer(model: OpenAIModel, server: ChatServer) -> None:
    server.script(Answer("", thinking="hm " * 30, stop_reason="max_tokens"))
    reply = await model.ask(ask_for(), 10)
    reading = Contract().read(reply.text, reply.stop_reason, reply.refusal, reply.thinking_tokens)
    assert (reading.error_type, "thinking" in (reading.error or "")) == ("truncated", True)


@pytest.mark.parametrize(
    ("usage", "output"),
    [
        (CHAT_USAGE, 8),
        ({**CHAT_USAGE, "completion_tokens": 3, "total_tokens": 28}, 8),
        ({"prompt_tokens": 20, "completion_tokens": 8}, 8),
        ({**CHAT_USAGE, "completion_tokens": 0, "total_tokens": 20}, None),
        ({}, None),
    ],
    ids=["documented", "reasoning beside it", "no total", "zeros", "nothing"],
)
async def test_output_is_all_that_is_billed_and_unknown_where_it_is_not_counted(
    model: OpenAIModel, server: ChatServer, usage: dict[str, Any], output: int | None
) -> None:
    server.script(Raw(chat_body(*PLAIN[:4], {**PLAIN[4], "usage": usage})))
    assert (await model.ask(ask_for(), 10)).output_tokens == output


@pytest.mark.parametrize("name", ["cache_write_tokens", "cache_creation_tokens"])
async def test_tokens_written_to_a_cache_have_two_names(model: OpenAIModel, server: ChatServer, name: str) -> None:
    usage = {**CHAT_USAGE, "prompt_tokens_details": {"cached_tokens": 7, name: 5}}
    server.script(Raw(chat_body(*PLAIN[:4], {**PLAIN[4], "usage": usage})))
    assert (await model.ask(ask_for(), 10)).cache_write_tokens == 5


def test_the_largest_reply_may_come_a_token_a_chunk_with_its_probability() -> None:
    logprobs = {"content": [{"token": "word", "logprob": -0.1234567, "bytes": [1, 2, 3, 4], "top_logprobs": []}]}
    choice = {"index": 0, "delta": {"content": "word"}, "logprobs": logprobs, "finish_reason": None}
    about = {"id": "chatcmpl-" + "x" * 29, "object": "chat.completion.chunk", "model": "m" * 30}
    chunk = sse({**about, "choices": [choice]})
    assert len(chunk) * MAX_REPLY // len("word") <= MOST_BYTES


# ---- Errors ----


def _error(status: int, message: str, **fields: Any) -> Raw:
    body = error_body(status, message)
    return Raw(json.dumps({"error": {**body["error"], **fields}}).encode(), status, "application/json")


QUOTA = "You exceeded your current quota, please check your plan and billing details."
LONG = "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens."


@pytest.mark.parametrize(
    ("outcome", "error_type", "retryable"),
    [
        (_error(429, QUOTA, type="insufficient_quota", code="insufficient_quota"), "unauthorized", False),
        (_error(429, "Rate limit reached for gpt-5.6 on tokens per min", type="tokens"), "rate_limited", True),
        (_error(401, "Incorrect API key provided"), "unauthorized", False),
        (_error(403, "Country, region, or territory not supported"), "unauthorized", False),
        (_error(404, "The model `m` does not exist"), "not_found", False),
        (_error(400, LONG, code="context_length_exceeded"), "too_large", False),
        (_error(400, LONG), "too_large", False),
        (_error(400, "n_prompt_tokens", type="exceed_context_size_error", code=400), "too_large", False),
        (_error(400, "filtered", code="content_filter", innererror={"code": "ResponsibleAIPolicyViolation"}),
         "rejected", False),
        (_error(400, "Could not process image", code="invalid_image"), "rejected", False),
        (_error(400, "image input is not supported - hint: provide the mmproj"), "rejected", False),
        (_error(400, "Unsupported parameter: 'logprobs' is not supported with this model."), "bad_request", False),
        (_error(400, "Budget has been exceeded!", type="budget_exceeded"), "unauthorized", False),
        (_error(500, "The server had an error"), "server_error", True),
        (_error(503, "Loading model", type="unavailable_error"), "overloaded", True),
        (_error(503, "server busy, please try again.  maximum pending requests exceeded"), "overloaded", True),
        (_error(504, "upstream"), "timeout", True),
        (Raw(b'{"error": "model not found, try pulling it first"}', 404, "application/json"), "not_found", False),
        (Raw(b'{"object": "error", "message": "bad", "type": "BadRequestError", "code": 400}', 400, "application/json"),
         "bad_request", False),
        (Raw(b'{"detail": "Not Found"}', 404, "application/json"), "not_found", False),
    ],
)  # fmt: skip
async def test_an_error_is_named_by_its_code_its_status_and_its_words(
    model: OpenAIModel, server: ChatServer, outcome: Raw, error_type: str, retryable: bool
) -> None:
    server.script(outcome)
    error = await failure_of(model)
    assert (error.error_type, error.retryable, error.unbilled) == (error_type, retryable, error_type != "timeout")
    assert error.request_id == "req_000001"


@pytest.mark.parametrize(
    ("event", "error_type"),
    [
        ({"error": {"message": LONG, "type": "BadRequestError", "code": 400}}, "too_large"),
        ({"error": {"message": "no", "type": "rate_limit_error", "code": "429"}}, "rate_limited"),
        ({"error": {"message": "no", "type": "server_error", "code": None}}, "server_error"),
        ({"error": "out of memory"}, "server_error"),
        ({"error": {"message": {}, "type": [], "code": {}}}, "server_error"),
        ({"object": "error", "message": "no", "type": "NotFoundError", "code": 404}, "not_found"),
    ],
)
@pytest.mark.parametrize("began", [False, True])
async def test_an_error_inside_a_stream_is_named_alike_and_billed_if_the_reply_had_begun(
    model: OpenAIModel, server: ChatServer, event: dict[str, Any], error_type: str, began: bool
) -> None:
    server.script(Raw(chat_body(*(PLAIN[:2] if began else ()), event, done=DONE)))
    error = await failure_of(model)
    assert (error.error_type, error.unbilled) == (error_type, not began)


async def test_a_null_error_is_none(model: OpenAIModel, server: ChatServer) -> None:
    server.script(Raw(chat_body(*({"error": None, **chunk} for chunk in PLAIN))))
    assert (await model.ask(ask_for(), 10)).text == TEXT
