"""A schema registry in memory, without HTTP."""

from __future__ import annotations

from typing import Any

from streams.adapters import schemas
from streams.adapters.registered_formats import Avro
from streams.adapters.schema_ids import SchemaId
from streams.core.errors import UnreadableError


class FakeRegistry:
    """Numbers schemas from 1 on."""

    def __init__(self) -> None:
        self.known: list[Any] = []

    def id_of(self, schema: schemas.Schema) -> int:
        """A new id each time, as different as can be from another codec's."""
        self.known.append(schema.parsed)
        return len(self.known)

    def schema_of(self, schema_id: SchemaId) -> Any:
        """The schema of an id."""
        if not isinstance(schema_id, int) or not 1 <= schema_id <= len(self.known):
            raise UnreadableError("unknown_schema", f"no schema {schema_id}")
        return self.known[schema_id - 1]

    def format_of(self, schema_id: SchemaId) -> Avro:
        """Its decoder."""
        return Avro(self.schema_of(schema_id))
