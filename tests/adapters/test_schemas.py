"""A change of a schema that would break old messages fails here."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_writer

from streams.adapters import schemas
from streams.adapters.codec import SINGLE_OBJECT, Codec
from streams.adapters.registered_formats import read_record
from streams.core import messages
from streams.core.errors import UnreadableError
from streams.packaged_files import resource
from tests.harness.arbitrary_messages import KINDS

RELEASED = resource("schemas") / "released"
FILES = sorted(RELEASED.glob("*.avsc"))
AT = datetime(2026, 11, 1, 12, 0, 0, 123456, tzinfo=UTC)
SCALARS: dict[str, Any] = {
    "string": "x",
    "long": 7,
    "int": 7,
    "double": 0.5,
    "boolean": True,
    "bytes": b"x",
    "null": None,
}
LOGICAL: dict[str, Any] = {"timestamp-micros": AT, "decimal": Decimal("0.000000000001")}


def plain(schema: Any) -> Any:
    """A schema without fastavro's own marks."""
    if isinstance(schema, dict):
        return {key: plain(value) for key, value in schema.items() if not key.startswith("__")}
    return [plain(item) for item in schema] if isinstance(schema, list) else schema


def meaning(schema: Any) -> Any:
    """A schema without what only people read."""
    if isinstance(schema, dict):
        return {key: meaning(value) for key, value in schema.items() if key != "doc" and not key.startswith("__")}
    return [meaning(item) for item in schema] if isinstance(schema, list) else schema


def example(schema: Any, branch: int, named: dict[str, Any]) -> Any:
    """A value that a schema can write; of every union the branch `branch`, the first (0) or the last (-1)."""
    if isinstance(schema, list):
        return example(schema[branch], branch, named)
    if isinstance(schema, str):
        return example(named[schema], branch, named) if schema in named else SCALARS[schema]
    kind = schema["type"]
    if kind == "record":
        named[schema["name"]] = schema
        return {field["name"]: example(field["type"], branch, named) for field in schema["fields"]}
    if kind == "array":
        return [example(schema["items"], branch, named)] * (branch + 1)
    return LOGICAL[schema["logicalType"]] if "logicalType" in schema else SCALARS[kind]


def faults(writer: Any, reader: Any) -> list[str]:
    """Why messages written with one schema cannot be read with another, or come out changed; empty when all is well."""
    found = []
    if schemas.crc64(writer) == schemas.crc64(reader) and meaning(writer) != meaning(reader):
        found.append("A default or a logical type changed, which the fingerprint leaves out: add a field instead.")
    for branch in (0, -1):
        written = example(plain(writer), branch, {})
        body = BytesIO()
        schemaless_writer(body, writer, written)
        try:
            read = read_record(writer, body.getvalue(), reader)
        except UnreadableError as error:
            found.append(str(error))
            continue
        found += [
            f"{name} comes out as {read[name]!r}"
            for name in written
            if name in read and not kept(written[name], read[name])
        ]
    return found


def kept(written: Any, read: Any) -> bool:
    """Return True if everything written was read; a record may have gained further fields, with their defaults."""
    if isinstance(written, dict):
        return all(name not in read or kept(value, read[name]) for name, value in written.items())
    if isinstance(written, list):
        return len(written) == len(read) and all(map(kept, written, read))
    return bool(written == read)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_current_schema_is_among_the_released_ones(kind: type) -> None:
    schema = schemas.current()[kind]
    path = RELEASED / f"{schema.name}-{schema.fingerprint.hex()}.avsc"
    resolved = json.dumps(plain(schema.parsed), indent=2, ensure_ascii=False)
    remedy = (
        f"The schema of {schema.name} has changed. If old messages can still be read, which the other tests here\n"
        f"show, keep the older files and copy the resolved schema below to schemas/released/{path.name}:\n{resolved}"
    )
    assert path.is_file(), remedy


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_messages_written_with_each_released_schema_can_be_read(path: Path) -> None:
    released = schemas.read_schema(path)
    assert path.stem == f"{released.name}-{released.fingerprint.hex()}", "The file's name and content do not agree."
    kind = getattr(messages, released.name)
    assert faults(released.parsed, schemas.current()[kind].parsed) == []
    for branch in (0, -1):
        body = BytesIO()
        schemaless_writer(body, released.parsed, example(plain(released.parsed), branch, {}))
        message = Codec().decode(kind, SINGLE_OBJECT + released.fingerprint + body.getvalue())
        assert isinstance(message, kind)


def test_there_are_released_schemas_to_check() -> None:
    assert len(FILES) >= len(KINDS)


def test_a_released_schema_is_self_contained_and_has_no_marks_of_a_library() -> None:
    for path in FILES:
        assert '"__' not in path.read_text("utf-8")
        parse_schema(json.loads(path.read_text("utf-8")))


OLD = {
    "type": "record",
    "name": "escalon.Thing",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "size", "type": ["null", "long"], "default": None},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    ],
}


def edited(edit: Callable[[list[dict[str, Any]]], Any]) -> Any:
    """The old schema with its fields edited."""
    new = json.loads(json.dumps(OLD))
    edit(new["fields"])
    return parse_schema(new)


@pytest.mark.parametrize(
    "edit",
    [
        lambda fields: fields.append({"name": "colour", "type": "string"}),
        lambda fields: fields[0].update(name="key"),
        lambda fields: fields[0].update(type="long"),
        lambda fields: fields[1].update(type="long", default=0),
        lambda fields: fields[2].update(type={"type": "long", "logicalType": "timestamp-millis"}),
        lambda fields: fields[2].update(default=0),
    ],
    ids=[
        "a field without a default",
        "a new name",
        "a new type",
        "no longer optional",
        "another unit",
        "a new default",
    ],
)
def test_a_change_that_breaks_old_messages_is_found(edit: Callable[[list[dict[str, Any]]], Any]) -> None:
    assert faults(parse_schema(OLD), edited(edit))


@pytest.mark.parametrize(
    "edit",
    [
        lambda fields: fields.append({"name": "colour", "type": "string", "default": ""}),
        lambda fields: fields[0].update(name="key", aliases=["id"]),
        lambda fields: fields[0].update(type=["null", "string"]),
        lambda fields: fields.pop(1),
        lambda fields: fields[0].update(doc="What it is."),
    ],
    ids=["a new field with a default", "a new name with an alias", "now optional", "a field less", "a word of help"],
)
def test_a_change_that_breaks_nothing_passes(edit: Callable[[list[dict[str, Any]]], Any]) -> None:
    assert faults(parse_schema(OLD), edited(edit)) == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_fields_of_a_schema_are_those_of_its_message_and_say_what_they_are(kind: Any) -> None:
    schema = schemas.current()[kind].parsed
    assert [field["name"] for field in schema["fields"]] == [field.name for field in dataclasses.fields(kind)]
    for path in resource("schemas").glob("*.avsc"):
        source = json.loads(path.read_text("utf-8"))
        assert source["doc"]
        assert all(field["doc"] for field in source["fields"])


def test_an_optional_field_of_a_message_has_its_default_in_the_schema_too() -> None:
    for kind, schema in schemas.current().items():
        defaults = {field.name: field.default for field in dataclasses.fields(kind)}
        for field in schema.parsed["fields"]:
            if isinstance(field["type"], list):
                assert "default" in field, f"{schema.name}.{field['name']}"
            if "default" in field and defaults[field["name"]] not in (dataclasses.MISSING, ()):
                assert field["default"] == defaults[field["name"]], f"{schema.name}.{field['name']}"
