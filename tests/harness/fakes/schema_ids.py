"""A schema registry in memory, without HTTP."""

from __future__ import annotations

from typing import Any

from streams.adapters import schemas
from streams.core.errors import UnreadableError


class FakeRegistry:
    """Numbers schemas from 1 on."""

    def __init__(self) -> None:
        self.known: list[Any] = []

    def id_of(self, schema: schemas.Schema) -> int:
        """A new id each time, as different as can be from another codec's."""
        self.known.append(schema.parsed)
        return len(self.known)

    def schema_of(self, schema_id: int) -> Any:
        """The schema of an id."""
        if not 1 <= schema_id <= len(self.known):
            raise UnreadableError("unknown_schema", f"no schema {schema_id}")
        return self.known[schema_id - 1]
