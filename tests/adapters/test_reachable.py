"""Servers that refuse, are silent, or do not exist."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from streams.adapters.clickhouse_connection import ClickHouseConfig
from streams.adapters.kafka import KafkaConfig
from streams.adapters.reachable import check_clickhouse, check_kafka, check_registry
from streams.adapters.registry_config import RegistryConfig
from streams.core.errors import ServiceError
from tests.harness.answering import answering_address

REFUSING = "127.0.0.1:1"


@pytest.fixture
def answering() -> Iterator[str]:
    with answering_address() as address:
        yield address


@pytest.fixture
def mute() -> Iterator[str]:
    """An address that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def silent() -> Iterator[str]:
    """An address that drops new connections, because its queue is full."""
    with socket.socket() as server, socket.socket() as first, socket.socket() as second:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        first.connect(server.getsockname())
        second.setblocking(False)
        second.connect_ex(server.getsockname())
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_one_reachable_bootstrap_server_is_enough(answering: str) -> None:
    check_kafka(KafkaConfig(servers=f"{REFUSING},PLAINTEXT://{answering}"))
    check_clickhouse(ClickHouseConfig(url=f"http://{answering}"))


@pytest.mark.parametrize("servers", [REFUSING, f"[::1]:1, {REFUSING}", "localhost:1"])
def test_a_refusal_names_the_address_and_the_remedy(servers: str) -> None:
    with pytest.raises(ServiceError, match="refused") as raised:
        check_kafka(KafkaConfig(servers=servers))
    assert f"Kafka at {servers} cannot be reached" in raised.value.what
    assert "ESCALON_KAFKA" in raised.value.remedy
    with pytest.raises(ServiceError, match=r"http://127\.0\.0\.1:1 cannot be reached \(connection refused\)"):
        check_clickhouse(ClickHouseConfig(url=f"http://{REFUSING}"))


@pytest.mark.parametrize("kind", ["silent", "mute"])
def test_silence_is_reported_when_the_time_is_over(kind: str, request: pytest.FixtureRequest) -> None:
    address = request.getfixturevalue(kind)
    with pytest.raises(ServiceError, match=r"no answer within 0\.2 s"):
        check_kafka(KafkaConfig(servers=address), seconds=0.2)
    with pytest.raises(ServiceError, match=r"no answer within 0\.2 s"):
        check_clickhouse(ClickHouseConfig(url=f"http://{address}"), seconds=0.2)
    with pytest.raises(ServiceError, match=r"no answer within 0\.2 s"):
        check_registry(RegistryConfig(url=f"http://{address}"), seconds=0.2)


def test_the_servers_that_escalon_starts_answer(kafka: KafkaConfig, config: ClickHouseConfig) -> None:
    check_kafka(kafka)
    check_clickhouse(config)


@pytest.mark.parametrize("host", ["escalon.invalid", "a..b", "x" * 70])
def test_a_name_that_does_not_exist_is_reported(host: str) -> None:
    with pytest.raises(ServiceError, match="cannot be reached"):
        check_kafka(KafkaConfig(servers=f"{host}:9092"))


def test_clickhouse_behind_a_proxy_is_left_to_its_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:2")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    check_clickhouse(ClickHouseConfig(url="http://clickhouse.invalid:8123"))
