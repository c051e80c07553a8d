"""The fake Messages API on the wire: what it refuses, its event streams, its errors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from tests.fakes.messages_outcomes import Failure

# What the API knows of; anything else is answered with 400, as the API does.
_KNOWN = frozenset(
    {
        *("model", "max_tokens", "messages", "system", "stream", "output_config", "thinking"),
        *("stop_sequences", "metadata", "service_tier", "inference_geo", "speed", "tools", "tool_choice"),
        *("cache_control", "container", "diagnostics"),
    }
)
_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}


def wrong_with(headers: Mapping[str, str], body: Mapping[str, Any]) -> Failure | None:
    """What the API would refuse this request for, if anything."""
    if not headers.get("authorization", "").startswith("Bearer ") and not headers.get("x-api-key"):
        return Failure(401, "an API key is required")
    if unknown := sorted(set(body) - _KNOWN):
        return Failure(400, f"{unknown[0]}: Extra inputs are not permitted")
    if missing := sorted({"model", "max_tokens", "messages"} - set(body)):
        return Failure(400, f"{missing[0]}: Field required")
    schema = ((body.get("output_config") or {}).get("format") or {}).get("schema", {})
    if _has_open_object(schema):
        return Failure(400, "output_config.format.schema: additionalProperties must be false")
    return None


def _has_open_object(node: Any) -> bool:
    if isinstance(node, list):
        return any(_has_open_object(item) for item in node)
    if not isinstance(node, dict):
        return False
    is_open = node.get("type") == "object" and node.get("additionalProperties") is not False
    return is_open or any(_has_open_object(value) for value in node.values())


def events(message: Mapping[str, Any], piece: int) -> list[dict[str, Any]]:
    """The message as the events of a stream, its texts in deltas of `piece` characters."""
    usage = message["usage"]
    start = {**message, "content": [], "stop_reason": None, "stop_details": None}
    start["usage"] = {**usage, "output_tokens": 1}
    made: list[dict[str, Any]] = [{"type": "message_start", "message": start}, {"type": "ping"}]
    for index, block in enumerate(message["content"]):
        kind = block["type"]
        empty = {**block, kind: ""}
        made.append({"type": "content_block_start", "index": index, "content_block": empty})
        for at in range(0, len(block[kind]), piece):
            delta = {"type": f"{kind}_delta", kind: block[kind][at : at + piece]}
            made.append({"type": "content_block_delta", "index": index, "delta": delta})
        made.append({"type": "content_block_stop", "index": index})
    end = {name: message[name] for name in ("stop_reason", "stop_sequence", "stop_details")}
    made.append({"type": "message_delta", "delta": end, "usage": {"output_tokens": usage["output_tokens"]}})
    return [*made, {"type": "message_stop"}]


def sse(event: Mapping[str, Any]) -> bytes:
    """One server-sent event."""
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def error(failure: Failure, request_id: str) -> web.Response:
    """An error response as the API words it."""
    details = {"type": _ERROR_TYPES.get(failure.status, "api_error"), "message": failure.message}
    headers = {"request-id": request_id, **failure.headers}
    if failure.retry_after is not None:
        headers["retry-after"] = failure.retry_after
    body = {"type": "error", "error": details, "request_id": request_id}
    return web.json_response(body, status=failure.status, headers=headers)


def tokens(value: Any) -> int:
    """A made-up count of tokens: four characters each."""
    text = value if isinstance(value, str) else json.dumps(value)
    return -(-len(text) // 4)
