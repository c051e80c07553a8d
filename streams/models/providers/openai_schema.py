"""JSON schemas in the form that the Chat Completions API's structured output takes.

OpenAI's strict schemas have an object at the root, and all its properties are required
(https://platform.openai.com/docs/guides/structured-outputs#supported-schemas). So a property that the file leaves
optional may be null, and `nulls_absent` reads such a null as what it stands for. Servers that compile a grammar take
optional properties.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from streams.core.reply_contract import DEFINITIONS
from streams.models.providers.closed_schema import Misfit, held_to, whole, worded
from streams.models.providers.schema_parts import FORMATS

_NULL: Final = {"type": "null"}
_FORMATS: Final = FORMATS - {"uri"}
_NAME: Final = "The model's server"


def response_format(schema: Mapping[str, Any], *, all_required: bool) -> dict[str, Any]:
    """Return the request's `response_format`. Raises ConfigError, which names the part that has no form."""
    made = _strict(json.dumps(schema, default=dict), all_required)
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": made}}


@lru_cache(maxsize=64)
def _strict(text: str, all_required: bool) -> Mapping[str, Any]:
    with held_to(_NAME):
        made = worded(whole(json.loads(text)))
        return _required(_rooted(made)) if all_required else made


def _rooted(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema with an object at its root: of several objects one with the properties of all."""
    variants = schema.get("anyOf", [schema])
    if any(variant.get("type") != "object" for variant in variants):
        raise Misfit("", "its root is not an object.", "Ask for an object with the answer in it.")
    if len(variants) == 1:
        return schema
    named: dict[str, Any] = {}
    for variant in variants:
        if twice := sorted(named.keys() & variant["properties"].keys()):
            raise Misfit(twice[0], "two objects at its root have this property.", "Write them as one object.")
        named |= variant["properties"]
    rest = {key: part for key, part in schema.items() if key != "anyOf"}
    return {**rest, "type": "object", "properties": named, "required": [], "additionalProperties": False}


def _required(part: dict[str, Any]) -> dict[str, Any]:
    """Return a part in which each property is required, and may be null where it was optional."""
    made = dict(part)
    if made.get("format") not in (None, *_FORMATS):
        made["description"] = f"{made.get('description', '')} {{format: {made.pop('format')}}}".strip()
    for key in ("properties", DEFINITIONS):
        if key in made:
            made[key] = {name: _required(inner) for name, inner in made[key].items()}
    if "anyOf" in made:
        made["anyOf"] = [_required(variant) for variant in made["anyOf"]]
    if "items" in made:
        made["items"] = _required(made["items"])
    if "properties" in made:
        needed, named = set(made.get("required", ())), made["properties"]
        made["properties"] = {name: one if name in needed else _or_null(one) for name, one in named.items()}
        made["required"] = list(named)
    return made


def _or_null(part: dict[str, Any]) -> dict[str, Any]:
    if part.get("type") == "null" or _NULL in part.get("anyOf", ()):
        return part
    if "enum" in part and None in part["enum"]:
        return part
    variants = part["anyOf"] if set(part) == {"anyOf"} else [part]
    return {"anyOf": [*variants, _NULL]}


def nulls_absent(text: str, schema: Mapping[str, Any] | None) -> str:
    """Return a reply without the nulls of its answer that stand for an optional property.

    `schema` is the answer's. A text that is not the JSON object of the contract is returned as it is.
    """
    if schema is None or "null" not in text:
        return text
    try:
        value = json.loads(text)
        if not isinstance(value, dict) or "answer" not in value:
            return text
        definitions = {key: part for key, part in schema.items() if key == DEFINITIONS}
        kept = _without_nulls(value["answer"], schema, _fits(definitions))
        return json.dumps({**value, "answer": kept}, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


Fits = Callable[[Any, Mapping[str, Any]], bool]


def _fits(definitions: Mapping[str, Any]) -> Fits:
    import jsonschema  # here: a handler without a schema does not load it

    def fits(value: Any, schema: Mapping[str, Any]) -> bool:
        return bool(jsonschema.Draft202012Validator({**schema, **definitions}).is_valid(value))

    return fits


def _without_nulls(value: Any, schema: Any, fits: Fits) -> Any:
    if not isinstance(schema, Mapping) or not isinstance(value, dict | list):
        return value
    for key in ("anyOf", "oneOf"):
        tried = (_without_nulls(value, variant, fits) for variant in schema.get(key, ()))
        value = next((one for one in tried if fits(one, {key: schema[key]})), value)
    for member in schema.get("allOf", ()):
        value = _without_nulls(value, member, fits)
    if isinstance(value, list):
        return [_without_nulls(item, schema.get("items"), fits) for item in value]
    named, needed = schema.get("properties", {}), schema.get("required", ())
    return {
        name: _without_nulls(inner, named.get(name), fits)
        for name, inner in value.items()
        if inner is not None or name in needed or name not in named or fits(None, named[name])
    }
