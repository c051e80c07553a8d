"""The places in a Kafka record that `[source]` names: its topic, a header, the key, or a field of key or value.

Fields are named by JSON pointers (https://www.rfc-editor.org/rfc/rfc6901), in decoded Avro records as in JSON.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

HEADER, KEY, TOPIC = "header:", "key", "topic"
FORMS: Final = 'Write "/field/inner" for a field, "header:NAME", "key", "key:/field" or "topic"'
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,9}")


@dataclass(frozen=True, slots=True)
class Selector:
    """One place in a record. `path` leads into the value, or into the key; an empty path is the whole of it."""

    of: Literal["topic", "header", "key", "value"]
    name: str = ""
    """The header's name."""
    path: tuple[str, ...] | None = None
    """None for the key as text."""

    @property
    def needs_value(self) -> bool:
        return self.of == "value"

    def __str__(self) -> str:
        if self.of == "header":
            return f"{HEADER}{self.name}"
        pointer = "".join(f"/{part.replace('~', '~0').replace('/', '~1')}" for part in self.path or ())
        return {"topic": TOPIC, "value": pointer}.get(self.of, KEY if self.path is None else f"{KEY}:{pointer}")


def selector(text: Any) -> Selector:
    """Parse a selector. Raises ValueError with the forms that there are."""
    if not isinstance(text, str):
        raise ValueError(f"{text!r:.100} does not name a place in a record. {FORMS}")
    if text == TOPIC:
        return Selector("topic")
    if text.startswith(HEADER) and len(text) > len(HEADER):
        return Selector("header", name=text.removeprefix(HEADER))
    if text == KEY:
        return Selector("key")
    if text.startswith(f"{KEY}:"):
        return Selector("key", path=_path(text.removeprefix(f"{KEY}:"), text))
    return Selector("value", path=_path(text, text))


def _path(pointer: str, text: str) -> tuple[str, ...]:
    if pointer and (not pointer.startswith("/") or re.search("~(?![01])", pointer)):
        raise ValueError(f"{text!r:.100} does not name a place in a record. {FORMS}")
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])


def at(document: Any, path: Sequence[str]) -> Any:
    """Return the value that a pointer leads to; None if there is none."""
    for part in path:
        if isinstance(document, Mapping):
            document = document.get(part)
        elif isinstance(document, list) and _INDEX.fullmatch(part) and int(part) < len(document):
            document = document[int(part)]
        else:
            return None
    return document
