"""Refusals of a schema registry: their meaning, and the remedies."""

from __future__ import annotations

from confluent_kafka.schema_registry.error import SchemaRegistryError

from streams.core.errors import UnreadableError

NOT_READY = frozenset({408, 425, 429})
"""Statuses below 500 that a later attempt may not meet."""
LOGIN_REMEDY = (
    "It refuses the login: check ESCALON_SCHEMA_REGISTRY_USER and ESCALON_SCHEMA_REGISTRY_PASSWORD "
    "(or ESCALON_SCHEMA_REGISTRY_PASSWORD_FILE), and the rights of that user."
)
REGISTER_REMEDY = (
    "Register it: `escalon schemas --register`, or by your own means what `escalon schemas --print` prints. Or let the "
    "tiers do it, without ESCALON_SCHEMA_REGISTRY_REGISTER=no."
)
OAUTH_REMEDY = (
    "Check ESCALON_SCHEMA_REGISTRY_TOKEN_URL, ESCALON_SCHEMA_REGISTRY_USER, ESCALON_SCHEMA_REGISTRY_PASSWORD (or "
    "ESCALON_SCHEMA_REGISTRY_PASSWORD_FILE) and ESCALON_SCHEMA_REGISTRY_SCOPE."
)
REMEDY = (
    "Check that it runs, and ESCALON_SCHEMA_REGISTRY; with TLS also ESCALON_SCHEMA_REGISTRY_CA_FILE and, if it wants a "
    "client certificate, ESCALON_SCHEMA_REGISTRY_CERT_FILE."
)


def is_registrys_word(error: SchemaRegistryError) -> bool:
    """True if an error has a registry's code, which the error pages of proxies lack."""
    return isinstance(error.error_code, int) and error.error_code != SchemaRegistryError.UNKNOWN


def unknown(what: str) -> UnreadableError:
    what = f"The schema registry has no {what}."
    return UnreadableError("unknown_schema", what, "Register the schema before publishing.")


def remedy_for(error: Exception, otherwise: str) -> str:
    status = error.http_status_code if isinstance(error, SchemaRegistryError) else None
    return LOGIN_REMEDY if status in (401, 403) else otherwise
