"""escalon schemas, and tiers that may only look schemas up."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from streams.adapters import schemas
from streams.adapters.codec import Codec
from streams.adapters.codec_factory import patient_codec_for
from streams.adapters.registry_config import RegistryConfig
from streams.adapters.schema_registry import SchemaRegistry
from streams.cli.schemas import app
from streams.core.errors import NotReadyError, ServiceError
from streams.core.messages import RawEvent
from tests.harness.fakes.schema_registry import SchemaRegistryServer


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[SchemaRegistryServer]:
    with SchemaRegistryServer() as running:
        monkeypatch.setenv("ESCALON_SCHEMA_REGISTRY", running.url)
        yield running


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, arguments)
    return done.exit_code, done.stdout


def test_schemas_are_registered_by_the_command_and_then_found_by_tiers_that_may_not(
    server: SchemaRegistryServer,
) -> None:
    config = RegistryConfig(url=server.url, register=False)
    with pytest.raises(ServiceError, match=r"escalon\.RawEvent.*`escalon schemas --register`"):
        Codec(SchemaRegistry(config)).encode(RawEvent(text="x"))
    assert run()[0] == 1
    assert server.schemas == {}
    code, listed = run("--register")
    assert code == 0
    assert len(server.schemas) == len(schemas.current())
    assert all(f"escalon.{schema.name}" in listed for schema in schemas.current().values())
    server.requests.clear()
    patient_codec_for(config)
    assert not any(request.endswith("/versions") for request in server.requests)
    assert run()[0] == 0


def test_what_is_printed_can_be_registered_by_other_means(server: SchemaRegistryServer) -> None:
    code, printed = run("--print")
    assert code == 0
    for line in map(json.loads, printed.splitlines()):
        server.register(line["subject"], line["schema"])
    assert run()[0] == 0
    Codec(SchemaRegistry(RegistryConfig(url=server.url, register=False))).prepare()


def test_a_tier_waits_until_its_schemas_are_registered(server: SchemaRegistryServer) -> None:
    def pause(_: float) -> None:
        run("--register")

    patient_codec_for(RegistryConfig(url=server.url, register=False), pause)


def test_a_tier_does_not_wait_indefinitely(server: SchemaRegistryServer) -> None:
    pauses: list[float] = []
    with pytest.raises(NotReadyError, match="ESCALON_SCHEMA_REGISTRY_REGISTER"):
        patient_codec_for(RegistryConfig(url=server.url, register=False), pauses.append)
    assert pauses
