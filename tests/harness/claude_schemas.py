"""JSON Schemas of the part that Claude accepts, drawn at random."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

NAME = {"type": "string"}


def named(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


scalars = st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab", max_size=2)

limits = st.fixed_dictionaries(
    {},
    optional={
        "minLength": st.integers(0, 3),
        "maxLength": st.integers(0, 3),
        "pattern": st.sampled_from(["^a", "(?=a)", "b$"]),
        "format": st.sampled_from(["date", "regex", "email"]),
        "minimum": st.integers(-2, 2),
        "multipleOf": st.sampled_from([1, 0.5]),
        "minItems": st.integers(0, 3),
        "maxItems": st.integers(0, 3),
        "uniqueItems": st.booleans(),
        "minProperties": st.integers(0, 3),
        "title": st.text("ab", max_size=3),
        "description": st.text("ab", max_size=3),
        "default": scalars,
        "not": st.just({"const": "b"}),
    },
)

kinds = st.sampled_from(["string", "integer", "number", "boolean", "null", "array", "object"])

leaves = (
    st.builds(lambda kind, more: {"type": kind, **more}, kinds | st.lists(kinds, min_size=1, unique=True), limits)
    | st.builds(lambda values: {"enum": values}, st.lists(scalars | st.just([1]), min_size=1, max_size=4))
    | st.builds(lambda value: {"const": value}, scalars)
    | st.just({"$ref": "#/$defs/d"})
    | limits
    | st.booleans()
)


def _larger(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    variants = st.lists(inner | st.just({"required": ["a"]}), min_size=1, max_size=3)
    members = st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    return st.fixed_dictionaries(
        {},
        optional={
            "type": kinds,
            "properties": members,
            "required": st.lists(st.sampled_from("abc"), max_size=2, unique=True),
            "additionalProperties": st.booleans() | inner,
            "patternProperties": st.dictionaries(st.just("^x"), inner, max_size=1),
            "items": inner,
            "prefixItems": st.lists(inner, min_size=1, max_size=2),
            "anyOf": variants,
            "oneOf": variants,
            "allOf": variants,
        },
    ) | st.builds(
        lambda properties, more: {"type": "object", "properties": properties, **more}, members, limits
    ) | st.builds(lambda item, more: {"type": "array", "items": item, **more}, inner, limits)  # fmt: skip


schemas = st.recursive(leaves, _larger, max_leaves=8).filter(lambda schema: isinstance(schema, dict))
