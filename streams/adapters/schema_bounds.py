"""Limits on foreign schemas, so that a small message cannot expand into a large value.

An Avro decoder follows the schema, not the message. With a schema that refers to itself, a few bytes nest beyond the
decoder's stack; with an array of items of no bytes, a few bytes mean billions of items.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

MAX_LEVELS: Final = 64
MAX_TYPES: Final = 10_000
VALUES_PER_BYTE: Final = 16
"""Values that an array's item may hold for each of its least bytes."""
_LEAST: Final[Mapping[str, int]] = {"null": 0, "float": 4, "double": 8}
"""The least bytes of a primitive type; 1 if not listed."""


@dataclass(frozen=True, slots=True)
class _Size:
    """The least bytes of one value, and the most values in it, without those of nested arrays."""

    least: int
    values: int


def unbounded(schema: Any, *referenced: Any) -> str | None:
    """Return the reason why a parsed schema must not be used for reading; None if it may.

    `referenced` are the parsed schemas with the types that it refers to, each after those that it refers to itself.
    """
    walk = _Walk()
    try:
        for one in (*referenced, schema):
            walk.size(one, 1)
    except ValueError as error:
        return str(error)
    return None


class _Walk:
    """One walk through a schema. Raises ValueError for an unbounded part."""

    def __init__(self) -> None:
        self._named: dict[str, _Size | None] = {}
        self._types = 0

    def size(self, schema: Any, level: int) -> _Size:
        self._types += 1
        if level > MAX_LEVELS or self._types > MAX_TYPES:
            raise ValueError(f"it has more than {MAX_LEVELS} levels or {MAX_TYPES} types")
        if isinstance(schema, str):
            return self._reference(schema)
        if isinstance(schema, list):
            sizes = [self.size(one, level + 1) for one in schema]
            return _Size(
                1 + min((one.least for one in sizes), default=0), max((one.values for one in sizes), default=1)
            )
        kind = schema["type"]
        if kind in ("array", "map"):
            return self._repeated(schema["items"] if kind == "array" else schema["values"], kind, level)
        if kind in ("record", "error"):
            return self._record(schema, level)
        if kind in ("enum", "fixed"):
            size = _Size(1 if kind == "enum" else int(schema["size"]), 1)
            self._named[schema["name"]] = size
            return size
        return self.size(kind, level + 1)

    def _reference(self, name: str) -> _Size:
        if name not in self._named:
            return _Size(_LEAST.get(name, 1), 1)
        known = self._named[name]
        if known is None:
            raise ValueError(f"{name} refers to itself")
        return known

    def _repeated(self, items: Any, kind: str, level: int) -> _Size:
        item = self.size(items, level + 1)
        least = item.least + (kind == "map")
        if item.values > VALUES_PER_BYTE * least:
            raise ValueError(f"an item of an {kind} may hold {item.values} values in {least} bytes")
        return _Size(1, 1)

    def _record(self, schema: Mapping[str, Any], level: int) -> _Size:
        name = schema["name"]
        self._named[name] = None
        sizes = [self.size(field["type"], level + 1) for field in schema["fields"]]
        size = _Size(sum(one.least for one in sizes), 1 + sum(one.values for one in sizes))
        self._named[name] = size
        return size
