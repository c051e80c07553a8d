"""A Confluent-compatible schema registry."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx2
from confluent_kafka.schema_registry import Schema as RegistrySchema
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError
from fastavro import parse_schema

from streams.adapters.not_found_grace import NotFoundGrace
from streams.adapters.registry_config import RegistryConfig
from streams.adapters.schema_bounds import unbounded
from streams.adapters.schemas import Schema
from streams.core.address import hide_logins
from streams.core.errors import NotReadyError, ServiceError, UnreadableError

MAX_SCHEMAS = 10_000
MAX_ID = 2**31 - 1
"""Registries number schemas from 1 to this."""
TIMEOUT_SECONDS = 3.0
REST_SECONDS = 5.0
"""The pause before a registry that did not answer is asked again."""
CONFLICTS = frozenset({409, 500})
"""Statuses for concurrent registrations of one schema: Apicurio answers 409, or 500 when its storage is Kafka."""
CONFLICT_PAUSES = (0.1, 0.2, 0.4, 0.8, 1.6)
NOT_READY = frozenset({408, 425, 429})
"""Statuses below 500 that a later attempt may not meet."""
LOGIN_REMEDY = (
    "It refuses the login: check ESCALON_SCHEMA_REGISTRY_USER and ESCALON_SCHEMA_REGISTRY_PASSWORD "
    "(or ESCALON_SCHEMA_REGISTRY_PASSWORD_FILE)."
)
REMEDY = "Check that it runs, and ESCALON_SCHEMA_REGISTRY."


class SchemaRegistry:
    """Registers our schemas under their record names, and reads foreign ones by id, each once.

    With a `grace`, an id that the registry does not know raises NotReadyError while it may be known in a moment.
    """

    def __init__(
        self,
        registry: RegistryConfig | str,
        grace: NotFoundGrace | None = None,
        *,
        pause: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        config = RegistryConfig(url=registry) if isinstance(registry, str) else registry
        # Calls block an event loop, which must not stop for longer than a broker's session.
        self._client = SchemaRegistryClient(
            config.client(**{"timeout": TIMEOUT_SECONDS, "max.retries": 1, "retries.wait.ms": 100})
        )
        self._login = config.spellings()
        self._parsed: dict[int, Any] = {}
        self._grace, self._pause, self._clock = grace, pause, clock
        self._own: tuple[int, str] | None = None
        """The greatest id of our own schemas, and its subject."""
        self._rest: tuple[float, NotReadyError] | None = None
        """The end of the pause after a failed call, and that call's error."""

    # ---- Writing ----

    def id_of(self, schema: Schema) -> int:
        """Return the registry's id of one of our schemas, after registering it if necessary.

        When several processes register it at the same time, some registries answer all but one with an error.
        """
        subject, text = f"escalon.{schema.name}", json.dumps(_plain(schema.parsed))
        ours = RegistrySchema(text, "AVRO")
        for pause in (*CONFLICT_PAUSES, None):
            try:
                return self._keep(self._asked(partial(self._client.register_schema, subject, ours)), subject, schema)
            except SchemaRegistryError as error:
                refusal = error
            if refusal.http_status_code not in CONFLICTS or pause is None:
                break
            if (found := self._looked_up(subject, ours)) is not None:
                return self._keep(found, subject, schema)
            self._pause(pause)
        remedy = "Check ESCALON_SCHEMA_REGISTRY, and the subject's compatibility."
        what = f"The schema {schema.name} could not be registered ({self._said(refusal)})."
        raise self._kind(refusal)(what, _remedy(refusal, remedy)) from None

    def _keep(self, answer: Any, subject: str, schema: Schema) -> int:
        if not isinstance(answer, int):
            raise NotReadyError(f"The schema registry gave no id for {schema.name}.", REMEDY)
        self._own = max(self._own or (answer, subject), (answer, subject))
        self._parsed[answer] = schema.parsed
        return answer

    def _looked_up(self, subject: str, ours: RegistrySchema) -> int | None:
        try:
            found = self._asked(partial(self._client.lookup_schema, subject, ours))
        except SchemaRegistryError:
            return None
        return found.schema_id if isinstance(found.schema_id, int) else None

    # ---- Reading ----

    def schema_of(self, schema_id: int) -> Any:
        if schema_id not in self._parsed:
            if len(self._parsed) >= MAX_SCHEMAS:
                self._parsed.clear()
            self._parsed[schema_id] = self._fetch(schema_id)
        return self._parsed[schema_id]

    def _fetch(self, schema_id: int) -> Any:
        if schema_id > MAX_ID:
            raise _unknown(schema_id)
        try:
            found = self._asked(partial(self._client.get_schema, schema_id))
        except SchemaRegistryError as error:
            if error.http_status_code == 404 and _is_registrys_word(error):
                self._check_grace(schema_id)
                raise _unknown(schema_id) from None
            raise self._kind(error)(
                f"The schema registry did not answer ({self._said(error)}).", _remedy(error, REMEDY)
            ) from None
        if found.schema_str is None:
            raise NotReadyError(f"The schema registry answered without the schema {schema_id}.", REMEDY)
        if self._grace is not None:
            self._grace.found(schema_id)
        return _parsed(schema_id, found)

    def _check_grace(self, schema_id: int) -> None:
        """Raise NotReadyError if an id that was not found may still appear."""
        if self._grace is None:
            return
        if not self._grace.applies(schema_id):
            if self._knows_our_own():
                return
            self._grace.renew()
        what = f"The schema registry has no schema {schema_id}, which may be because it is still loading."
        raise NotReadyError(what, "Register the schema; it is looked up again for a minute.")

    def _knows_our_own(self) -> bool:
        """Return True if the registry has our own schemas; one that is loading, or has lost its data, has not."""
        if self._own is None:
            return True
        try:
            return bool(self._asked(partial(self._client.get_versions, self._own[1])))
        except SchemaRegistryError:
            return False

    # ---- Asking ----

    def _asked(self, call: Callable[[], Any]) -> Any:
        """Return the result of a call. Raises SchemaRegistryError for the registry's errors, NotReadyError for none.

        After no answer the registry is not asked for a while, since every call blocks the event loop until its timeout.
        """
        if self._rest is not None and self._clock() < self._rest[0]:
            raise self._rest[1]
        self._rest = None
        try:
            return call()
        except SchemaRegistryError:
            raise
        except httpx2.HTTPError as error:
            away = NotReadyError(f"The schema registry cannot be reached ({self._said(error)}).", REMEDY)
        except (ValueError, TypeError, AttributeError, KeyError) as error:  # not an answer of a registry
            away = NotReadyError(f"The schema registry's answer cannot be read ({self._said(error)}).", REMEDY)
        self._rest = self._clock() + REST_SECONDS, away
        if self._grace is not None:
            self._grace.renew()
        raise away from None

    def _said(self, error: Exception) -> str:
        """Return an error's text without the login that a registry may repeat; the error is not chained either."""
        said = hide_logins(str(error))
        for spelling in self._login:
            said = said.replace(spelling, "[login]")
        return said

    def _kind(self, error: SchemaRegistryError) -> type[ServiceError]:
        """Return NotReadyError if a later attempt may succeed, else ServiceError."""
        status = error.http_status_code
        if status in NOT_READY or status >= 500 or not _is_registrys_word(error):
            if self._grace is not None:
                self._grace.renew()
            return NotReadyError
        return ServiceError


