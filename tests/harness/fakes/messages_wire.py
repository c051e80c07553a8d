"""The fake Messages API on the wire: what it refuses, its event streams, its errors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from tests.harness.fakes.messages_images import tokens, wrong_image
from tests.harness.fakes.messages_outcomes import Failure

__all__ = ["error", "events", "sse", "tokens", "wrong_with", "wrong_with_schema"]

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
    """Return the reason for which the API would refuse this request; None if it would not."""
    if not headers.get("authorization", "").startswith("Bearer ") and not headers.get("x-api-key"):
        return Failure(401, "an API key is required")
    if unknown := sorted(set(body) - _KNOWN):
        return Failure(400, f"{unknown[0]}: Extra inputs are not permitted")
    if missing := sorted({"model", "max_tokens", "messages"} - set(body)):
        return Failure(400, f"{missing[0]}: Field required")
    if fault := wrong_image(body["messages"]):
        return Failure(400, fault)
    schema = ((body.get("output_config") or {}).get("format") or {}).get("schema", {})
    if schema and (fault := wrong_with_schema(schema)):
        return Failure(400, f"output_config.format.schema: {fault}")
    return None


# The subset of JSON Schema that the API's documentation gives for structured outputs.
_IN_EVERY_PART = {"title", "description", "$defs"}
_IN_PARTS: Mapping[str, set[str]] = {
    "object": {"type", "properties", "required", "additionalProperties"},
    "array": {"type", "items", "minItems"},
    "string": {"type", "format"},
    **{kind: {"type"} for kind in ("integer", "number", "boolean", "null")},
    **{key: {key} for key in ("enum", "const", "anyOf", "allOf", "$ref")},
}
_FORMATS = {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
_MOST_OPTIONAL, _MOST_UNIONS = 24, 16


def wrong_with_schema(schema: Mapping[str, Any]) -> str | None:
    """Return the reason for which the API would refuse a schema; None if it would not."""
    try:
        optional, unions = _counted(schema, schema.get("$defs", {}), ())
    except _Refused as refused:
        return str(refused)
    if optional > _MOST_OPTIONAL:
        return f"too many optional parameters ({optional})"
    return f"too many parameters with union types ({unions})" if unions > _MOST_UNIONS + 1 else None


class _Refused(Exception):  # noqa: N818
    pass


def _counted(node: Any, definitions: Mapping[str, Any], path: tuple[str, ...]) -> tuple[int, int]:
    """The optional properties and the unions of a part, with the root's. Raises _Refused."""
    if not isinstance(node, dict):
        raise _Refused(f"{node!r} is not a schema")
    kind = node.get("type") or next((key for key in ("enum", "const", "anyOf", "allOf", "$ref") if key in node), "")
    if not isinstance(kind, str) or kind not in _IN_PARTS:
        raise _Refused(f"no known type in {node!r}")
    if other := set(node) - _IN_PARTS[kind] - _IN_EVERY_PART:
        raise _Refused(f"for {kind!r}, {sorted(other)} are not supported")
    _check_values(node)
    optional, unions, inner = 0, int("anyOf" in node), [*(node.get("anyOf") or node.get("allOf") or ())]
    if kind == "object":
        if node.get("additionalProperties") is not False:
            raise _Refused("additionalProperties must be false")
        named, required = node.get("properties", {}), set(node.get("required", ()))
        if required - set(named):
            raise _Refused("required names no property")
        optional, inner = len(named) - len(required), list(named.values())
    if kind == "array":
        inner = [node.get("items")]
    if kind == "$ref":
        name = node["$ref"].removeprefix("#/$defs/")
        if name in path or name not in definitions:
            raise _Refused(f"{node['$ref']} leads back or nowhere")
        _counted(definitions[name], definitions, (*path, name))
    if not path and node.get("$defs"):
        inner += node["$defs"].values()
    counts = [_counted(one, definitions, path) for one in inner]
    return optional + sum(one for one, _ in counts), unions + sum(one for _, one in counts)


def _check_values(node: Mapping[str, Any]) -> None:
    values = node.get("enum", [node["const"]] if "const" in node else [None])
    if not values or any(isinstance(value, dict | list) for value in values):
        raise _Refused("an enum must have values, which are no objects and no arrays")
    if node.get("minItems", 0) not in (0, 1) or node.get("format", "date") not in _FORMATS:
        raise _Refused("minItems and format are not supported so")


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
    totals = {name: usage[name] for name in ("output_tokens", "output_tokens_details") if name in usage}
    made.append({"type": "message_delta", "delta": end, "usage": totals})
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
