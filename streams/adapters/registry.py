"""A Confluent-compatible schema registry."""

from __future__ import annotations

import json
from typing import Any

import httpx2
from confluent_kafka.schema_registry import Schema as RegistrySchema
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError
from fastavro import parse_schema

from streams.adapters.codec import Codec
from streams.adapters.schemas import Schema
from streams.core.errors import ServiceError, UnreadableError

MAX_SCHEMAS = 10_000
TIMEOUT_SECONDS = 3.0
REMEDY = "Check that it runs, and ESCALON_SCHEMA_REGISTRY."


def codec_for(registry: str | None) -> Codec:
    """The codec of a deployment: Confluent's wire format with a registry's URL, single-object encoding without."""
    return Codec(SchemaRegistry(registry) if registry else None)


class SchemaRegistry:
    """Registers our schemas under their record names and reads others' by id, each asked for once."""

    def __init__(self, url: str) -> None:
        # It is asked from an event loop, which must not stand still for longer than a broker's session.
        self._client = SchemaRegistryClient(
            {"url": url, "timeout": TIMEOUT_SECONDS, "max.retries": 1, "retries.wait.ms": 100}
        )
        self._parsed: dict[int, Any] = {}

    def id_of(self, schema: Schema) -> int:
        """The registry's id of one of our schemas."""
        text = json.dumps(_plain(schema.parsed))
        try:
            return int(self._client.register_schema(f"escalon.{schema.name}", RegistrySchema(text, "AVRO")))
        except (SchemaRegistryError, httpx2.HTTPError) as error:
            remedy = "Check ESCALON_SCHEMA_REGISTRY, and the subject's compatibility."
            raise ServiceError(f"The schema {schema.name} could not be registered ({error}).", remedy) from error

    def schema_of(self, schema_id: int) -> Any:
        """The parsed schema of an id."""
        if schema_id not in self._parsed:
            if len(self._parsed) >= MAX_SCHEMAS:
                self._parsed.clear()
            self._parsed[schema_id] = self._fetch(schema_id)
        return self._parsed[schema_id]

    def _fetch(self, schema_id: int) -> Any:
        try:
            found = self._client.get_schema(schema_id)
        except SchemaRegistryError as error:
            if error.http_status_code == 404:
                what = f"The schema registry has no schema {schema_id}."
                raise UnreadableError("unknown_schema", what, "Register the schema before publishing.") from error
            raise ServiceError(f"The schema registry did not answer ({error}).", REMEDY) from error
        except httpx2.HTTPError as error:
            raise ServiceError(f"The schema registry cannot be reached ({error}).", REMEDY) from error
        if found.schema_type != "AVRO":
            what = f"Schema {schema_id} is of type {found.schema_type}."
            raise UnreadableError("not_avro", what, "Publish Avro, JSON without a schema, or text.")
        try:
            return parse_schema(json.loads(found.schema_str or "null"))
        except Exception as error:  # fastavro raises whatever a broken schema leads it to
            what = f"Schema {schema_id} cannot be used ({type(error).__name__}: {error})."
            raise UnreadableError("bad_schema", what, "Register a schema without references.") from error


def _plain(schema: Any) -> Any:
    """A parsed schema without fastavro's own marks."""
    if isinstance(schema, dict):
        return {key: _plain(value) for key, value in schema.items() if not key.startswith("__")}
    return [_plain(item) for item in schema] if isinstance(schema, list) else schema
