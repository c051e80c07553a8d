"""The answers and failures that the fake Messages API can give to a request."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Answer:
    """A message. Counts left None are made up from the lengths of the texts, four characters a token."""

    text: str
    stop_reason: str = "end_turn"
    stop_details: Mapping[str, Any] | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    thinking: str = ""
    piece: int = 16
    """Characters of text in one event of the stream."""
    pause: float = 0.0
    """Seconds before each event of the stream."""
    hold: float = 0.0
    """Seconds for which the connection stays open after the last event."""


def refusal(explanation: str | None, category: str | None = None, text: str = "") -> Answer:
    """A message the provider refused to write, or to write to its end."""
    details = {"type": "refusal", "category": category, "explanation": explanation}
    return Answer(text, stop_reason="refusal", stop_details=details)


@dataclass(frozen=True)
class Failure:
    """An error response. `retry_after` is seconds or an HTTP date."""

    status: int
    message: str = "scripted failure"
    retry_after: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Slow:
    """Waits `seconds` before the first byte, then goes on with `then`."""

    seconds: float
    then: Outcome | None = None


@dataclass(frozen=True)
class DropConnection:
    """Hangs up without a byte of response."""


@dataclass(frozen=True)
class DropStream:
    """Hangs up, or with `politely` ends the response in due form, after `events` events of the answer."""

    events: int = 3
    politely: bool = False


@dataclass(frozen=True)
class StreamError:
    """Sends an error event after `events` events, as the API does when it fails in the middle."""

    error_type: str
    events: int = 3


@dataclass(frozen=True)
class Raw:
    """Any response at all, for example one that is not a message."""

    body: bytes
    status: int = 200
    content_type: str = "text/event-stream"
    headers: Mapping[str, str] = field(default_factory=dict)


Outcome = Answer | Failure | Slow | DropConnection | DropStream | StreamError | Raw
AnswerFunction = Callable[[Mapping[str, Any]], "Outcome | str | Mapping[str, Any]"]


def answer_by_schema(body: Mapping[str, Any]) -> Answer:
    """A smallest answer that follows the request's schema, or a plain sentence when there is none."""
    output = (body.get("output_config") or {}).get("format")
    if output is None:
        return Answer("This is the fake Messages server.")
    return Answer(json.dumps(example_of(output["schema"], output["schema"])))


def example_of(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    """A smallest value that `schema` allows; `root` holds its $defs."""
    if "$ref" in schema:
        return example_of(root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    if "enum" in schema:
        return schema["enum"][0]
    if "const" in schema:
        return schema["const"]
    if variants := schema.get("anyOf") or schema.get("allOf"):
        return example_of(variants[0], root)
    if schema["type"] == "object":
        return {name: example_of(part, root) for name, part in schema["properties"].items()}
    if schema["type"] == "array":
        return [example_of(schema["items"], root)] * schema.get("minItems", 0)
    return {"string": "text", "integer": 1, "number": 0.5, "boolean": True, "null": None}[schema["type"]]
