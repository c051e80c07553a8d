"""Reads a response of the Chat Completions API as chunks, in the forms that its servers give it.

The SDK's own reader makes a pydantic object of each chunk, five times the CPU time of the rest of a call, and does not
know a body that is one JSON document.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from typing import Any, Final

from streams.models.providers.event_stream import DONE, read_events

END: Final = {"done": True}
"""In place of the last event, which is not JSON."""


def chunks_of(body: AsyncIterator[bytes]) -> AsyncGenerator[Mapping[str, Any]]:
    """Yield each chunk of a body, and END where the stream says that it is over.

    Raises ValueError for bytes that are not UTF-8 and for an event that is not a JSON object.
    """
    return read_events(body, _parsed)


def _parsed(name: str, data: str) -> Iterable[Mapping[str, Any]]:
    stripped = data.strip()
    if stripped == DONE:
        return (END,)
    if name == "ping" or not stripped:
        return ()
    try:
        event = json.loads(stripped)
        if not isinstance(event, dict):
            raise ValueError("an event is not a JSON object")
    except ValueError:
        if name == "error":
            return ({"error": {"message": stripped}},)
        raise
    return (event,)
