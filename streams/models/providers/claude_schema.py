"""JSON schemas in the form that Claude's structured output takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from streams.models.providers.closed_schema import Misfit, held_to, shapes, whole, worded
from streams.models.providers.schema_parts import FORMATS, not_enforced, parts

MOST_OPTIONAL: Final = 24
"""Properties that are not required, in one request, according to the provider."""
MOST_UNIONS: Final = 16
"""Parts with anyOf or with several types, in one request, according to the provider."""
_ENFORCED: Final = frozenset(
    {"$ref", "type", "enum", "const", "anyOf", "properties", "required", "additionalProperties", "items", "allOf"}
)


def strict_schema(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema for the API; the caller must not change it.

    Raises ConfigError, which names the part, for a schema that the API cannot express.
    """
    return _strict(json.dumps(schema, default=dict))


def unenforced(schema: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the keywords that Claude is asked for but not held to, each with its place."""
    return not_enforced(schema, _enforces)


def _enforces(key: str, part: Mapping[str, Any]) -> bool:
    if "$ref" in part and key != "type":
        return key == "$ref"
    match key:
        case "format":
            return part[key] in FORMATS
        case "minItems":
            return part[key] in (0, 1)
        case "oneOf":
            return len(part[key]) == 1 and shapes(part[key][0])
        case "anyOf" | "allOf":
            return any(shapes(variant) for variant in part[key])
        case "additionalProperties":
            return part[key] is not True
        case "required":
            return "properties" in part  # beside variants, only their own count
        case _:
            return key in _ENFORCED


@lru_cache(maxsize=64)
def _strict(text: str) -> Mapping[str, Any]:
    with held_to("Claude"):
        plain = whole(json.loads(text))
        _count(plain)
        return worded(plain)


def _count(schema: Mapping[str, Any]) -> None:
    """Refuse more optional properties or unions than a request may have."""
    found = list(parts(schema))
    optional = sum(len(set(part.get("properties", ())) - set(part.get("required", ()))) for _, part in found)
    unions = sum("anyOf" in part for _, part in found[1:])
    if optional > MOST_OPTIONAL:
        what = f"{optional} of its properties are optional, and {MOST_OPTIONAL} may be."
        raise Misfit("", what, "Require more of them, or split the handler.")
    if unions > MOST_UNIONS:
        what = f"{unions} of its parts have several types, and {MOST_UNIONS} may."
        raise Misfit("", what, "Give more of them one type, or split the handler.")
