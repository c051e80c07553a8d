"""JSON schemas in the form that structured outputs take.

Providers take a subset of JSON Schema: closed objects with named properties, no recursion, and few limits. A schema is
rewritten so that each answer a model can give has one of the schema's shapes; limits that it cannot enforce go into the
descriptions, because the contract checks every answer afterwards. A schema is refused if the model could not give the
answer it asks for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import jsonschema

from streams.core.errors import ConfigError
from streams.core.reply_contract import DEFINITIONS
from streams.models.providers.schema_parts import ANNOTATIONS, FORMATS, parts

_UNSAID: Final = frozenset({"$schema", "$id", "$comment", "$anchor", DEFINITIONS})
"""Keywords that do not belong in a description; the definitions are kept at the root."""
_COMBINING: Final = ("anyOf", "oneOf", "allOf")
_SHAPING: Final = frozenset({"$ref", "type", "enum", "const", "properties", "items", "prefixItems", *_COMBINING})
_OF_TYPE: Final[Mapping[str, frozenset[str]]] = {
    "object": frozenset({"properties", "required", "additionalProperties", "patternProperties", "propertyNames",
        "minProperties", "maxProperties", "dependentRequired", "dependentSchemas", "unevaluatedProperties"}),
    "array": frozenset({"items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains", "minContains",
        "maxContains", "unevaluatedItems"}),
    "string": frozenset({"minLength", "maxLength", "pattern", "format"}),
    "number": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
}  # fmt: skip
_TAKEN: Final[Mapping[str, frozenset[str]]] = {
    "object": frozenset({"type", "properties", "required", "additionalProperties"}),
    "array": frozenset({"type", "items"}),
    **{kind: frozenset({"type"}) for kind in ("string", "integer", "number", "boolean", "null")},
    **{key: frozenset({key}) for key in ("$ref", "enum", "const", "anyOf")},
}
"""The keywords that the API takes in a part, by the part's type or else by the keyword that shapes it."""
_NUMBERS: Final = frozenset({"integer", "number"})
_OF_A_VALUE: Final = frozenset({"type", "enum", "const"}) | _OF_TYPE["string"] | _OF_TYPE["number"]
_FREE = "Name each property, or ask for an array of objects with a name and a value."


