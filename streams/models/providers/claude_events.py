"""Reads a response of the Messages API as events, in the forms that gateways give it.

The SDK's own reader drops events without an `event:` line and does not know a body that is one JSON message.
"""

from __future__ import annotations

import codecs
import io
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from typing import Any

from streams.core.reply_contract import encodable

DONE = "[DONE]"
"""Sent last by some gateways; it is not JSON."""
MOST_TOKENS = 10**9
"""Of one kind in one call; a higher count is invalid."""
LONGEST_NAME = 200
"""Characters of a model's name, an id or a stop reason."""
_OWN = frozenset({"error", "message", "message_start", "message_delta", "message_stop"})
_OWN_PREFIX = "content_block_"


async def events_of(chunks: AsyncIterator[bytes]) -> AsyncGenerator[Mapping[str, Any]]:
    """Yield each JSON object of a body: server-sent events, or one JSON document in place of a stream.

    An object without a `type` gets the name of its event. Events of a foreign name that are not JSON objects are
    skipped. Raises ValueError for bytes that are not UTF-8 and for an event that is not a JSON object.
    """
    lines, body = _Lines(), _Body()
    async for chunk in chunks:
        for line in lines.of(chunk):
            for event in body.events(line):
                yield event
    for line in lines.rest():
        for event in body.events(line):
            yield event
    for event in body.rest():
        yield event


class _Lines:
    """The lines of a UTF-8 text, with any line ends and any cuts into chunks."""

    def __init__(self) -> None:
        self._decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8-sig")(), translate=True)
        self._parts: list[str] = []

    def of(self, chunk: bytes) -> list[str]:
        """Return the lines that end in a chunk."""
        first, *others = self._decoder.decode(chunk).split("\n")
        self._parts.append(first)
        if not others:
            return []
        ended = ["".join(self._parts), *others[:-1]]
        self._parts = [others[-1]]
        return ended

    def rest(self) -> list[str]:
        """Return the lines after the last line end."""
        return ("".join(self._parts) + self._decoder.decode(b"", final=True)).splitlines()


class _Body:
    """The events of a body, line by line."""

    def __init__(self) -> None:
        self._name = ""
        self._data: list[str] = []
        self._document: list[str] = []

    def events(self, line: str) -> Iterable[Mapping[str, Any]]:
        """Return what a line completes."""
        if self._document:
            self._document.append(line)
        elif line.startswith("data:"):
            self._data.append(_value(line))
        elif line.startswith("event:"):
            self._name = _value(line)
        elif not line:
            name, data, self._name, self._data = self._name, self._data, "", []
            return _parsed(name, "\n".join(data))
        elif not self._data and line.lstrip().startswith(("{", "[")):
            self._document.append(line)
        return ()

    def rest(self) -> Iterable[Mapping[str, Any]]:
        """Return what the body's end completes."""
        return _parsed(self._name, "\n".join(self._document or self._data))


def _value(line: str) -> str:
    return line.partition(":")[2].removeprefix(" ")


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


# The types are unchecked: in place of an object, a text or a count there may be any JSON value.


def as_object(value: object) -> Mapping[str, Any]:
    """Return the object, empty for null. Raises TypeError for anything else."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError("no object")
    return value


def as_text(value: object) -> str:
    """Return the text in a form that UTF-8 can encode, empty for null. Raises TypeError for anything else."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError("no text")
    return encodable(value)


def as_name(value: object) -> str | None:
    """Return a short text; None for null or the empty one. Raises TypeError for anything else."""
    if len(name := as_text(value)) > LONGEST_NAME:
        raise TypeError("no name")
    return name or None


def as_tokens(value: object) -> int:
    """Return a count of tokens. Raises TypeError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST_TOKENS or value % 1:
        raise TypeError("no count of tokens")
    return int(value)
