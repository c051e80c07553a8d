"""The fake Chat Completions API on the wire: what it refuses, its chunks, its errors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from tests.harness.fakes.chat_images import wrong_with_images
from tests.harness.fakes.messages_outcomes import Answer, Failure

# What the API knows of; anything else is answered with 400, as the API does.
_KNOWN = frozenset(
    {
        *("model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "response_format"),
        *("temperature", "top_p", "seed", "stop", "logprobs", "top_logprobs", "reasoning_effort", "verbosity", "n"),
        *("frequency_penalty", "presence_penalty", "logit_bias", "metadata", "user", "store", "service_tier"),
        *("prompt_cache_key", "safety_identifier"),
    }
)
_ERRORS: Mapping[int, tuple[str, str | None]] = {
    # status: the error's type and code
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("invalid_request_error", "unsupported_country_region_territory"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
}
FINISH_REASONS = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "refusal": "stop"}
"""By the stop reason that a scripted answer has in the words of the Messages API."""
LOGPROB = -0.125
"""Of every token."""


def wrong_with(headers: Mapping[str, str], body: Mapping[str, Any]) -> Failure | None:
    """Return the reason for which the API would refuse this request; None if it would not."""
    if not headers.get("authorization", "").startswith("Bearer "):
        return Failure(401, "You didn't provide an API key.")
    if unknown := sorted(set(body) - _KNOWN):
        return Failure(400, f"Unrecognized request argument supplied: {unknown[0]}")
    if missing := sorted({"model", "messages"} - set(body)):
        return Failure(400, f"Missing required parameter: '{missing[0]}'.")
    if "stream_options" in body and not body.get("stream"):
        return Failure(400, "The 'stream_options' parameter is only allowed when 'stream' is enabled.")
    if {"max_tokens", "max_completion_tokens"} <= set(body):
        return Failure(400, "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.")
    if fault := wrong_with_images(body):
        return Failure(400, fault)
    form = body.get("response_format") or {}
    if form.get("type") == "json_schema" and (fault := wrong_with_form(form)):
        return Failure(400, f"Invalid schema for response_format: {fault}")
    return None


# https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
_KEYWORDS = frozenset(
    {
        *("type", "properties", "required", "additionalProperties", "items", "enum", "const", "anyOf", "$ref", "$defs"),
        *("title", "description", "pattern", "format", "multipleOf", "maximum", "exclusiveMaximum", "minimum"),
        *("exclusiveMinimum", "minItems", "maxItems"),
    }
)


def wrong_with_form(form: Mapping[str, Any]) -> str | None:
    """Return the reason for which the API would refuse a response format; None if it would not."""
    named = form.get("json_schema") or {}
    if not named.get("name"):
        return "name is required"
    schema = named.get("schema")
    if not named.get("strict"):
        return None
    if not isinstance(schema, dict) or schema.get("type") != "object" or "anyOf" in schema:
        return "the root must be an object"
    return _fault(schema)


def _fault(node: Any) -> str | None:
    if not isinstance(node, dict):
        return f"{node!r} is not a schema"
    if other := set(node) - _KEYWORDS:
        return f"{sorted(other)[0]!r} is not permitted"
    if not {"type", "enum", "const", "anyOf", "$ref"} & set(node):
        return "schema must have a 'type' key"
    named = node.get("properties", {})
    if node.get("type") == "object":
        if node.get("additionalProperties") is not False:
            return "'additionalProperties' is required to be supplied and to be false"
        if set(node.get("required", ())) != set(named):
            return "'required' is required to include every key in properties"
    inner = [*named.values(), *node.get("$defs", {}).values(), *node.get("anyOf", ())]
    inner += [node["items"]] if "items" in node else []
    return next((fault for one in inner if (fault := _fault(one))), None)


def chunks(body: Mapping[str, Any], message: Mapping[str, Any], answer: Answer) -> list[bytes]:
    """The completion as the events of a stream, its texts in deltas of `piece` characters."""
    asks_usage = bool((body.get("stream_options") or {}).get("include_usage"))
    made = [_chunk(message, {"role": "assistant", "content": "", "refusal": None})]
    whole = message["choices"][0]["message"]
    for key in ("reasoning_content", "content", "refusal"):
        text = whole.get(key) or ""
        for at in range(0, len(text), answer.piece):
            piece = text[at : at + answer.piece]
            logprobs = {"content": [token(piece)], "refusal": None} if key == "content" else None
            made.append(_chunk(message, {key: piece}, logprobs=logprobs if body.get("logprobs") else None))
    made.append(_chunk(message, {}, finish_reason=message["choices"][0]["finish_reason"]))
    if asks_usage:
        made = [{**one, "usage": None} for one in made]
        made.append({**_chunk(message, {}), "choices": [], "usage": message["usage"]})
    return [*map(sse, made), b"data: [DONE]\n\n"]


def _chunk(message: Mapping[str, Any], delta: Mapping[str, Any], **choice: Any) -> dict[str, Any]:
    own = {name: message[name] for name in ("id", "created", "model", "service_tier", "system_fingerprint")}
    one = {"index": 0, "delta": dict(delta), "logprobs": None, "finish_reason": None, **choice}
    return {**own, "object": "chat.completion.chunk", "choices": [one]}


def token(text: str) -> dict[str, Any]:
    """One token with its log-probability."""
    return {"token": text, "logprob": LOGPROB, "bytes": list(text.encode()), "top_logprobs": []}


def sse(event: Mapping[str, Any]) -> bytes:
    """One server-sent event."""
    return f"data: {json.dumps(event)}\n\n".encode()


def error_body(status: int, message: str, error_type: str | None = None) -> dict[str, Any]:
    """The body of an error as the API words it."""
    usual, code = _ERRORS.get(status, ("server_error", None))
    return {"error": {"message": message, "type": error_type or usual, "param": None, "code": code}}


def error(failure: Failure, request_id: str) -> web.Response:
    """An error response as the API words it."""
    headers = {"x-request-id": request_id, **failure.headers}
    if failure.retry_after is not None:
        headers["retry-after"] = failure.retry_after
    return web.json_response(error_body(failure.status, failure.message), status=failure.status, headers=headers)
