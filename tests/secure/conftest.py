"""A whole pipeline with real secrets everywhere: in memory and plain, and on Apache Kafka and ClickHouse with TLS."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from streams.app.process import TIERS
from streams.app.settings import read_settings
from streams.embedded.local_pipeline import running_pipeline
from streams.embedded.supervisor import Supervisor, module_command, module_environment
from streams.pipeline.code import ANY_PYTHON
from streams.pipeline.load import load_pipeline
from tests.harness.fakes.messages_server import Failure, Raw
from tests.harness.fakes.schema_registry import SchemaRegistryServer
from tests.harness.journey import PIPELINE, FakeClaude, Journey, answer
from tests.harness.ports import neighbouring_ports
from tests.harness.secure.authority import Authority
from tests.harness.secure.echo import Echo, echo
from tests.harness.secure.kafka import SecureKafka
from tests.harness.secure.pipeline import USER, Secure, planted
from tests.harness.secure.tls_front import tls_front


def talkative(key: str) -> Any:
    """The journey's fake model, which says the key aloud when it is asked about it."""

    def say(body: Mapping[str, Any]) -> Any:
        prompt = str(body["messages"][-1]["content"])
        if "what went wrong" in prompt:
            return Failure(401, f"invalid x-api-key: {key}")
        if "a gateway" in prompt:
            return Raw(f"<html>x-api-key: {key}</html>".encode(), 400, "text/html")
        return answer(body)

    return say


@pytest.fixture(scope="module", params=["tansu", "kafka"])
def secure(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    """The journey's pipeline with secrets in all its settings."""
    home = request.getfixturevalue("kafka_home") if request.param == "kafka" else None
    directory = tmp_path_factory.mktemp(f"secure-{request.param}")
    found = {name: planted(name) for name in ("anthropic-key", "registry-password", "otlp-header", "otlp-login", "aws")}
    with ExitStack() as opened:
        claude = opened.enter_context(FakeClaude())
        claude.server.answer = talkative(found["anthropic-key"])
        collector, registry = opened.enter_context(echo()), opened.enter_context(SchemaRegistryServer())
        registry.login = f"{USER}:{found['registry-password']}"
        port = neighbouring_ports(len(TIERS))
        patched = opened.enter_context(pytest.MonkeyPatch.context())
        environment = settings(directory, found, claude.server.url, collector, registry, port)
        for name in ("ESCALON_KAFKA", "ESCALON_CLICKHOUSE"):
            patched.delenv(name, raising=False)
        extra: dict[str, str] = {}
        if home is not None:
            own, extra, more = servers(opened, directory, home)
            environment |= own
            found |= more
        for name, value in environment.items():
            patched.setenv(name, value)
        pipeline = load_pipeline(PIPELINE / "pipeline.toml", ANY_PYTHON)
        running = opened.enter_context(running_pipeline(read_settings(os.environ), pipeline))
        yield Secure(Journey(running, claude), directory, port, collector, registry, found, extra)


def settings(
    directory: Path,
    found: Mapping[str, str],
    claude_url: str,
    collector: Echo,
    registry: SchemaRegistryServer,
    port: int,
) -> dict[str, str]:
    """Return the settings of every variant, with their secrets."""
    return {
        "ANTHROPIC_API_KEY": found["anthropic-key"],
        "ANTHROPIC_BASE_URL": claude_url,
        "AWS_SECRET_ACCESS_KEY": found["aws"],
        "ESCALON_DATA": str(directory / "data"),
        "ESCALON_CACHE": str(directory / "cache"),
        "ESCALON_WEB_PORT": str(port),
        "ESCALON_SCHEMA_REGISTRY": registry.url,
        "ESCALON_SCHEMA_REGISTRY_USER": USER,
        "ESCALON_SCHEMA_REGISTRY_PASSWORD": found["registry-password"],
        "ESCALON_TRACES": "1",
        "ESCALON_TRACES_TEXTS": "1",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://me:{found['otlp-login']}@{collector.address}",
        # The second is not written as the standard wants it, which the SDK complains about with the value.
        "OTEL_EXPORTER_OTLP_HEADERS": f"x-token=Bearer%20{found['otlp-header']},{found['otlp-header']} \\x",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "KAFKA_HOME": "",
    }


def servers(opened: ExitStack, directory: Path, home: Path) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Apache Kafka and ClickHouse with TLS and logins: the settings for them, files, and the secrets."""
    found = {name: planted(name) for name in ("kafka-password", "key-password", "keystore", "clickhouse-password")}
    authority, other = Authority(directory / "ca", "the right one"), Authority(directory / "other", "another")
    supervisor = opened.enter_context(Supervisor(directory / "server-logs"))
    users = {USER: found["kafka-password"]}
    kafka = SecureKafka(
        home=home,
        directory=directory / "kafka",
        authority=authority,
        passphrase=found["keystore"],
        users=users,
        client_auth="required",
    ).start(supervisor)
    front = opened.enter_context(
        tls_front(*authority.issue("clickhouse"), clickhouse(supervisor, directory, found["clickhouse-password"]))
    )
    certificate, key = authority.issue("client", found["key-password"])
    for name in ("kafka-password", "clickhouse-password", "key-password"):
        (directory / name).write_text(f"{found[name]}\n")
    settings = {
        "ESCALON_KAFKA": kafka,
        "ESCALON_KAFKA_TLS": "1",
        "ESCALON_KAFKA_CA_FILE": str(authority.ca),
        "ESCALON_KAFKA_CERT_FILE": str(certificate),
        "ESCALON_KAFKA_KEY_FILE": str(key),
        "ESCALON_KAFKA_KEY_PASSWORD_FILE": str(directory / "key-password"),
        "ESCALON_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
        "ESCALON_KAFKA_USERNAME": USER,
        "ESCALON_KAFKA_PASSWORD_FILE": str(directory / "kafka-password"),
        "ESCALON_CLICKHOUSE": f"https://127.0.0.1:{front}",
        "ESCALON_CLICKHOUSE_USER": USER,
        "ESCALON_CLICKHOUSE_PASSWORD_FILE": str(directory / "clickhouse-password"),
        "ESCALON_CLICKHOUSE_CA_FILE": str(authority.ca),
    }
    return settings, {"other_ca": str(other.ca)}, found


def clickhouse(supervisor: Supervisor, directory: Path, password: str) -> int:
    """The embedded server with one user and a password; returns its port."""
    users, port_file = directory / "users.json", directory / "clickhouse.port"
    users.write_text(json.dumps([{"name": USER, "password": password, "readonly": False}]))
    command = [*module_command("streams.embedded.clickhouse_server"), "--path", str(directory / "clickhouse")]
    command += ["--port-file", str(port_file), "--users", str(users)]
    child = supervisor.spawn("clickhouse", command, module_environment())
    supervisor.wait_ready(child, port_file.exists, 60.0)
    return int(port_file.read_text("ascii"))