def _is_registrys_word(error: SchemaRegistryError) -> bool:
    """True if an error has a registry's code, which the error pages of proxies lack."""
    return isinstance(error.error_code, int) and error.error_code != SchemaRegistryError.UNKNOWN


def _unknown(schema_id: int) -> UnreadableError:
    what = f"The schema registry has no schema {schema_id}."
    return UnreadableError("unknown_schema", what, "Register the schema before publishing.")


def _parsed(schema_id: int, found: RegistrySchema) -> Any:
    """Parse a schema with fastavro. Raises UnreadableError for one that cannot be used."""
    if found.schema_type != "AVRO":
        what = f"Schema {schema_id} is of type {found.schema_type}."
        raise UnreadableError("not_avro", what, "Publish Avro, JSON without a schema, or text.")
    try:
        parsed = parse_schema(json.loads(found.schema_str or "null"))
        why = unbounded(parsed)
    except Exception as error:  # fastavro raises many kinds of errors for a broken schema
        what = f"Schema {schema_id} cannot be used ({type(error).__name__}: {error})."
        raise UnreadableError("bad_schema", what, "Register a schema without references.") from error
    if why is not None:
        what = f"Schema {schema_id} is refused because a small message could expand without limit: {why}."
        raise UnreadableError("bad_schema", what, "Register a flat schema.")
    return parsed


def _remedy(error: Exception, otherwise: str) -> str:
    status = error.http_status_code if isinstance(error, SchemaRegistryError) else None
    return LOGIN_REMEDY if status in (401, 403) else otherwise


def _plain(schema: Any) -> Any:
    """Return a parsed schema without fastavro's own marks."""
    if isinstance(schema, dict):
        return {key: _plain(value) for key, value in schema.items() if not key.startswith("__")}
    return [_plain(item) for item in schema] if isinstance(schema, list) else schema
