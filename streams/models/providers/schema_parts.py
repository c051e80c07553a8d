"""The parts of a JSON schema, and the keywords in them that a provider does not enforce."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

ANNOTATIONS: Final = frozenset(
    {"$schema", "$id", "$comment", "$anchor", "$defs", "title", "description", "default", "examples", "deprecated",
     "readOnly", "writeOnly", "contentMediaType", "contentEncoding", "contentSchema"}
)  # fmt: skip
"""Keywords of draft 2020-12 that no answer can break."""
ASSERTIONS: Final = frozenset(
    {"$ref", "$dynamicRef", "type", "enum", "const", "anyOf", "oneOf", "allOf", "not", "if", "then", "else",
     "properties", "required", "additionalProperties", "patternProperties", "propertyNames", "minProperties",
     "maxProperties", "dependentRequired", "dependentSchemas", "dependencies", "unevaluatedProperties", "items",
     "prefixItems", "minItems", "maxItems", "uniqueItems", "contains", "minContains", "maxContains",
     "unevaluatedItems", "minLength", "maxLength", "pattern", "format", "minimum", "maximum", "exclusiveMinimum",
     "exclusiveMaximum", "multipleOf"}
)  # fmt: skip
"""Keywords of draft 2020-12 that an answer can break."""
FORMATS: Final = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
)
"""Formats that Claude and llama.cpp hold a text to."""
_BY_NAME: Final = ("properties", "patternProperties", "dependentSchemas", "$defs")
_IN_ORDER: Final = ("anyOf", "oneOf", "allOf", "prefixItems")
_ALONE: Final = ("items", "additionalProperties", "contains", "not", "if", "then", "else", "propertyNames")

Part = tuple[str, Mapping[str, Any]]
Enforced = Callable[[str, Mapping[str, Any]], bool]
"""True if a provider enforces a keyword of a part."""


def parts(schema: Any, at: str = "") -> Iterator[Part]:
    """Yield the schema and every schema in it, each with its place, as in `answer.lines[].sku`."""
    if not isinstance(schema, Mapping):
        return
    yield at, schema
    for key in _BY_NAME:
        for name, inner in _mapping(schema.get(key)).items():
            yield from parts(inner, _joined(f"{key}.{name}" if key == "$defs" else at, "" if key == "$defs" else name))
    for key in _IN_ORDER:
        for inner in _sequence(schema.get(key)):
            yield from parts(inner, at)
    for key in _ALONE:
        yield from parts(schema.get(key), f"{at}[]" if key in ("items", "contains") else at)


def not_enforced(schema: Mapping[str, Any], enforced: Enforced) -> dict[str, list[str]]:
    """Return the keywords that an answer can break all the same, each with its place; without the contract's own."""
    found: dict[str, list[str]] = {}
    for at, part in parts(schema):
        for key in part:
            if key in ASSERTIONS and not enforced(key, part) and at.partition(".")[0] != "refusal":
                places = found.setdefault(key, [])
                places += [at] if at not in places else []
    return found


def _joined(at: str, name: str) -> str:
    return f"{at}.{name}" if at and name else at or name


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _sequence(value: Any) -> Sequence[Any]:
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()
