"""A Confluent-compatible schema registry."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import dataclass, field
from typing import Any

import httpx2
from confluent_kafka.schema_registry import Schema as RegistrySchema
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError
from fastavro import parse_schema

from streams.adapters.codec import Codec
from streams.adapters.schema_bounds import unbounded
from streams.adapters.schemas import Schema
from streams.core.address import has_login, hide_logins, is_http, without_login
from streams.core.errors import ConfigError, ServiceError, UnreadableError

MAX_SCHEMAS = 10_000
TIMEOUT_SECONDS = 3.0
LOGIN_REMEDY = (
    "It wants another login: check ESCALON_SCHEMA_REGISTRY_USER and ESCALON_SCHEMA_REGISTRY_PASSWORD "
    "(or ESCALON_SCHEMA_REGISTRY_PASSWORD_FILE)."
)
REMEDY = "Check that it runs, and ESCALON_SCHEMA_REGISTRY."


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryConfig:
    """Where the registry is and how to log in."""

    url: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: str | None = None

    def __post_init__(self) -> None:
        if has_login(self.url):
            remedy = "Set ESCALON_SCHEMA_REGISTRY_USER and ESCALON_SCHEMA_REGISTRY_PASSWORD instead."
            what = "the address holds a login, which would end up in logs."
            raise ConfigError(what, remedy, "ESCALON_SCHEMA_REGISTRY")
        if not is_http(self.url):
            what = f"{without_login(self.url)!r} is no HTTP address."
            raise ConfigError(what, "Write it as http://host:8081.", "ESCALON_SCHEMA_REGISTRY")
        if (self.username is None) != (self.password is None):
            remedy = "Set ESCALON_SCHEMA_REGISTRY_USER and ESCALON_SCHEMA_REGISTRY_PASSWORD, or neither."
            raise ConfigError("a login is a user and a password.", remedy, "ESCALON_SCHEMA_REGISTRY_USER")

    def spellings(self) -> tuple[str, ...]:
        """How the login may be written in what a registry says."""
        if self.password is None:
            return ()
        return b64encode(f"{self.username}:{self.password}".encode()).decode(), self.password

    def client(self, **more: Any) -> dict[str, Any]:
        """The configuration of Confluent's client."""
        login = None if self.username is None else f"{self.username}:{self.password}"
        settings = {"url": self.url, "basic.auth.user.info": login, "ssl.ca.location": self.ca_file}
        return {key: value for key, value in settings.items() if value is not None} | more


def codec_for(registry: RegistryConfig | str | None) -> Codec:
    """The codec of a deployment: Confluent's wire format with a registry, single-object encoding without."""
    return Codec(SchemaRegistry(registry) if registry else None)


class SchemaRegistry:
    """Registers our schemas under their record names and reads others' by id, each asked for once."""

    def __init__(self, registry: RegistryConfig | str) -> None:
        config = RegistryConfig(url=registry) if isinstance(registry, str) else registry
        # It is asked from an event loop, which must not stand still for longer than a broker's session.
        self._client = SchemaRegistryClient(
            config.client(**{"timeout": TIMEOUT_SECONDS, "max.retries": 1, "retries.wait.ms": 100})
        )
        self._login = config.spellings()
        self._parsed: dict[int, Any] = {}

    def _said(self, error: Exception) -> str:
        """What went wrong, without the login that a registry may repeat; so the error is not chained either."""
        said = hide_logins(str(error))
        for spelling in self._login:
            said = said.replace(spelling, "[login]")
        return said

    def id_of(self, schema: Schema) -> int:
        """The registry's id of one of our schemas."""
        text = json.dumps(_plain(schema.parsed))
        try:
            return int(self._client.register_schema(f"escalon.{schema.name}", RegistrySchema(text, "AVRO")))
        except (SchemaRegistryError, httpx2.HTTPError) as error:
            remedy = "Check ESCALON_SCHEMA_REGISTRY, and the subject's compatibility."
            what = f"The schema {schema.name} could not be registered ({self._said(error)})."
            raise ServiceError(what, _remedy(error, remedy)) from None

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
            raise ServiceError(
                f"The schema registry did not answer ({self._said(error)}).", _remedy(error, REMEDY)
            ) from None
        except httpx2.HTTPError as error:
            raise ServiceError(f"The schema registry cannot be reached ({self._said(error)}).", REMEDY) from None
        if found.schema_type != "AVRO":
            what = f"Schema {schema_id} is of type {found.schema_type}."
            raise UnreadableError("not_avro", what, "Publish Avro, JSON without a schema, or text.")
        try:
            parsed = parse_schema(json.loads(found.schema_str or "null"))
            why = unbounded(parsed)
        except Exception as error:  # fastavro raises whatever a broken schema leads it to
            what = f"Schema {schema_id} cannot be used ({type(error).__name__}: {error})."
            raise UnreadableError("bad_schema", what, "Register a schema without references.") from error
        if why is not None:
            what = f"Schema {schema_id} is not used, for a small message could become too much: {why}."
            raise UnreadableError("bad_schema", what, "Register a flat schema.")
        return parsed


def _remedy(error: Exception, otherwise: str) -> str:
    status = error.http_status_code if isinstance(error, SchemaRegistryError) else None
    return LOGIN_REMEDY if status in (401, 403) else otherwise


def _plain(schema: Any) -> Any:
    """A parsed schema without fastavro's own marks."""
    if isinstance(schema, dict):
        return {key: _plain(value) for key, value in schema.items() if not key.startswith("__")}
    return [_plain(item) for item in schema] if isinstance(schema, list) else schema
