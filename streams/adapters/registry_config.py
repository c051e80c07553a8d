"""Where the schema registry is, and the codec that uses it or does without.

The registry's client is imported when a registry is configured: it loads OAuth and cryptography, more modules than the
rest of a tier.
"""

from __future__ import annotations

import logging
import time
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from streams.adapters.codec import Codec
from streams.adapters.not_found_grace import NotFoundGrace
from streams.core.address import has_login, is_http, without_login
from streams.core.errors import ConfigError, NotReadyError

READY_SECONDS, PAUSE_SECONDS = 60, 2
"""How long a tier waits at its start for a registry that is not ready, and how long between two tries."""
log = logging.getLogger("escalon.registry")


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
    return _codec(registry)


def patient_codec_for(registry: RegistryConfig | str | None, pause: Callable[[float], None] = time.sleep) -> Codec:
    """The codec of a tier: all its schemas are registered, and an event whose schema may yet be found waits for it.

    Waits for READY_SECONDS while the registry is not ready. Raises ServiceError after that, and for what is refused.
    """
    codec = _codec(registry, NotFoundGrace(time.monotonic), pause)
    for left in range(READY_SECONDS, -1, -PAUSE_SECONDS):
        try:
            codec.prepare()
            break
        except NotReadyError as error:
            if left < PAUSE_SECONDS:
                raise
            log.warning("%s It is asked again, for %d s more.", error.what, left)
            pause(PAUSE_SECONDS)
    return codec


def _codec(
    registry: RegistryConfig | str | None,
    grace: NotFoundGrace | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> Codec:
    if not registry:
        return Codec(None)
    from streams.adapters.schema_registry import SchemaRegistry

    return Codec(SchemaRegistry(registry, grace, pause=pause))
