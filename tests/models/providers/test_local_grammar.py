"""Schemas for llama.cpp, compiled by the library itself."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from streams.core.errors import ConfigError
from streams.core.reply_contract import Contract
from streams.models.providers.local import LocalModel
from streams.models.providers.local_grammar import check_grammar, grammar, unenforced
from streams.models.providers.local_probe import holds
from streams.models.providers.protocol import ModelRequest
from tests.harness.claude_schemas import NAME, named, schemas

LOCAL = pytest.importorskip("xllamacpp")
PASSED_OVER: dict[str, Any] = {
    "uniqueItems": {"type": "array", "items": NAME, "uniqueItems": True},
    "contains": {"type": "array", "items": NAME, "contains": {"const": "a"}},
    "not": {"type": "string", "not": {"const": "a"}},
    "if": named(a=NAME) | {"if": named(a={"const": "b"}), "then": named(b=NAME)},
    "format": {"type": "string", "format": "idn-email"},
    "oneOf": {"oneOf": [{"type": "string", "maxLength": 3}, {"type": "string", "minLength": 2}]},
    "propertyNames": {"type": "object", "propertyNames": {"pattern": "^a"}},
    "dependentRequired": named(a=NAME) | {"dependentRequired": {"a": ["b"]}},
    "unevaluatedProperties": named(a=NAME) | {"unevaluatedProperties": False},
    "minProperties": {"type": "object", "properties": {"a": NAME, "b": NAME}, "minProperties": 1},
}
IMPOSSIBLE: list[tuple[str, Any, str, str]] = [
    ("look-around", named(sku={"type": "string", "pattern": "^(?=A)[A-Z]+$"}), "at answer.sku", "pattern ="),
    ("a back reference", named(a=named(b={"type": "string", "pattern": "(a)\\1"})), "at answer.a.b", "pattern ="),
    ("a word boundary", {"type": "array", "items": {"type": "string", "pattern": "\\bA"}}, "at answer[]", "pattern ="),
    ("bounds that cross", named(n={"type": "integer", "minimum": 5, "maximum": 4}), "at answer.n", "m"),
    ("no value", named(a={"enum": []}), "at answer.a", "enum = []"),
    (
        "a closed object without what it requires",
        {"type": "object", "required": ["a"], "additionalProperties": False},
        "at answer",
        "additionalProperties",
    ),
    (
        "names that two patterns match",
        {"type": "object", "patternProperties": {"^a": NAME, "^ab": {"type": "integer"}}},
        "at answer",
        "patternProperties",
    ),
]


def wire(schema: Any, refusal: Any = "none") -> dict[str, Any]:
    return dict(Contract(schema=schema, refusal=refusal).wire_schema or {})


def compiles(schema: Any) -> bool:
    return holds(grammar(json.dumps(wire(schema))))


@pytest.mark.parametrize("keyword", PASSED_OVER)
def test_a_keyword_that_cannot_be_enforced_is_passed_over_and_named(keyword: str) -> None:
    assert compiles(PASSED_OVER[keyword])
    assert next(iter(unenforced(wire(PASSED_OVER[keyword])))) == keyword


@pytest.mark.parametrize(("name", "schema", "place", "said"), IMPOSSIBLE, ids=[name for name, *_ in IMPOSSIBLE])
def test_what_cannot_be_compiled_is_refused_with_the_keyword_at_fault(
    name: str, schema: Any, place: str, said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        check_grammar(wire(schema))
    assert place in caught.value.what, name
    assert said in caught.value.what
    assert (caught.value.key, bool(caught.value.remedy)) == ("schema", True)


def test_the_probe_distinguishes_a_grammar_from_none() -> None:
    assert holds('%llguidance {}\nstart: %json {"type": "object"}')
    assert not holds('%llguidance {}\nstart: %json {"type": "strange"}')
    assert not holds("nonsense")


def test_a_good_schema_has_nothing_to_say() -> None:
    schema = named(a={"type": "string", "pattern": "^[A-Z]{3}$", "maxLength": 9}, n={"type": "integer", "minimum": 1})
    check_grammar(wire(schema, "field"))
    assert unenforced(wire(schema, "field")) == {}


@pytest.mark.weights
@pytest.mark.parametrize("schema", PASSED_OVER.values(), ids=PASSED_OVER)
async def test_a_real_model_is_held_to_the_rest(small_weights: Path, schema: Any) -> None:
    model = LocalModel(small_weights, threads=1, context=256, parallel=1)
    request = ModelRequest(model="m", system="", prompt="Write a poem.", max_tokens=4, schema=wire(schema))
    reply = await model.ask(request, 60)
    await model.close()
    assert reply.text.startswith('{"answer": ')


@pytest.mark.weights
async def test_a_model_that_could_not_be_held_to_its_schema_is_not_asked(small_weights: Path) -> None:
    model = LocalModel(small_weights, threads=1, context=256, parallel=1)
    schema = wire({"type": "string", "pattern": "(?=a)b"})
    with pytest.raises(Exception, match="cannot hold the model") as caught:
        await model.ask(ModelRequest(model="m", system="", prompt="Write.", max_tokens=4, schema=schema), 60)
    await model.close()
    assert getattr(caught.value, "error_type", None) == "bad_request"


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(schemas)
def test_any_schema_compiles_or_is_refused(schema: Any) -> None:
    whole = wire({**schema, "$defs": {"d": {"type": "string", "maxLength": 3}}})
    good = holds(grammar(json.dumps(whole)))
    with nullcontext() if good else pytest.raises(ConfigError, match="cannot hold"):
        check_grammar(whole)
