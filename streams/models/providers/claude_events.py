"""Reads a response of the Messages API as events, in the forms that gateways give it.

The SDK's own reader drops events without an `event:` line and does not know a body that is one JSON message.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from typing import Any

from streams.models.providers.event_stream import DONE, read_events

_OWN = frozenset({"error", "message", "message_start", "message_delta", "message_stop"})
_OWN_PREFIX = "content_block_"


def events_of(chunks: AsyncIterator[bytes]) -> AsyncGenerator[Mapping[str, Any]]:
    """Yield each JSON object of a body: server-sent events, or one JSON document in place of a stream.

    An object without a `type` gets the name of its event. Events of a foreign name that are not JSON objects are
    skipped. Raises ValueError for bytes that are not UTF-8 and for an event that is not a JSON object.
    """
    return read_events(chunks, _parsed)


def _parsed(name: str, data: str) -> Iterable[Mapping[str, Any]]:
    if name == "ping" or data.strip() in ("", DONE):
        return ()
    try:
        event = json.loads(data)
        if not isinstance(event, dict):
            raise ValueError("an event is not a JSON object")
    except ValueError:
        if name == "error":
            return ({"type": "error", "error": {"message": data}},)
        if name and name not in _OWN and not name.startswith(_OWN_PREFIX):
            return ()
        raise
    return (event,) if isinstance(event.get("type"), str) else ({**event, "type": _kind(name, event)},)


def _kind(name: str, event: Mapping[str, Any]) -> str:
    """Return the type of an event that does not state it; the name `message` only means that it is an event."""
    if "error" in event:
        return "error"
    if isinstance(event.get("content"), list):
        return "message"
    return "" if name == "message" else name
