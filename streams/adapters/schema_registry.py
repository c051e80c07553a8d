"""A Confluent-compatible schema registry."""

from __future__ import annotations

import json
import time
import weakref
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, Final
from uuid import UUID

import httpx2
from confluent_kafka.schema_registry import Schema as RegistrySchema
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.error import OAuthTokenError, SchemaRegistryError

from streams.adapters.not_found_grace import NotFoundGrace
from streams.adapters.registered_formats import Avro, EventFormat, SchemaReference, format_of
from streams.adapters.registry_config import RegistryConfig
from streams.adapters.registry_errors import (
    NOT_READY,
    OAUTH_REMEDY,
    REGISTER_REMEDY,
    REMEDY,
    is_registrys_word,
    remedy_for,
    unknown,
)
from streams.adapters.schema_ids import SchemaId
from streams.adapters.schemas import Schema
from streams.core.address import hide_logins
from streams.core.errors import NotReadyError, ServiceError, UnreadableError

PROTOBUF: Final = "PROTOBUF"
SERIALIZED: Final = "serialized"
"""The form of a Protobuf schema as a descriptor instead of text."""
MAX_SCHEMAS = 10_000
MAX_ID = 2**31 - 1
"""Registries number schemas from 1 to this."""
TIMEOUT_SECONDS = 3.0
REST_SECONDS = 5.0
"""The pause before a registry that did not answer is asked again."""
CONFLICTS = frozenset({409, 500})
"""Statuses for concurrent registrations of one schema: Apicurio answers 409, or 500 when its storage is Kafka."""
CONFLICT_PAUSES = (0.1, 0.2, 0.4, 0.8, 1.6)


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
        settings = config.client(**{"timeout": TIMEOUT_SECONDS, "max.retries": 1, "retries.wait.ms": 100})
        self._client = SchemaRegistryClient(settings)
        self._serialized = SchemaRegistryClient(settings)
        """For Protobuf as descriptors: a client keeps schemas without the form in which they were asked for."""
        for client in (self._client, self._serialized):
            weakref.finalize(self, client.close)
        self._login, self._registers = config.spellings(), config.register
        self._formats: dict[SchemaId, EventFormat] = {}
        self._grace, self._pause, self._clock = grace, pause, clock
        self._own: tuple[int, str] | None = None
        """The greatest id of our own schemas, and its subject."""
        self._rest: tuple[float, NotReadyError] | None = None
        """The end of the pause after a failed call, and that call's error."""

    # ---- Writing ----

    def id_of(self, schema: Schema) -> int:
        """Return the registry's id of one of our schemas, after registering it if necessary and allowed.

        When several processes register it at the same time, some registries answer all but one with an error.
        """
        subject, ours = subject_of(schema), RegistrySchema(text_of(schema), "AVRO")
        if not self._registers:
            return self._only_looked_up(schema)
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
        raise self._kind(refusal)(what, remedy_for(refusal, remedy)) from None

    def _keep(self, answer: Any, subject: str, schema: Schema) -> int:
        if not isinstance(answer, int):
            raise NotReadyError(f"The schema registry gave no id for {schema.name}.", REMEDY)
        self._own = max(self._own or (answer, subject), (answer, subject))
        self._formats[answer] = Avro(schema.parsed)
        return answer

    def registered_id(self, schema: Schema) -> int | None:
        """Return the registry's id of one of our schemas; None if it is not registered. Raises ServiceError."""
        subject, ours = subject_of(schema), RegistrySchema(text_of(schema), "AVRO")
        try:
            found: int | None = self._asked(partial(self._client.lookup_schema, subject, ours)).schema_id
            return found
        except SchemaRegistryError as error:
            refusal = error
        if refusal.http_status_code == 404 and is_registrys_word(refusal):
            return None
        what = f"The schema of {subject} could not be looked up ({self._said(refusal)})."
        raise self._kind(refusal)(what, remedy_for(refusal, REMEDY)) from None

    def _only_looked_up(self, schema: Schema) -> int:
        found, subject = self.registered_id(schema), subject_of(schema)
        if found is None:
            what = f"The subject {subject} of the schema registry lacks the schema of this version of escalon."
            # One that is loading gives the same answer; a tier asks again for a while.
            raise (ServiceError if self._grace is None else NotReadyError)(what, REGISTER_REMEDY)
        return self._keep(found, subject, schema)

    def _looked_up(self, subject: str, ours: RegistrySchema) -> int | None:
        try:
            found = self._asked(partial(self._client.lookup_schema, subject, ours))
        except SchemaRegistryError:
            return None
        return found.schema_id if isinstance(found.schema_id, int) else None

    # ---- Reading ----

    def schema_of(self, schema_id: SchemaId) -> Any:
        found = self.format_of(schema_id)
        if not isinstance(found, Avro):
            what = f"Schema {schema_id} is not an Avro schema, and the message is not an event."
            raise UnreadableError("not_avro", what, "Publish only escalon's own messages to this topic.")
        return found.parsed

    def format_of(self, schema_id: SchemaId) -> EventFormat:
        if schema_id not in self._formats:
            if len(self._formats) >= MAX_SCHEMAS:
                self._formats.clear()
            self._formats[schema_id] = self._fetch(schema_id)
        return self._formats[schema_id]

    def _fetch(self, schema_id: SchemaId) -> EventFormat:
        if isinstance(schema_id, int) and schema_id > MAX_ID:
            raise unknown(f"schema {schema_id}")
        found = self._got(f"schema {schema_id}", schema_id, partial(_by_id, self._client, schema_id))
        serialized = found.schema_type == PROTOBUF
        if serialized:  # asked for again, since a registry may refuse the format for a schema of another type
            found = self._got(
                f"schema {schema_id}", schema_id, partial(_by_id, self._serialized, schema_id, SERIALIZED)
            )
        return format_of(str(schema_id), found, partial(self._referenced, serialized=serialized))

    def _referenced(self, to: SchemaReference, *, serialized: bool) -> RegistrySchema:
        client, form = (self._serialized, SERIALIZED) if serialized else (self._client, None)
        call = partial(client.get_version, to.subject, to.version, fmt=form)
        return self._got(f"version {to.version} of {to.subject}", (to.subject, to.version), call)

    def _got(self, what: str, key: Hashable, call: Callable[[], Any]) -> RegistrySchema:
        """Return the schema that a call gets. `key` identifies it while it is not found."""
        try:
            answer = self._asked(call)
        except SchemaRegistryError as error:
            if error.http_status_code == 404 and self._is_believed(error):
                self._check_grace(what, key)
                raise unknown(what) from None
            raise self._kind(error)(
                f"The schema registry did not answer ({self._said(error)}).", remedy_for(error, REMEDY)
            ) from None
        found: RegistrySchema = getattr(answer, "schema", answer)
        if found.schema_str is None:
            raise NotReadyError(f"The schema registry answered without {what}.", REMEDY)
        if self._grace is not None:
            self._grace.found(key)
        return found

    def _is_believed(self, error: SchemaRegistryError) -> bool:
        """True if "not found" comes from the registry; one without GUIDs does not say so in its own words."""
        return is_registrys_word(error) or (self._own is not None and self._knows_our_own())

    def _check_grace(self, what: str, key: Hashable) -> None:
        """Raise NotReadyError if what was not found may still appear."""
        if self._grace is None:
            return
        if not self._grace.applies(key):
            if self._knows_our_own():
                return
            self._grace.renew()
        what = f"The schema registry has no {what}, which may be because it is still loading."
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
        except OAuthTokenError as error:
            away = NotReadyError(f"The schema registry's token cannot be fetched ({self._said(error)}).", OAUTH_REMEDY)
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
        if status in NOT_READY or status >= 500 or not is_registrys_word(error):
            if self._grace is not None:
                self._grace.renew()
            return NotReadyError
        return ServiceError


def _by_id(client: SchemaRegistryClient, schema_id: SchemaId, form: str | None = None) -> RegistrySchema:
    if isinstance(schema_id, UUID):
        found: RegistrySchema = client.get_schema_by_guid(str(schema_id), fmt=form)
    else:
        found = client.get_schema(schema_id, fmt=form)
    return found


def subject_of(schema: Schema) -> str:
    """Return the subject of one of our schemas."""
    return f"escalon.{schema.name}"


def text_of(schema: Schema) -> str:
    """Return one of our schemas as it is registered."""
    return json.dumps(_plain(schema.parsed))


def _plain(schema: Any) -> Any:
    """Return a parsed schema without fastavro's own marks."""
    if isinstance(schema, dict):
        return {key: _plain(value) for key, value in schema.items() if not key.startswith("__")}
    return [_plain(item) for item in schema] if isinstance(schema, list) else schema
