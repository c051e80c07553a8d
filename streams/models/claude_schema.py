"""JSON schemas in the form Claude's structured output takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anthropic

from streams.core.errors import ConfigError

# Keys that describe the schema document; left in, they would end up in a description the model reads.
_DOCUMENT_KEYS = frozenset({"$schema", "$id", "$comment"})


def strict_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of `schema` as the API takes it: closed objects; limits it cannot enforce move to descriptions.

    Raises ConfigError for a schema the API has no form of.
    """
    try:
        return anthropic.transform_schema(_plain(schema))
    except (ValueError, TypeError, AttributeError, AssertionError) as error:
        raise ConfigError(
            f"Claude cannot be held to this JSON schema: {error}",
            "Give every part one type, an enum, a const or anyOf, and every object its properties by name.",
            "schema",
        ) from error


def _plain(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A deep copy in which a list of types has become anyOf, the only form of it the API takes."""
    if isinstance(schema.get("additionalProperties"), Mapping):
        raise ValueError("an object whose property names are free (additionalProperties with a schema).")
    plain = {key: _part(key, value) for key, value in schema.items() if key not in _DOCUMENT_KEYS}
    types = plain.get("type")
    if not isinstance(types, list | tuple):
        return plain
    if "enum" in plain or "const" in plain:
        return {key: value for key, value in plain.items() if key != "type"}
    shared: dict[str, Any] = {key: plain.pop(key) for key in ("title", "description", "$defs") if key in plain}
    variants = [{"type": name} if name == "null" else {**plain, "type": name} for name in types]
    return {**shared, "anyOf": variants}


def _part(key: str, value: Any) -> Any:
    match key:
        case "properties" | "$defs":
            return {name: _plain(part) for name, part in value.items()}
        case "anyOf" | "oneOf" | "allOf":
            return [_plain(part) for part in value]
        case "items":
            return _plain(value)
        case _:
            return value