def whole(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema with the definitions that it uses."""
    definitions = _used(schema)
    plain = _plain(schema, "")
    if definitions:
        plain[DEFINITIONS] = {name: _plain(part, f"{DEFINITIONS}.{name}") for name, part in definitions.items()}
    return plain


def _plain(schema: Any, at: str) -> dict[str, Any]:
    """Rewrite one part, and all in it, in the keywords that the API has."""
    if schema is False:
        raise Misfit(at, "nothing is allowed there.", "Remove it.")
    if not isinstance(schema, dict) or not set(schema) - ANNOTATIONS:
        raise Misfit(at, "anything is allowed there.", "Give it a type.")
    part = {key: value for key, value in schema.items() if key not in _UNSAID}
    if "$ref" in part:
        return {"$ref": part["$ref"]}
    if "enum" in part or "const" in part:
        return _values(part, at)
    if any(key in part for key in _COMBINING):
        return _combined(part, at)
    kind = part.get("type") or _implied(part)
    if isinstance(kind, list):
        return _united(part, kind, at)
    match kind:
        case "object":
            made = _object({**part, "type": kind}, at)
        case "array":
            made = _array({**part, "type": kind}, at)
        case None:
            raise Misfit(at, "it names no type.", "Give it a type.")
        case _ if kind not in _TAKEN:
            raise Misfit(at, f"{kind} is not a type.", "Give it a type of JSON Schema.")
        case _:
            made = {**part, "type": kind}
    return made


def worded(part: Mapping[str, Any]) -> dict[str, Any]:
    """Return a part without the limits that the API does not take, which go into its description."""
    shape = part.get("type") or next(key for key in _TAKEN if key in part)
    taken = {key: value for key, value in part.items() if _takes(shape, key, value)}
    if limits := ", ".join(f"{key}: {value}" for key, value in part.items() if key not in taken):
        taken["description"] = f"{part['description']}\n\n{{{limits}}}" if "description" in part else f"{{{limits}}}"
    for key in ("properties", DEFINITIONS):
        if key in taken:
            taken[key] = {name: worded(inner) for name, inner in taken[key].items()}
    if "anyOf" in taken:
        taken["anyOf"] = [worded(variant) for variant in taken["anyOf"]]
    if "items" in taken:
        taken["items"] = worded(taken["items"])
    return taken


def _takes(shape: str, key: str, value: Any) -> bool:
    if shape == "string" and key == "format":
        return value in FORMATS
    if shape == "array" and key == "minItems":
        return value in (0, 1)
    return key in _TAKEN[shape] or key in ("title", "description", DEFINITIONS)


def _implied(part: Mapping[str, Any]) -> str | None:
    return "object" if "properties" in part else "array" if "items" in part else None


def _values(part: dict[str, Any], at: str) -> dict[str, Any]:
    """Return an enum or a const, with only the values that the part's other keywords allow."""
    values = part["enum"] if "enum" in part else [part["const"]]
    allowed = jsonschema.Draft202012Validator({key: value for key, value in part.items() if key in _OF_A_VALUE})
    kept = [value for value in values if allowed.is_valid(value)]
    if not kept:
        raise Misfit(at, "none of its values is allowed.", "Correct the enum, or the keywords beside it.")
    if any(isinstance(value, dict | list) for value in kept):
        raise Misfit(at, "one of its values is an object or an array.", "Write such a value as an object of consts.")
    words = _words(part)
    return {**words, "const": kept[0]} if "const" in part else {**words, "enum": kept}


def _united(part: dict[str, Any], kinds: Iterable[str], at: str) -> dict[str, Any]:
    """Return a part of several types as anyOf; each variant has the keywords of its type."""
    words = _words(part)
    variants = [{"type": kind, **_for_type(part, kind)} for kind in kinds]
    if len(variants) == 1:
        return {**words, **_plain(variants[0], at)}
    return {**words, "anyOf": [_plain(variant, at) for variant in variants]}


def _words(part: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in part.items() if key in ("title", "description")}


def _for_type(part: Mapping[str, Any], kind: str) -> dict[str, Any]:
    own = _OF_TYPE.get("number" if kind == "integer" else kind, frozenset())
    return {key: value for key, value in part.items() if key in own}


def _combined(part: dict[str, Any], at: str) -> dict[str, Any]:
    """Return a part with anyOf, oneOf or allOf: its variants, or the rest where the variants only limit it."""
    combining = [key for key in _COMBINING if key in part]
    beside = {key: value for key, value in part.items() if key not in _COMBINING}
    shaped = [key for key in combining if any(shapes(variant) for variant in part[key])]
    if shaped and beside.get("additionalProperties", True) not in (True, {}):
        what = f"its additionalProperties does not see the properties in {shaped[0]}, and allows none of them."
        raise Misfit(at, what, "Write additionalProperties beside the properties.")
    kind = beside.get("type")
    if isinstance(kind, str) and not set(beside) & (_SHAPING - {"type"}) and shaped in (["anyOf"], ["oneOf"]):
        variants = [_narrowed(variant, kind) for variant in part[shaped[0]]]
        return _either(_words(beside), variants, at)
    if not shaped:
        return _plain(beside, at)
    if len(shaped) > 1 or set(beside) & _SHAPING:
        what = f"{' and '.join(shaped)} is combined with another shape."
        raise Misfit(at, what, "Write each variant out, with all that it has.")
    if shaped != ["allOf"]:
        return _either(beside, part[shaped[0]], at)
    members = [member for member in part["allOf"] if shapes(member)]
    if len(members) > 1:
        raise Misfit(at, "allOf joins several shapes.", "Write them as one.")
    return _plain({**beside, **members[0]}, at)


def _narrowed(variant: Any, kind: str) -> Any:
    """Return a variant that is also of a type; False where that is impossible."""
    if not isinstance(variant, dict) or "$ref" in variant:
        return {"type": kind} if variant is True else variant
    own = variant.get("type", kind)
    kinds = {*own} if isinstance(own, list) else {own}
    if kind not in kinds and not (kind in _NUMBERS and kinds & _NUMBERS):
        return False
    return {**variant, "type": "integer" if "integer" in kinds and kind == "number" and len(kinds) == 1 else kind}


def _either(beside: Mapping[str, Any], variants: list[Any], at: str) -> dict[str, Any]:
    if not (possible := [variant for variant in variants if variant is not False]):
        raise Misfit(at, "none of its variants is allowed.", "Give it one.")
    return {**beside, "anyOf": [_plain(variant, at) for variant in possible]}


def shapes(schema: Any) -> bool:
    """True if a schema gives a shape, and not only limits."""
    return not isinstance(schema, dict) or bool(set(schema) & _SHAPING) or not set(schema) - ANNOTATIONS


def _object(part: dict[str, Any], at: str) -> dict[str, Any]:
    named = {name: inner for name, inner in part.get("properties", {}).items() if inner is not False}
    further = part.get("additionalProperties", True)
    if further not in (True, False, {}):
        raise Misfit(at, "its property names are free (additionalProperties with a schema).", _FREE)
    if not named and (further is not False or "patternProperties" in part):
        raise Misfit(at, "an object without named properties, of which a model can only write {}.", _FREE)
    if missing := sorted(set(part.get("required", ())) - set(named)):
        raise Misfit(at, f"it requires {', '.join(missing)}, which is not among its properties.", "Describe it there.")
    if part.get("minProperties", 0) > len(named):
        raise Misfit(at, f"it needs {part['minProperties']} properties and names {len(named)}.", _FREE)
    inner = {name: _plain(one, f"{at}.{name}" if at else name) for name, one in named.items()}
    return {**part, "properties": inner, "additionalProperties": False}


def _array(part: dict[str, Any], at: str) -> dict[str, Any]:
    if "prefixItems" in part:
        raise Misfit(
            at, "its items differ by place (prefixItems).", "Ask for an object with a property for each place."
        )
    if part.get("items") in (None, True, False, {}):
        raise Misfit(at, "an array that does not say of what.", "Give it `items` with a type.")
    return {**part, "items": _plain(part["items"], f"{at}[]")}


def _used(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the definitions that the schema uses. Refuses recursive ones."""
    definitions, used = schema.get(DEFINITIONS, {}), dict[str, Any]()

    def follow(part: Any, path: tuple[str, ...]) -> None:
        for _, inner in parts(part):
            if (reference := inner.get("$ref")) is None:
                continue
            name = str(reference).removeprefix(f"#/{DEFINITIONS}/").replace("~1", "/").replace("~0", "~")
            if name not in definitions:
                raise Misfit(
                    str(reference), "it refers to a part of a definition.", f"Refer to a name in {DEFINITIONS}."
                )
            if name in path:
                raise Misfit(
                    f"{DEFINITIONS}.{name}", "it leads back to itself.", "Write out as many levels as you need."
                )
            if name not in used:
                used[name] = definitions[name]
                follow(definitions[name], (*path, name))

    follow({key: part for key, part in schema.items() if key != DEFINITIONS}, ())
    return used


class Misfit(Exception):  # noqa: N818 - it never leaves the providers
    """A part of a schema that structured outputs have no form for."""

    def __init__(self, at: str, what: str, remedy: str) -> None:
        super().__init__(what)
        self.at, self.what, self.remedy = at, what, remedy


@contextmanager
def held_to(name: str) -> Iterator[None]:
    """Turn what is wrong with a schema into a ConfigError of the provider of that name."""
    try:
        yield
    except Misfit as misfit:
        raise _config_error(name, misfit.at, misfit.what, misfit.remedy) from misfit
    except (ValueError, TypeError, AttributeError, RecursionError, re.error) as error:
        raise _config_error(name, "", f"{error}", "Give every part one type, an enum, a const or anyOf.") from error


def _config_error(name: str, at: str, what: str, remedy: str) -> ConfigError:
    where = f" at {at}" if at else ""
    return ConfigError(f"{name} cannot be held to this JSON schema{where}: {what}", remedy, "schema")
