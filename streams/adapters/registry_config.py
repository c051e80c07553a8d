"""The address and the login of a schema registry."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from typing import Any

from streams.core.address import has_login, is_http, without_login
from streams.core.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryConfig:
    """The address of the registry and the login."""

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
            what = f"{without_login(self.url)!r} is not an HTTP address."
            raise ConfigError(what, "Write it as http://host:8081.", "ESCALON_SCHEMA_REGISTRY")
        if (self.username is None) != (self.password is None):
            remedy = "Set ESCALON_SCHEMA_REGISTRY_USER and ESCALON_SCHEMA_REGISTRY_PASSWORD, or neither."
            raise ConfigError("a login needs a user and a password.", remedy, "ESCALON_SCHEMA_REGISTRY_USER")

    def spellings(self) -> tuple[str, ...]:
        """Return the forms in which a registry's messages may repeat the login."""
        if self.password is None:
            return ()
        return b64encode(f"{self.username}:{self.password}".encode()).decode(), self.password

    def client(self, **more: Any) -> dict[str, Any]:
        login = None if self.username is None else f"{self.username}:{self.password}"
        settings = {"url": self.url, "basic.auth.user.info": login, "ssl.ca.location": self.ca_file}
        return {key: value for key, value in settings.items() if value is not None} | more
