"""Foreign schemas are refused if a small message could expand into a large value."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fastavro import parse_schema

from streams.adapters import schemas
from streams.adapters.schema_bounds import MAX_LEVELS, unbounded
from streams.adapters.schema_registry import SchemaRegistry
from streams.core.errors import UnreadableError
from tests.harness.fakes.schema_registry import SchemaRegistryServer


def record(name: str, *types: Any) -> dict[str, Any]:
    return {
        "type": "record",
        "name": name,
        "fields": [{"name": f"f{place}", "type": one} for place, one in enumerate(types)],
    }


def nested(levels: int) -> Any:
    schema: Any = "int"
    for level in range(levels):
        schema = record(f"R{level}", schema)
    return schema


NODE = record("Node", ["null", "Node"])
INDIRECT = record("A", record("B", {"type": "array", "items": "A"}))


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        (NODE, "Node refers to itself"),
        (INDIRECT, "A refers to itself"),
        (record("R", {"type": "map", "values": "R"}), "R refers to itself"),
        (record("R", {"type": "array", "items": "null"}), "1 values in 0 bytes"),
        (record("R", {"type": "array", "items": record("E")}), "1 values in 0 bytes"),
        (record("R", {"type": "array", "items": record("E", *["null"] * 99, "int")}), "101 values in 1 bytes"),
        (record("R", {"type": "map", "values": record("E", *["null"] * 99)}), "100 values in 1 bytes"),
        (record("R", {"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}}), "1 values in 0 bytes"),
        (nested(MAX_LEVELS + 5), f"more than {MAX_LEVELS} levels"),
    ],
)
def test_a_schema_by_which_little_becomes_much_is_not_used(schema: Any, why: str) -> None:
    with SchemaRegistryServer() as server:
        number = server.register("orders-value", json.dumps(schema))
        with pytest.raises(UnreadableError, match=why) as caught:
            SchemaRegistry(server.url).schema_of(number)
    assert caught.value.reason == "bad_schema"


@pytest.mark.parametrize(
    "schema",
    [
        record("R", "null", ["null", "string"], {"type": "map", "values": "long"}),
        record("R", record("Address", "string"), "Address", {"type": "array", "items": "Address"}),
        record("R", {"type": "array", "items": ["null", {"type": "enum", "name": "E", "symbols": ["A"]}]}, "E"),
        record("R", {"type": "array", "items": {"type": "array", "items": "int"}}),
        record("R", {"type": "array", "items": record("Row", *[["null", "string"]] * 200)}),
        record("R", {"type": "long", "logicalType": "timestamp-micros"}, "double", "float", "bytes", "boolean"),
        nested(20),
        "string",
        ["null", "string"],
    ],
)
def test_a_schema_as_people_write_them_is_used(schema: Any) -> None:
    assert unbounded(parse_schema(schema)) is None


def test_our_own_schemas_are_such() -> None:
    assert [unbounded(one.parsed) for one in schemas.released().values()] == [None] * len(schemas.released())
