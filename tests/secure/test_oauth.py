"""Logins at Apache Kafka by OAuth and by Amazon's IAM, of every kind of client that escalon has."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from streams.adapters.group_lag import GroupLags
from streams.adapters.kafka import KafkaConfig
from streams.adapters.kafka_admin import create_topics, describe_cluster
from streams.adapters.msk import token
from streams.adapters.topic_reader import TopicReader
from streams.app.publisher import Publisher
from streams.core.errors import ConfigError, ServiceError
from streams.embedded.supervisor import Supervisor
from tests.harness.secure.authority import Authority
from tests.harness.secure.oauth import OAuthKafka, TokenServer, unsigned_token
from tests.harness.secure.tls_front import tls_front

SECRET, OTHER_SECRET = "planted-client-secret", "another-client-secret"
SHORT_SECONDS = 6.0


@dataclass(frozen=True)
class Deployed:
    """A broker with tokens, and the server that gives them, behind TLS."""

    config: KafkaConfig
    tokens: TokenServer


@pytest.fixture(scope="module")
def deployed(kafka_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    directory = tmp_path_factory.mktemp("oauth")
    authority = Authority(directory / "ca", "ours")
    with ExitStack() as opened:
        supervisor = opened.enter_context(Supervisor(directory / "logs"))
        tokens = opened.enter_context(TokenServer("escalon", SECRET))
        front = opened.enter_context(tls_front(*authority.issue("tokens"), tokens.port))
        kafka = OAuthKafka(
            home=kafka_home,
            directory=directory / "kafka",
            authority=authority,
            passphrase="keystore-passphrase",
            users={"admin": "admin-password"},
        )
        config = KafkaConfig(
            servers=kafka.start(supervisor),
            tls=True,
            ca_file=str(authority.ca),
            sasl_mechanism="OAUTHBEARER",
            username="escalon",
            password=SECRET,
            token_url=f"https://127.0.0.1:{front}/token",
            scope="kafka:write",
        )
        create_topics(config, "", 1, 1)
        yield Deployed(config, tokens)


def published_and_read(config: KafkaConfig, event_id: str, blobs: Path) -> None:
    """Publish an event with a producer, and read it with a consumer."""
    with Publisher(config, blobs=f"file://{blobs}") as publisher:
        publisher.publish("Hello?", id=event_id)
    tail = TopicReader(config, ["events"])
    try:
        assert any(event_id.encode() in (record.value or b"") for record in tail.to_end())
    finally:
        tail.close()


def test_every_client_gets_in_with_a_token_of_the_right_scope(deployed: Deployed, tmp_path: Path) -> None:
    published_and_read(deployed.config, "one", tmp_path)
    assert GroupLags(deployed.config).read({"escalon-listen": ["events"]}) == {"escalon-listen": 1}
    assert {("client_credentials", "kafka:write")} == {
        (form["grant_type"][0], form["scope"][0]) for form in deployed.tokens.asked
    }


def test_a_token_is_renewed_before_it_ends(deployed: Deployed, tmp_path: Path) -> None:
    deployed.tokens.seconds = SHORT_SECONDS
    try:
        with Publisher(deployed.config, blobs=f"file://{tmp_path}") as publisher:
            asked = len(deployed.tokens.asked)
            deadline = time.monotonic() + 60
            while len(deployed.tokens.asked) < asked + 2:
                assert time.monotonic() < deadline, "the token was never renewed"
                time.sleep(0.1)
            publisher.publish("Still there?", id="two")
            assert len(publisher.flush()) == 1
    finally:
        deployed.tokens.seconds = 3600.0


def test_a_wrong_secret_is_reported_with_the_setting_and_without_the_secret(deployed: Deployed) -> None:
    with pytest.raises(ServiceError, match="ESCALON_KAFKA_TOKEN_URL") as caught:
        describe_cluster(replace(deployed.config, password=OTHER_SECRET))
    assert "invalid_client" in str(caught.value)
    assert OTHER_SECRET not in str(caught.value)


def test_an_unreachable_token_endpoint_is_reported(deployed: Deployed) -> None:
    with pytest.raises(ServiceError, match="needs a token, which cannot be had"):
        describe_cluster(replace(deployed.config, token_url="https://127.0.0.1:9/token"))


def test_amazons_signer_is_asked_for_the_token_of_every_client(
    deployed: Deployed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker is not Amazon's, so what the signer signs is put in the place of what it returns."""
    regions = []

    def signed(region: str) -> tuple[str, int]:
        regions.append(region)
        return unsigned_token("escalon", 3600), int(1000 * (time.time() + 3600))

    monkeypatch.setattr("aws_msk_iam_sasl_signer.MSKAuthTokenProvider.generate_auth_token", signed)
    published_and_read(iam(deployed.config), "three", tmp_path)
    assert set(regions) == {"eu-central-1"}
    assert len(regions) >= 3


def test_a_token_of_amazons_signer_is_sent_and_a_refusal_reported(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAPLANTED")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    _, ends = token("eu-central-1")
    assert 600 < ends - time.time() <= 900
    with pytest.raises(ServiceError, match="refuses the login"):
        describe_cluster(iam(deployed.config))


def test_without_amazons_credentials_the_error_says_so(
    deployed: Deployed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="AWS_ACCESS_KEY_ID"):
        describe_cluster(iam(deployed.config))


def iam(config: KafkaConfig) -> KafkaConfig:
    """The same broker, with Amazon's login."""
    return KafkaConfig(
        servers=config.servers,
        tls=True,
        ca_file=config.ca_file,
        sasl_mechanism="AWS_MSK_IAM",
        aws_region="eu-central-1",
    )
