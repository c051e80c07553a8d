"""The configuration of each Kafka client."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, Producer

from streams.adapters.kafka import CLIENT_LOG, COMPRESSIONS, KafkaConfig
from streams.adapters.kafka_errors import refused
from streams.adapters.topic_reader import record_of
from streams.core.errors import ConfigError
from tests.harness.secure.authority import Authority

ROOT = Path(__file__).parents[2]
SASL: dict[str, Any] = {"sasl_mechanism": "SCRAM-SHA-512", "username": "me", "password": "s3cret"}


def test_a_plain_broker_needs_only_its_address() -> None:
    config = KafkaConfig(servers="a:9092,b:9092")
    assert config.confluent() == {
        "bootstrap.servers": "a:9092,b:9092",
        "security.protocol": "PLAINTEXT",
        "topic.metadata.refresh.interval.ms": 10_000,
        "logger": CLIENT_LOG,
    }
    assert config.ssl_context() is None


@pytest.mark.parametrize(
    ("settings", "protocol"),
    [({}, "PLAINTEXT"), ({"tls": True}, "SSL"), (SASL, "SASL_PLAINTEXT"), (SASL | {"tls": True}, "SASL_SSL")],
)
def test_the_protocol_follows_from_tls_and_sasl(settings: dict[str, Any], protocol: str) -> None:
    assert KafkaConfig(servers="a:1", **settings).protocol == protocol


def test_every_setting_has_its_name_at_the_client() -> None:
    config = KafkaConfig(servers="a:1", tls=True, ca_file="ca", cert_file="cert", key_file="key", **SASL)
    assert config.confluent(acks="all") == {
        "bootstrap.servers": "a:1",
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": "ca",
        "ssl.certificate.location": "cert",
        "ssl.key.location": "key",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "me",
        "sasl.password": "s3cret",
        "acks": "all",
        "topic.metadata.refresh.interval.ms": 10_000,
        "logger": CLIENT_LOG,
    }


def test_every_consumer_reads_committed_records_and_goes_on_at_what_is_held() -> None:
    assert KafkaConfig(servers="a:1").consumer("mine", **{"fetch.wait.max.ms": 50}) == {
        "bootstrap.servers": "a:1",
        "security.protocol": "PLAINTEXT",
        "group.id": "mine",
        "isolation.level": "read_committed",
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "fetch.wait.max.ms": 50,
        "fetch.queue.backoff.ms": 10,
        "topic.metadata.refresh.interval.ms": 10_000,
        "logger": CLIENT_LOG,
    }


def test_no_consumer_is_configured_elsewhere() -> None:
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "streams").rglob("*.py")]
    assert sum("isolation.level" in text or "auto.offset.reset" in text for text in sources) == 1
    assert not any("Consumer(config.confluent" in text or "Consumer(self.kafka.confluent" in text for text in sources)


def test_the_password_is_not_shown() -> None:
    assert "s3cret" not in repr(KafkaConfig(servers="a:1", **SASL))


@pytest.mark.parametrize(
    "settings",
    [{"sasl_mechanism": "GSSAPI"}, {"sasl_mechanism": "PLAIN"}, {"sasl_mechanism": "PLAIN", "username": "me"}],
)
def test_a_log_in_that_cannot_work_is_refused_at_once(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        KafkaConfig(servers="a:1", **settings)
    assert caught.value.key == "ESCALON_KAFKA_SASL_MECHANISM"


def test_with_tls_the_brokers_certificate_is_checked() -> None:
    context = KafkaConfig(servers="a:1", tls=True).ssl_context()
    assert context is not None
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


@pytest.mark.parametrize("setting", ["ca_file", "cert_file"])
@pytest.mark.parametrize("there", [False, True])
def test_a_tls_file_that_cannot_be_used_is_reported(tmp_path: Path, setting: str, there: bool) -> None:
    file = tmp_path / "tls.pem"
    if there:
        file.write_text("no certificate")
    with pytest.raises(ConfigError, match="ESCALON_KAFKA_CA_FILE"):
        KafkaConfig(servers="a:1", tls=True, **{setting: str(file)}).ssl_context()


class FakeMessage:
    """A confluent-kafka message."""

    def __init__(self, headers: list[tuple[str, bytes | None]] | None) -> None:
        self._headers = headers

    def topic(self) -> str:
        """Its topic."""
        return "events"

    def partition(self) -> int:
        """Its partition."""
        return 3

    def offset(self) -> int:
        """Its offset."""
        return 17

    def key(self) -> bytes:
        """Its key."""
        return b"k"

    def value(self) -> bytes:
        """Its value."""
        return b"v"

    def timestamp(self) -> tuple[int, int]:
        """Its kind of time and the milliseconds."""
        return 1, 1_700_000_000_123

    def headers(self) -> list[tuple[str, bytes | None]] | None:
        """Its headers; a value may be missing."""
        return self._headers


def test_a_message_of_the_client_becomes_a_record() -> None:
    record = record_of(FakeMessage([("a", b"1"), ("b", None)]))
    assert (record.topic, record.partition, record.offset, record.key, record.value) == ("events", 3, 17, b"k", b"v")
    assert record.timestamp == datetime(2023, 11, 14, 22, 13, 20, 123_000, UTC)
    assert list(record.headers) == [("a", b"1")]
    assert (record.header("a"), record.header("b")) == ("1", None)
    assert list(record_of(FakeMessage(None)).headers) == []


def test_an_address_with_a_login_is_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigError) as caught:
        KafkaConfig(servers="a:1,me:s3cret@b:1")
    assert caught.value.key == "ESCALON_KAFKA"
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "said", "words"),
    [
        (KafkaError._AUTHENTICATION, "SASL authentication error", "refuses the login of me by SCRAM-SHA-512"),
        (KafkaError._SSL, "error:0A000086: certificate verify failed: ", "not signed by ca.pem"),
        (KafkaError._SSL, "error:0A00010B: wrong version number", "does not speak TLS"),
        (KafkaError._SSL, "tlsv13 alert certificate required", "ESCALON_KAFKA_CERT_FILE"),
    ],
)
def test_an_error_that_waiting_does_not_fix_names_the_setting(code: int, said: str, words: str) -> None:
    told = refused(KafkaConfig(servers="a:1", tls=True, ca_file="ca.pem", **SASL), KafkaError(code, said))
    assert told is not None
    assert words in str(told)
    assert "s3cret" not in str(told)


def test_an_unreachable_broker_may_come_back() -> None:
    assert refused(KafkaConfig(servers="a:1"), KafkaError(KafkaError._TRANSPORT, "connection refused")) is None


def test_an_encrypted_key_is_opened_by_its_password_and_never_asked_for(tmp_path: Path) -> None:
    certificate, key = Authority(tmp_path, "ours").issue("client", "k3y-word")
    files: dict[str, Any] = {"servers": "a:1", "tls": True, "cert_file": str(certificate), "key_file": str(key)}
    config = KafkaConfig(**files, key_password="k3y-word")
    assert config.ssl_context() is not None
    assert config.confluent()["ssl.key.password"] == "k3y-word"
    assert "k3y-word" not in repr(config)
    for wrong in (None, "another"):
        with pytest.raises(ConfigError, match="ESCALON_KAFKA_KEY_PASSWORD"):
            KafkaConfig(**files, key_password=wrong).ssl_context()


@pytest.mark.parametrize("variable", ["", "token_url", "username", "password"])
def test_oauth_has_its_settings_at_the_client_and_names_what_is_missing(variable: str) -> None:
    settings: dict[str, Any] = {"username": "me", "password": "s3cret", "token_url": "https://login.example.com/token"}
    if variable:
        with pytest.raises(ConfigError) as caught:
            KafkaConfig(servers="a:1", sasl_mechanism="OAUTHBEARER", **settings | {variable: None})
        assert "ESCALON_KAFKA" in str(caught.value)
        assert "s3cret" not in str(caught.value)
        return
    config = KafkaConfig(servers="a:1", sasl_mechanism="OAUTHBEARER", scope="kafka", extensions="a=b", **settings)
    assert {name: value for name, value in config.confluent().items() if name.startswith("sasl.")} == {
        "sasl.mechanism": "OAUTHBEARER",
        "sasl.oauthbearer.method": "oidc",
        "sasl.oauthbearer.token.endpoint.url": "https://login.example.com/token",
        "sasl.oauthbearer.client.id": "me",
        "sasl.oauthbearer.client.secret": "s3cret",
        "sasl.oauthbearer.scope": "kafka",
        "sasl.oauthbearer.extensions": "a=b",
    }
    assert config.login == "by OAUTHBEARER as me"


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"tls": True}, "ESCALON_KAFKA_AWS_REGION"),
        ({"aws_region": "eu-central-1"}, "ESCALON_KAFKA_TLS"),
        ({"tls": True, "aws_region": "eu-central-1", "compression": "best"}, "ESCALON_KAFKA_COMPRESSION"),
    ],
)
def test_amazons_login_names_what_is_missing(settings: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        KafkaConfig(servers="a:1", sasl_mechanism="AWS_MSK_IAM", **settings)
    assert caught.value.key == key


def test_a_token_endpoint_with_a_login_is_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigError) as caught:
        KafkaConfig(
            servers="a:1",
            sasl_mechanism="OAUTHBEARER",
            username="a",
            password="b",
            token_url="https://me:s3cret@b/token",
        )
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_only_producers_compress(compression: str) -> None:
    config = KafkaConfig(servers="a:1", compression=compression)
    assert config.producer(acks="all")["compression.type"] == compression
    assert "compression.type" not in config.consumer("mine")
    Producer(config.producer())  # the client was built with it
