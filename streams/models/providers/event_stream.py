"""Reads a response body as server-sent events with JSON in them, in the forms that gateways give it."""

from __future__ import annotations

import codecs
import io
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from typing import Any

from streams.core.reply_contract import encodable

DONE = "[DONE]"
"""Sent last by some gateways; it is not JSON."""
MOST_TOKENS = 10**9
"""Of one kind in one call; a higher count is invalid."""
LONGEST_NAME = 200
"""Characters of a model's name, an id or a stop reason."""

Parse = Callable[[str, str], Iterable[Mapping[str, Any]]]
"""Turns an event's name, empty without one, and its data into JSON objects."""


async def read_events(chunks: AsyncIterator[bytes], parse: Parse) -> AsyncGenerator[Mapping[str, Any]]:
    """Yield each JSON object of a body: server-sent events, or one JSON document in place of a stream.

    Raises ValueError for bytes that are not UTF-8.
    """
    lines, body = _Lines(), _Body(parse)
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

    def __init__(self, parse: Parse) -> None:
        self._parse = parse
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
            return self._parse(name, "\n".join(data))
        elif not self._data and line.lstrip().startswith(("{", "[")):
            self._document.append(line)
        return ()

    def rest(self) -> Iterable[Mapping[str, Any]]:
        """Return what the body's end completes."""
        return self._parse(self._name, "\n".join(self._document or self._data))


def _value(line: str) -> str:
    return line.partition(":")[2].removeprefix(" ")


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
