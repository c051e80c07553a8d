"""JSON schemas as grammars of llama.cpp.

llama.cpp is asked to ignore unknown keywords, because the contract checks every answer afterwards; without that, one
unknown keyword switches the whole grammar off. A schema that still does not compile is refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import islice
from typing import Any, Final

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from jsonschema.validators import validator_for

from streams.core.errors import ConfigError, ModelError
from streams.models.providers.local_probe import holds
from streams.models.providers.schema_parts import ASSERTIONS, FORMATS, not_enforced, parts

# Free white space between the parts of the answer lets small models write nothing else until the end.
GUIDANCE: Final = {
    "whitespace_flexible": False,
    "item_separator": ", ",
    "key_separator": ": ",
    "lenient": True,
}
MOST_TRIES: Final = 300
"""Compilations in the search for the keyword at fault."""
_PASSED_OVER: Final = frozenset(
    {"$dynamicRef", "oneOf", "not", "if", "then", "else", "propertyNames", "dependentRequired", "dependentSchemas",
     "dependencies", "unevaluatedProperties", "uniqueItems", "contains", "minContains", "maxContains",
     "unevaluatedItems"}
)  # fmt: skip
"""`oneOf` is taken as `anyOf`."""

_REMEDY: Final = (
    "What it asks for must be possible, and a pattern may not look around or back. Write it in another way, or say it "
    "in the prompt; answers are checked against the schema in any case."
)


@lru_cache(maxsize=64)
def grammar(schema: str) -> str:
    """Return the grammar of answers that follow the schema, both as text. Raises ModelError for a broken schema."""
    rules = json.loads(schema)
    try:
        validator_for(rules, default=Draft202012Validator).check_schema(rules)
    except SchemaError as error:
        raise bad_request(f"the answer's schema is not a JSON schema: {error.message}") from error
    return "%llguidance {}\nstart: %json " + json.dumps({**rules, "x-guidance": GUIDANCE})


def check_grammar(schema: Mapping[str, Any]) -> None:
    """Raise ConfigError, which names the keyword at fault, for a schema that llama.cpp cannot hold a model to.

    Needs the library, blocks for some 100 ms. Impossible variants are lost silently, so check alone what must be
    possible.
    """
    if holds(grammar(json.dumps(schema))):
        return
    at, fault = next(_faults(schema), ("", "several of its parts cannot be compiled"))
    what = f"llama.cpp cannot hold a model to this JSON schema{f' at {at}' if at else ''}: {fault}."
    raise ConfigError(what, _REMEDY, "schema")


def _faults(schema: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each keyword without which the schema compiles, the innermost first, with its place."""
    found = [(number, at, key) for number, (at, part) in enumerate(parts(schema)) for key in part if key in ASSERTIONS]
    for number, at, key in found[: -MOST_TRIES - 1 : -1]:
        without: dict[str, Any] = json.loads(json.dumps(schema))
        _, part = next(islice(parts(without), number, None))
        assert isinstance(part, dict)  # noqa: S101 - as json made it
        fault = f"{key} = {json.dumps(part.pop(key), ensure_ascii=False):.200}"
        if holds(grammar(json.dumps(without))):
            yield at, fault


def unenforced(schema: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the keywords that llama.cpp does not hold a model to, each with its place."""
    return not_enforced(schema, _enforces)


def _enforces(key: str, part: Mapping[str, Any]) -> bool:
    if key == "format":
        return part[key] in FORMATS
    if key in ("minProperties", "maxProperties"):
        return set(part.get("properties", ())) <= set(part.get("required", ()))
    return key not in _PASSED_OVER


def bad_request(what: str) -> ModelError:
    """Return the error for a request that no retry would help."""
    return ModelError("bad_request", f"{what[0].upper()}{what[1:]}.", retryable=False)
