"""The address and the login of a schema registry."""

from __future__ import annotations

import ssl
from base64 import b64encode
from dataclasses import dataclass, field
from typing import Any

from streams.core.address import has_login, is_http, without_login
from streams.core.errors import ConfigError

_NAME = "ESCALON_SCHEMA_REGISTRY"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryConfig:
    """The address of the registry and the login: by user and password, by a client certificate, or by OAuth.

    With a `token_url`, the user is the id of an OAuth client and the password its secret.
    """

    url: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    key_password: str | None = field(default=None, repr=False)
    token_url: str | None = None
    """The address at which an OAuth client gets its tokens."""
    scope: str | None = None
    logical_cluster: str | None = None
    """Sent with each token, as Confluent Cloud wants it."""
    identity_pool: str | None = None
    register: bool = True
    """False if our own schemas are looked up only, since others register them."""

    def __post_init__(self) -> None:
        for url, name in ((self.url, _NAME), (self.token_url, f"{_NAME}_TOKEN_URL")):
            _check_address(url, name)
        if (self.username is None) != (self.password is None):
            remedy = f"Set {_NAME}_USER and {_NAME}_PASSWORD, or neither."
            raise ConfigError("a login needs a user and a password.", remedy, f"{_NAME}_USER")
        if self.token_url is not None and self.username is None:
            remedy = f"Set {_NAME}_USER to the client's id and {_NAME}_PASSWORD to its secret."
            raise ConfigError("OAuth needs the id of a client and its secret.", remedy, f"{_NAME}_TOKEN_URL")
        if self.cert_file is None and (self.key_file or self.key_password):
            remedy = f"Set {_NAME}_CERT_FILE, or leave the key out."
            raise ConfigError("a key needs its certificate.", remedy, f"{_NAME}_KEY_FILE")

    @property
    def login(self) -> str:
        """The way it logs in, for people and without secrets; empty without a login."""
        ways = [f"as {self.username}" if self.token_url is None else f"as the OAuth client {self.username}"]
        ways = ways if self.username is not None else []
        if self.cert_file is not None:
            ways.append(f"by the certificate {self.cert_file}")
        return " and ".join(ways)

    def spellings(self) -> tuple[str, ...]:
        """Return the forms in which a registry's messages may repeat the login."""
        if self.password is None:
            return ()
        return b64encode(f"{self.username}:{self.password}".encode()).decode(), self.password

    def client(self, **more: Any) -> dict[str, Any]:
        """Return the configuration of confluent-kafka's client. Raises ConfigError for unusable files."""
        self._check_files()
        settings = {
            "url": self.url,
            "ssl.ca.location": self.ca_file,
            "ssl.certificate.location": self.cert_file,
            "ssl.key.location": self.key_file,
            # Without a password given, OpenSSL would ask for one at the terminal.
            "ssl.key.password": (self.key_password or "") if self.cert_file else None,
        } | (self._basic() if self.token_url is None else self._oauth())
        return {key: value for key, value in settings.items() if value is not None} | more

    def _basic(self) -> dict[str, str | None]:
        return {"basic.auth.user.info": None if self.username is None else f"{self.username}:{self.password}"}

    def _oauth(self) -> dict[str, str | None]:
        return {
            "bearer.auth.credentials.source": "OAUTHBEARER",
            "bearer.auth.issuer.endpoint.url": self.token_url,
            "bearer.auth.client.id": self.username,
            "bearer.auth.client.secret": self.password,
            "bearer.auth.scope": self.scope or "",
            "bearer.auth.logical.cluster": self.logical_cluster or "",
            "bearer.auth.identity.pool.id": self.identity_pool,
        }

    def _check_files(self) -> None:
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            if self.cert_file is not None:
                context.load_cert_chain(self.cert_file, self.key_file, password=self.key_password or "")
        except OSError as error:  # ssl's own errors are of this kind too
            remedy = (
                f"Check {_NAME}_CA_FILE, {_NAME}_CERT_FILE, {_NAME}_KEY_FILE and, if the key is encrypted, "
                f"{_NAME}_KEY_PASSWORD."
            )
            raise ConfigError(f"a TLS file cannot be used ({error}).", remedy, f"{_NAME}_CERT_FILE") from error


def _check_address(url: str | None, name: str) -> None:
    if url is None:
        return
    if has_login(url):
        remedy = f"Set {_NAME}_USER and {_NAME}_PASSWORD instead."
        raise ConfigError("the address holds a login, which would end up in logs.", remedy, name)
    if not is_http(url):
        what = f"{without_login(url)!r} is not an HTTP address."
        raise ConfigError(what, "Write it as http://host:8081.", name)
