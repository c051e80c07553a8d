"""Schemas for Claude: what it is asked for is what the API takes, and what it could not answer is refused."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import jsonschema
import pytest
from hypothesis import HealthCheck, assume, event, example, given, settings
from hypothesis import strategies as st

from streams.core.errors import ConfigError
from streams.core.reply_contract import Contract, check_schema
from streams.models.providers.claude_schema import strict_schema, unenforced
from streams.models.providers.schema_parts import ASSERTIONS, parts
from tests.harness.claude_schemas import NAME, named, schemas
from tests.harness.fakes.messages_outcomes import answer_by_schema
from tests.harness.fakes.messages_wire import wrong_with_schema


@pytest.mark.parametrize(
    ("schema", "place", "said"),
    [
        ({"type": "object"}, "", "only write {}"),
        (named(a={"type": "object"}), "at a:", "only write {}"),
        (named(a={"type": "object", "additionalProperties": True}), "at a:", "only write {}"),
        (named(a={"type": "object", "patternProperties": {"^x": NAME}}), "at a:", "only write {}"),
        (named(a={"type": ["object", "null"]}), "at a:", "only write {}"),
        (named(a={"type": "array", "items": {"type": "object"}}), "at a[]:", "only write {}"),
        (named(a={"type": "object", "additionalProperties": NAME}), "at a:", "names are free"),
        (named(a={"type": "object", "properties": {"x": NAME}, "minProperties": 2}), "at a:", "needs 2"),
        (named(a={"type": "array"}), "at a:", "of what"),
        (named(a={"type": "array", "items": True}), "at a:", "of what"),
        (named(a={"type": "array", "prefixItems": [NAME]}), "at a:", "by place"),
        (named(a={}), "at a:", "anything"),
        (named(a=True), "at a:", "anything"),
        (named(a={"maxLength": 3}), "at a:", "no type"),
        (named(a={"enum": []}), "at a:", "none of its values"),
        (named(a={"type": "string", "enum": [1, 2]}), "at a:", "none of its values"),
        (named(a={"enum": ["x", {"y": 1}]}), "at a:", "an object or an array"),
        (named(a={"const": [1]}), "at a:", "an object or an array"),
        ({"type": "object", "properties": {"a": NAME}, "required": ["b"]}, "", "requires b"),
        (named(a={"allOf": [named(x=NAME), named(y=NAME)]}), "at a:", "joins several"),
        (named(a={**named(x=NAME), "anyOf": [named(y=NAME), named(z=NAME)]}), "at a:", "combined with another"),
        (named(a={"anyOf": [False]}), "at a:", "none of its variants"),
        (named(a={"$ref": "#/$defs/t", "$x": 1}) | {"$defs": {"t": named(t={"$ref": "#/$defs/t"})}}, "$defs.t", "back"),
        (
            named(a={"$ref": "#/$defs/t"})
            | {"$defs": {"t": named(u={"$ref": "#/$defs/u"}), "u": {"type": "array", "items": {"$ref": "#/$defs/t"}}}},
            "$defs.t",
            "leads back",
        ),
        (named(a={"$ref": "#/$defs/t/properties/x"}) | {"$defs": {"t": named(x=NAME)}}, "", "part of a definition"),
        ({"type": "object", "properties": {f"p{n}": NAME for n in range(25)}}, "", "25 of its properties are optional"),
        (named(**{f"p{n}": {"type": ["string", "null"]} for n in range(17)}), "", "17 of its parts"),
    ],
)
def test_what_claude_could_not_say_is_refused_with_its_place_and_a_remedy(
    schema: dict[str, Any], place: str, said: str
) -> None:
    check_schema(schema)
    with pytest.raises(ConfigError, match=said.replace("{", r"\{")) as caught:
        strict_schema(schema)
    assert place in caught.value.what
    assert (caught.value.key, bool(caught.value.remedy)) == ("schema", True)


@pytest.mark.parametrize(
    ("part", "strict"),
    [
        ({"type": "string", "enum": ["a", 1, None]}, {"enum": ["a"]}),
        ({"type": ["string", "null"], "enum": ["a", 1, None]}, {"enum": ["a", None]}),
        ({"type": ["string"]}, {"type": "string"}),
        ({"allOf": [{"$ref": "#/$defs/d"}], "description": "x"}, {"$ref": "#/$defs/d"}),
        ({"oneOf": [NAME, {"type": "null"}]}, {"anyOf": [NAME, {"type": "null"}]}),
        ({"type": "string", "anyOf": [{"format": "email"}, {"format": "uri"}]}, {"type": "string"}),
        (
            {"type": ["array", "null"], "items": NAME},
            {"anyOf": [{"type": "array", "items": NAME}, {"type": "null"}]},
        ),
        ({**named(x=NAME), "anyOf": [{"required": ["x"]}]}, {**named(x=NAME), "additionalProperties": False}),
        (
            {"type": "object", "oneOf": [{"properties": {"x": NAME}}, named(y=NAME)]},
            {
                "anyOf": [
                    {"type": "object", "properties": {"x": NAME}, "additionalProperties": False},
                    {**named(y=NAME), "additionalProperties": False},
                ]
            },
        ),
        (
            {"type": "object", "properties": {"x": NAME, "gone": False}},
            {"type": "object", "properties": {"x": NAME}, "additionalProperties": False},
        ),
        (
            {"type": "object", "additionalProperties": False},
            {"type": "object", "properties": {}, "additionalProperties": False},
        ),
        ({"type": "integer", "anyOf": [NAME, {"type": "number"}]}, {"anyOf": [{"type": "integer"}]}),
        ({"properties": {"x": NAME}}, {"type": "object", "properties": {"x": NAME}, "additionalProperties": False}),
    ],
)  # fmt: skip
def test_what_has_another_form_is_rewritten(part: dict[str, Any], strict: dict[str, Any]) -> None:
    schema = named(part=part) | {"$defs": {"d": NAME, "unused": {}}}
    assert strict_schema(schema)["properties"]["part"] == strict


def test_what_is_not_enforced_is_named_with_its_places() -> None:
    schema = named(
        tags={"type": "array", "items": {"type": "string", "maxLength": 9}, "uniqueItems": True, "minItems": 2},
        name={"type": "string", "maxLength": 9, "format": "date", "pattern": "^2"},
        few={"type": "array", "items": NAME, "minItems": 1},
        either={"oneOf": [NAME, {"type": "null"}]},
        more={**named(x=NAME), "additionalProperties": True},
        beside={"$ref": "#/$defs/d", "minLength": 2, "enum": ["no", "yes"], "type": "string"},
        when={**named(x=NAME), "anyOf": [{"required": ["x"]}]},
    )
    wire = Contract(schema={**schema, "$defs": {"d": NAME}}, refusal="field", verbalized=True).wire_schema
    assert unenforced(wire or {}) == {
        "uniqueItems": ["answer.tags"],
        "minItems": ["answer.tags"],
        "minLength": ["answer.beside"],
        "enum": ["answer.beside"],
        "maxLength": ["answer.tags[]", "answer.name"],
        "pattern": ["answer.name"],
        "oneOf": ["answer.either"],
        "additionalProperties": ["answer.more"],
        "anyOf": ["answer.when"],
        "required": ["answer.when"],
    }
    assert json.dumps(strict_schema(wire or {})).count("maxLength: 9") == 2


# ---- Generated schemas ----


def as_enforced(schema: Any) -> Any:
    """The schema without what Claude is not held to."""
    if isinstance(schema, list):
        return [as_enforced(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    lost = unenforced({"type": "object", **schema}) if set(schema) & ASSERTIONS else {}
    kept = {key: value for key, value in schema.items() if key not in lost or "" not in lost[key]}
    if "oneOf" in schema and any(isinstance(one, dict) and set(one) - {"required"} for one in schema["oneOf"]):
        kept["anyOf"] = schema["oneOf"]
    return {key: as_enforced(value) for key, value in kept.items()}


def _refers(part: Any) -> bool:
    """True for a variant that is a reference: its agreement with a type beside it is not checked."""
    return any("$ref" in one for key in ("anyOf", "oneOf") for one in part.get(key, ()) if isinstance(one, dict))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(schemas, st.sampled_from(["field", "none"]))
@example({"required": ["a", "b"], "anyOf": [{"type": "object", "properties": {"a": {"const": None}}}]}, "field")
@example({"additionalProperties": False, "allOf": [{"type": "object", "properties": {"a": {"const": None}}}]}, "field")
@example({"additionalProperties": False, "anyOf": [{"type": "object", "properties": {"a": {"const": None}}}]}, "field")
@example({"type": "object", "additionalProperties": False, "anyOf": [{"properties": {"a": {"const": None}}}]}, "field")
def test_a_schema_is_refused_or_the_api_takes_it_and_what_it_can_say_is_an_answer(schema: Any, refusal: Any) -> None:
    wire = Contract(schema={**schema, "$defs": {"d": {"type": "string", "maxLength": 3}}}, refusal=refusal).wire_schema
    assert wire is not None
    assume(not any("type" in part and _refers(part) for _, part in parts(schema)))
    try:
        strict = strict_schema(wire)
    except ConfigError as error:
        event(f"refused: {error.what[40:70]}")
        return
    assert wrong_with_schema(strict) is None
    assert anthropic.transform_schema(dict(strict)) == strict
    said = answer_by_schema({"output_config": {"format": {"schema": strict}}})
    answer = json.loads(said.text)["answer"]
    loose = as_enforced({**schema, "$defs": {"d": NAME}})
    assert jsonschema.Draft202012Validator(loose).is_valid(answer), (strict, loose, answer)


def test_the_parts_of_a_schema_are_all_found() -> None:
    schema = named(a={"type": "array", "items": named(b=NAME)}) | {"$defs": {"d": {"not": {"const": 1}}}}
    assert [at for at, _ in parts(schema)] == ["", "a", "a[]", "a[].b", "$defs.d", "$defs.d"]
