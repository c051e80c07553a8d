"""Logins at a schema registry: by certificate and by OAuth, over TLS."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from streams.adapters import schemas
from streams.adapters.registry_config import RegistryConfig
from streams.adapters.schema_registry import SchemaRegistry
from streams.app.settings import read_settings
from streams.core.errors import ConfigError, EscalonError, NotReadyError, ServiceError
from streams.core.messages import RawEvent
from tests.harness.fakes.schema_registry import SchemaRegistryServer
from tests.harness.secure.authority import Authority
from tests.harness.secure.oauth import TokenServer
from tests.harness.secure.tls_front import tls_front

SECRET, OTHER_SECRET = "planted-client-secret", "another-client-secret"
NAME = "ESCALON_SCHEMA_REGISTRY"


@pytest.fixture
def tokens() -> Iterator[TokenServer]:
    with TokenServer("escalon", SECRET) as running:
        yield running


@pytest.fixture
def server(tokens: TokenServer) -> Iterator[SchemaRegistryServer]:
    with SchemaRegistryServer() as running:
        running.tokens = tokens.given
        yield running


def register(config: RegistryConfig) -> int:
    return SchemaRegistry(config).id_of(schemas.current()[RawEvent])


def oauth(server: SchemaRegistryServer, tokens: TokenServer, **more: Any) -> RegistryConfig:
    usual = {"url": server.url, "username": "escalon", "password": SECRET, "token_url": tokens.url, "scope": "schemas"}
    return RegistryConfig(**usual | more)


def test_a_token_is_fetched_and_sent(server: SchemaRegistryServer, tokens: TokenServer) -> None:
    assert register(oauth(server, tokens)) == 1
    assert [form["scope"] for form in tokens.asked] == [["schemas"]]


def test_the_authority_of_the_token_endpoint_may_be_named(
    server: SchemaRegistryServer, tokens: TokenServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path, "ours")
    with tls_front(*authority.issue("tokens"), tokens.port) as front:
        config = oauth(server, tokens, token_url=f"https://127.0.0.1:{front}/token")
        with pytest.raises(NotReadyError, match="certificate verify failed"):
            register(config)
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca))
        assert register(config) == 1


def test_a_token_of_another_client_is_reported_without_the_secret(
    server: SchemaRegistryServer, tokens: TokenServer
) -> None:
    with pytest.raises(NotReadyError, match=f"{NAME}_TOKEN_URL") as caught:
        register(oauth(server, tokens, password=OTHER_SECRET))
    assert OTHER_SECRET not in str(caught.value)
    server.tokens = []
    with pytest.raises(ServiceError, match="refuses the login"):
        register(oauth(server, tokens))


def test_a_registry_that_wants_a_certificate_gets_it(tmp_path: Path) -> None:
    ours, other = Authority(tmp_path / "ours", "ours"), Authority(tmp_path / "other", "other")
    certificate, key = ours.issue("client", "k3y-word")
    with ExitStack() as opened:
        server = opened.enter_context(SchemaRegistryServer())
        behind = int(server.url.rpartition(":")[2])
        front = opened.enter_context(tls_front(*ours.issue("registry"), behind, ours.ca))
        at: dict[str, Any] = {"url": f"https://127.0.0.1:{front}", "ca_file": str(ours.ca)}
        files: dict[str, Any] = {"cert_file": str(certificate), "key_file": str(key)}
        config = RegistryConfig(**at, **files, key_password="k3y-word")
        assert register(config) == 1
        assert config.login == f"by the certificate {certificate}"
        assert "k3y-word" not in repr(config)
        others: dict[str, Any] = dict(zip(files, map(str, other.issue("client")), strict=True))
        for wrong in ({}, others):
            with pytest.raises(NotReadyError, match="cannot be reached"):
                register(RegistryConfig(**at, **wrong))
        with pytest.raises(ConfigError, match=f"{NAME}_KEY_PASSWORD"):
            register(RegistryConfig(**at, **files, key_password="another"))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"TOKEN_URL": "https://login.example.com/token"}, f"{NAME}_USER"),
        ({"TOKEN_URL": "https://me:s3cret@login.example.com", "USER": "a", "PASSWORD": "b"}, f"{NAME}_TOKEN_URL"),
        ({"TOKEN_URL": "login.example.com", "USER": "a", "PASSWORD": "b"}, f"{NAME}_TOKEN_URL"),
        ({"KEY_FILE": "client.key"}, f"{NAME}_CERT_FILE"),
        ({"REGISTER": "perhaps"}, f"{NAME}_REGISTER"),
    ],
)
def test_half_a_login_names_what_is_missing(settings: dict[str, str], said: str) -> None:
    with pytest.raises(EscalonError, match=said) as caught:
        read_settings({NAME: "https://r.example.com"} | {f"{NAME}_{name}": value for name, value in settings.items()})
    assert "s3cret" not in str(caught.value)


def test_every_setting_arrives(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("from-a-file\n")
    named = {
        "USER": "me",
        "PASSWORD_FILE": str(secret),
        "TOKEN_URL": "https://login.example.com/token",
        "SCOPE": "schemas",
        "LOGICAL_CLUSTER": "lsrc-1",
        "IDENTITY_POOL": "pool-1",
        "CERT_FILE": "client.pem",
        "KEY_FILE": "client.key",
        "KEY_PASSWORD_FILE": str(secret),
        "REGISTER": "no",
    }
    found = read_settings({NAME: "https://r.example.com"} | {f"{NAME}_{name}": one for name, one in named.items()})
    config = found.schema_registry
    assert config == RegistryConfig(
        url="https://r.example.com",
        username="me",
        password="from-a-file",
        token_url="https://login.example.com/token",
        scope="schemas",
        logical_cluster="lsrc-1",
        identity_pool="pool-1",
        cert_file="client.pem",
        key_file="client.key",
        key_password="from-a-file",
        register=False,
    )
    assert "from-a-file" not in repr(found)


def test_openssl_does_not_ask_for_a_password_at_the_terminal(tmp_path: Path) -> None:
    certificate, key = Authority(tmp_path, "ours").issue("client", "k3y-word")
    config = RegistryConfig(url="https://r.example.com", cert_file=str(certificate), key_file=str(key))
    with pytest.raises(ConfigError, match="TLS file cannot be used") as caught:
        config.client()
    assert isinstance(caught.value.__cause__, ssl.SSLError | OSError)
