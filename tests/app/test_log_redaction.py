"""Secrets are found by the names of their variables, and removed from logs and output."""

from __future__ import annotations

import logging
from base64 import b64encode
from pathlib import Path

import pytest

from streams.app.log_redaction import HIDDEN, Hider, HidingFormatter, environment_hider, secrets_of
from streams.app.settings import read_settings
from streams.core.errors import ConfigError


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("ANTHROPIC_API_KEY", "sk-ant-123456", "the key sk-ant-123456 is wrong"),
        ("ESCALON_KAFKA_PASSWORD", "kafka word/1", "as kafka word/1 or kafka%20word%2F1"),
        ("AWS_SECRET_ACCESS_KEY", "aws-secret-1", "aws-secret-1"),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "x=1,authorization=Bearer%20otlp-token",
            "otlp-token or Bearer%20otlp-token",
        ),
        ("ESCALON_BLOBS", "ftp://me:blob-word@host/b", "530 login of blob-word failed"),
        ("https_proxy", "http://me:proxy-word@host:1", "proxy-word"),
        ("https_proxy", "http://me:proxy-word@host:1", f"Basic {b64encode(b'me:proxy-word').decode()}"),
    ],
)
def test_a_secret_is_hidden_however_it_is_spelt(name: str, value: str, text: str) -> None:
    said = environment_hider({name: value})(text)
    assert HIDDEN in said
    for secret in (
        b64encode(b"me:proxy-word").decode(),
        "sk-ant",
        "kafka",
        "aws",
        "otlp-token",
        "blob-word",
        "proxy-word",
    ):
        assert secret not in said


def test_a_secret_in_a_file_is_hidden_too(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from-a-file\n")
    environment = {"ANTHROPIC_API_KEY_FILE": str(tmp_path / "key"), "ESCALON_KAFKA_CA_FILE": "/etc/ca.pem"}
    assert environment_hider(environment)("says from-a-file of /etc/ca.pem") == f"says {HIDDEN} of /etc/ca.pem"


def test_a_login_of_two_settings_is_hidden_as_http_writes_it(tmp_path: Path) -> None:
    (tmp_path / "word").write_text("topsecret")
    login = b64encode(b"me:topsecret").decode()
    for name, value in (("X_PASSWORD", "topsecret"), ("X_PASSWORD_FILE", str(tmp_path / "word"))):
        for user in ("X_USER", "X_USERNAME"):
            assert environment_hider({user: "me", name: value})(f"Basic {login}") == f"Basic {HIDDEN}"


def test_a_file_that_cannot_be_read_hides_nothing_and_stops_nothing(tmp_path: Path) -> None:
    assert environment_hider({"ANTHROPIC_API_KEY_FILE": str(tmp_path / "none")})("text") == "text"


def test_other_values_and_short_ones_are_left_alone() -> None:
    environment = {"ESCALON_DATA": "/data/here", "X_TOKEN": "a", "ESCALON_CLICKHOUSE": "http://host:8123"}
    assert environment_hider(environment)("a /data/here http://host:8123") == "a /data/here http://host:8123"


def test_a_longer_secret_is_hidden_whole_when_it_begins_with_another() -> None:
    assert Hider(["secret", "secret-two"])("secret-two") == HIDDEN


def test_a_traceback_in_the_log_is_hidden_too() -> None:
    shown = HidingFormatter("%(message)s", Hider(secrets_of({"A_PASSWORD": "topsecret"})))
    try:
        raise ValueError("login by topsecret")
    except ValueError as error:
        record = logging.LogRecord("a", logging.ERROR, "f", 1, "x %s", ("topsecret",), (ValueError, error, None))
    assert "topsecret" not in shown.format(record)
    assert "ValueError" in shown.format(record)


@pytest.mark.parametrize(
    "environment",
    [
        {"ESCALON_CLICKHOUSE": "http://me:planted-word@host:8123"},
        {"ESCALON_CLICKHOUSE": "tcp://me:planted-word@host"},
        {"ESCALON_CLICKHOUSE": "http://me:planted-word/x@host:1"},
        {"ESCALON_CLICKHOUSE": "http://me:planted[word@host:1"},
        {"ESCALON_KAFKA": "me:planted-word@host:9092"},
        {"ESCALON_SCHEMA_REGISTRY": "http://me:planted-word@host:8081"},
        {"ESCALON_SCHEMA_REGISTRY": "http//me:planted-word@host:8081"},
        {"ANTHROPIC_BASE_URL": "https://me:planted-word@gateway"},
    ],
)
def test_an_address_with_a_login_is_refused_and_not_repeated(environment: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as caught:
        read_settings(environment)
    assert caught.value.key == next(iter(environment))
    assert "planted" not in str(caught.value)
    assert "planted" not in str(caught.value.__cause__)


def test_a_secret_file_that_is_not_text_is_reported_without_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"planted\xff")
    with pytest.raises(ConfigError, match="is not UTF-8 text") as caught:
        read_settings({"ANTHROPIC_API_KEY_FILE": str(tmp_path / "key")})
    assert caught.value.__cause__ is None


def test_settings_show_no_secret() -> None:
    secrets = {
        "ANTHROPIC_API_KEY": "planted-1",
        "ESCALON_KAFKA": "host:1",
        "ESCALON_KAFKA_SASL_MECHANISM": "PLAIN",
        "ESCALON_KAFKA_USERNAME": "me",
        "ESCALON_KAFKA_PASSWORD": "planted-2",
        "ESCALON_KAFKA_KEY_PASSWORD": "planted-3",
        "ESCALON_CLICKHOUSE": "http://host",
        "ESCALON_CLICKHOUSE_PASSWORD": "planted-4",
        "ESCALON_SCHEMA_REGISTRY": "http://host",
        "ESCALON_SCHEMA_REGISTRY_USER": "me",
        "ESCALON_SCHEMA_REGISTRY_PASSWORD": "planted-5",
        "ESCALON_BLOBS": "ftp://me:planted-6@host/b",
    }
    assert "planted" not in repr(read_settings(secrets))


@pytest.mark.parametrize(
    ("name", "also"),
    [
        ("ANTHROPIC_API_KEY", {}),
        ("ESCALON_BLOBS", {}),
        ("ESCALON_CLICKHOUSE_PASSWORD", {"ESCALON_CLICKHOUSE": "http://host"}),
        ("ESCALON_KAFKA_PASSWORD", {"ESCALON_KAFKA": "host:1"}),
        ("ESCALON_KAFKA_KEY_PASSWORD", {"ESCALON_KAFKA": "host:1"}),
        (
            "ESCALON_SCHEMA_REGISTRY_PASSWORD",
            {"ESCALON_SCHEMA_REGISTRY": "http://host", "ESCALON_SCHEMA_REGISTRY_USER": "me"},
        ),
    ],
)
def test_every_secret_may_come_from_a_file(name: str, also: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(" file://from-a-file \n")
    by_file = read_settings({**also, f"{name}_FILE": str(tmp_path / "secret")})
    assert by_file == read_settings({**also, name: "file://from-a-file"})
    assert by_file != read_settings({**also, name: "another"})
