"""JSON schemas as grammars of llama.cpp.

The grammar is asked to pass over what it does not know, for the contract checks every answer afterwards; without that,
one unknown keyword switches the whole grammar off. What still cannot be compiled is refused.
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
"""Compilations for the search of what is at fault."""
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
    """The grammar of answers that follow the schema, both as text. Raises ModelError for what is not a schema."""
    rules = json.loads(schema)
    try:
        validator_for(rules, default=Draft202012Validator).check_schema(rules)
    except SchemaError as error:
        raise bad_request(f"the answer's schema is not a JSON schema: {error.message}") from error
    return "%llguidance {}\nstart: %json " + json.dumps({**rules, "x-guidance": GUIDANCE})


def check_grammar(schema: Mapping[str, Any]) -> None:
    """Raise ConfigError, which names the keyword at fault, for a schema that llama.cpp cannot hold a model to.

    Needs the library, blocks for some 100 ms. Of variants the impossible ones are lost in silence, so what must be
    possible is to be checked alone.
    """
    if holds(grammar(json.dumps(schema))):
        return
    at, fault = next(_faults(schema), ("", "several of its parts cannot be compiled"))
    what = f"llama.cpp cannot hold a model to this JSON schema{f' at {at}' if at else ''}: {fault}."
    raise ConfigError(what, _REMEDY, "schema")


def _faults(schema: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each keyword without which the schema compiles, the innermost first, with where it stands."""
    found = [(number, at, key) for number, (at, part) in enumerate(parts(schema)) for key in part if key in ASSERTIONS]
    for number, at, key in found[: -MOST_TRIES - 1 : -1]:
        without: dict[str, Any] = json.loads(json.dumps(schema))
        _, part = next(islice(parts(without), number, None))
        assert isinstance(part, dict)  # noqa: S101 - as json made it
        fault = f"{key} = {json.dumps(part.pop(key), ensure_ascii=False):.200}"
        if holds(grammar(json.dumps(without))):
            yield at, fault


def unenforced(schema: Mapping[str, Any]) -> dict[str, list[str]]:
    """The keywords that llama.cpp does not hold a model to, each with where it stands."""
    return not_enforced(schema, _enforces)


def _enforces(key: str, part: Mapping[str, Any]) -> bool:
    if key == "format":
        return part[key] in FORMATS
    if key in ("minProperties", "maxProperties"):
        return set(part.get("properties", ())) <= set(part.get("required", ()))
    return key not in _PASSED_OVER


def bad_request(what: str) -> ModelError:
    """A request that is wrong, however often it is made."""
    return ModelError("bad_request", f"{what[0].upper()}{what[1:]}.", retryable=False)
