from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml  # type: ignore[import-untyped]

from streams.app.process import TIERS
from streams.cli.main import app

# Read by compose alone; no process of escalon sees them.
COMPOSE_ONLY = {"ESCALON_PIPELINE_DIR"}
ONE_SHOT = {"setup", "cli"}
SCALABLE = set(TIERS)
PLAIN = {"record", "resume"}
"""Plain consumers, whose web server answers even when they are stuck."""
SECRET = re.compile(r"PASSWORD|SECRET|KEY|TOKEN")
Service = dict[str, Any]


@pytest.fixture(scope="module")
def compose(root: Path) -> dict[str, Any]:
    """The compose file, its anchors resolved and its variables not."""
    return dict(yaml.safe_load((root / "docker-compose.yml").read_text("utf-8")))


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, Service]:
    return dict(compose["services"])


def ours(services: dict[str, Service]) -> dict[str, Service]:
    return {name: service for name, service in services.items() if service["image"].startswith("escalon:")}


def interpolations(root: Path) -> list[tuple[str, str]]:
    """Each ${NAME…} of the file as its name and what follows it."""
    text = (root / "docker-compose.yml").read_text("utf-8")
    return re.findall(r"(?<!\$)\$\{(\w+)([^}]*)\}", text)


def test_every_tier_is_a_service(services: dict[str, Service]) -> None:
    commands = {name: services[name]["command"] for name in TIERS}
    assert commands == {tier: ["worker", tier] for tier in TIERS}


def test_every_variable_given_to_our_services_is_one_that_settings_read(
    services: dict[str, Service], settings_read: set[str]
) -> None:
    given = {variable for service in ours(services).values() for variable in service["environment"]}
    assert given
    assert given <= settings_read


def test_every_variable_taken_from_outside_is_a_setting_or_documented_as_for_compose_alone(
    root: Path, settings_read: set[str]
) -> None:
    taken = {name for name, _ in interpolations(root)}
    assert taken <= settings_read | COMPOSE_ONLY
    for document in ("infra/docker/env.example", "docs/deployment.md"):
        text = (root / document).read_text("utf-8")
        assert {name for name in taken if name not in text} == set(), document


def test_services_that_create_topics_and_tables_know_their_retention(services: dict[str, Service]) -> None:
    days = {"ESCALON_AUDIT_BODY_DAYS", "ESCALON_AUDIT_DAYS", "ESCALON_TOPIC_RETENTION_DAYS"}
    for name in ONE_SHOT:
        assert days <= services[name]["environment"].keys(), name


def test_no_secret_has_a_default(root: Path, services: dict[str, Service]) -> None:
    for name, rest in interpolations(root):
        if SECRET.search(name):
            assert rest.startswith(":?"), name
    for service, settings in services.items():
        for name, value in settings.get("environment", {}).items():
            if SECRET.search(name):
                assert value is None or value.startswith("${"), f"{service}: {name}"


def test_the_template_of_the_environment_holds_no_secret(root: Path) -> None:
    lines = (root / "infra/docker/env.example").read_text("utf-8").splitlines()
    values = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("# "))
    assert {name.lstrip("#") for name in values} >= {"ESCALON_CLICKHOUSE_PASSWORD", "ANTHROPIC_API_KEY"}
    assert [name for name, value in values.items() if SECRET.search(name) and value] == []


def escalon_commands(services: dict[str, Service]) -> list[list[str]]:
    commands = []
    for service in ours(services).values():
        if service.get("entrypoint") == ["/bin/sh", "-euc"]:
            lines = service["command"][0].splitlines()
            commands += [line.split()[1:] for line in lines if line.startswith("escalon ")]
        else:
            commands.append(service["command"])
    return commands


def test_every_escalon_command_is_one_the_command_line_knows(services: dict[str, Service]) -> None:
    commands = escalon_commands(services)
    assert ["topics", "--create"] in commands
    assert ["migrate"] in commands
    root_command = typer.main.get_command(app)
    for name, *arguments in (command for command in commands if command != ["--help"]):
        command = root_command.commands[name]  # type: ignore[attr-defined]
        command.make_context(name, list(arguments))


def test_a_mistyped_command_or_option_would_be_found() -> None:
    command = typer.main.get_command(app).commands["topics"]  # type: ignore[attr-defined]
    with pytest.raises(Exception, match="--craete"):
        command.make_context("topics", ["--craete"])


def test_every_long_running_service_has_a_health_check_and_comes_back(services: dict[str, Service]) -> None:
    for name in services.keys() - ONE_SHOT:
        check = services[name]["healthcheck"]
        assert check["test"][0] in ("CMD", "CMD-SHELL"), name
        assert {"interval", "timeout", "retries", "start_period"} <= check.keys(), name
        assert services[name]["restart"] == "unless-stopped", name


def test_a_tier_at_its_limit_on_dead_letters_is_not_restarted(services: dict[str, Service]) -> None:
    for name in SCALABLE:
        assert services[name]["entrypoint"] == ["/bin/sh", "/opt/escalon/tier.sh"], name


def test_a_web_check_asks_the_port_its_tier_serves(services: dict[str, Service]) -> None:
    for name in SCALABLE - PLAIN:
        check, environment = services[name]["healthcheck"]["test"], services[name]["environment"]
        assert check[-2:] == ["web", environment["ESCALON_WEB_PORT"]], name


def test_the_pages_are_checked_by_a_file_they_serve(root: Path, services: dict[str, Service]) -> None:
    check, command = services["ui"]["healthcheck"]["test"], services["ui"]["command"]
    assert check[-3:-1] == ["web", command[-1]]
    assert (root / "streams/ui" / check[-1].lstrip("/")).is_file()


def test_links_are_made_and_served_with_one_key_and_address(services: dict[str, Service]) -> None:
    for name in ("ESCALON_UI_KEY", "ESCALON_UI_URL"):
        assert services["ui"]["environment"][name] == services["cli"]["environment"][name]
    assert "ANTHROPIC_API_KEY" not in services["ui"]["environment"]


def test_our_services_write_to_volumes_and_tmp_alone(services: dict[str, Service]) -> None:
    for name, service in ours(services).items():
        assert (service["read_only"], service["tmpfs"]) == (True, ["/tmp"]), name  # noqa: S108  in the container


def test_a_plain_consumer_is_checked_by_its_connection_to_its_broker(
    services: dict[str, Service],
) -> None:
    broker = services["record"]["environment"]["ESCALON_KAFKA"]
    for name in PLAIN:
        assert services[name]["healthcheck"]["test"][-2:] == ["connected", broker.rpartition(":")[2]]
    assert f"CONTAINERS://{broker}" in services["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]


def test_one_shot_services_do_not_come_back(services: dict[str, Service]) -> None:
    assert {name: services[name]["restart"] for name in ONE_SHOT} == dict.fromkeys(ONE_SHOT, "no")


def test_tiers_start_after_the_topics_and_tables_are_there(services: dict[str, Service]) -> None:
    for name in SCALABLE:
        assert services[name]["depends_on"]["setup"] == {"condition": "service_completed_successfully"}, name


def test_scalable_services_have_no_name_and_no_port_of_the_host(services: dict[str, Service]) -> None:
    for name in SCALABLE:
        assert not {"container_name", "ports", "hostname"} & services[name].keys(), name


def test_the_tables_of_each_container_are_its_own(services: dict[str, Service]) -> None:
    for name in SCALABLE:
        data = [volume for volume in services[name]["volumes"] if volume["target"] == "/var/lib/escalon/data"]
        assert data == [{"type": "volume", "target": "/var/lib/escalon/data"}], name


def test_the_pipeline_is_mounted_read_only(services: dict[str, Service]) -> None:
    for name, service in ours(services).items():
        (mount,) = [volume for volume in service["volumes"] if volume["target"] == "/pipeline"]
        assert mount["read_only"] is True, name
        assert service["environment"]["ESCALON_PIPELINE"].startswith("/pipeline/"), name


def sources(service: Service) -> set[str]:
    volumes = [
        item if isinstance(item, dict) else {"source": item.split(":")[0]} for item in service.get("volumes", [])
    ]
    return {volume["source"] for volume in volumes if volume.get("type", "volume") == "volume" and "source" in volume}


def test_named_volumes_are_declared_and_used(compose: dict[str, Any], services: dict[str, Service]) -> None:
    used = set().union(*(sources(service) for service in services.values()))
    assert used == set(compose["volumes"]) >= {"kafka", "clickhouse", "blobs"}


def test_ports_are_published_on_this_machine_alone(services: dict[str, Service]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_images_are_pinned_by_version(root: Path, services: dict[str, Service]) -> None:
    bases = re.findall(r"^FROM (\S+)", (root / "infra/docker/Dockerfile").read_text("utf-8"), re.M)
    images = bases + [service["image"] for service in services.values()]
    unpinned = [image for image in images if not re.search(r":v?\d+\.\d+", image)]
    assert unpinned == []


def test_our_image_has_the_version_of_the_package(root: Path, services: dict[str, Service]) -> None:
    version = re.search(r'^version = "(.+)"', (root / "pyproject.toml").read_text("utf-8"), re.M)
    assert version is not None
    assert {service["image"] for service in ours(services).values()} == {
        f"escalon:{version[1]}",
        f"escalon:{version[1]}-tools",
    }


@pytest.mark.parametrize(
    ("properties", "expected"), [("#x\ncluster.id=abc-DEF_1\nversion=1\n", "abc-DEF_1"), (None, "fresh")]
)
def test_a_broker_keeps_the_cluster_id_of_its_volume_and_a_new_volume_gets_a_new_one(
    services: dict[str, Service], tmp_path: Path, properties: str | None, expected: str
) -> None:
    if properties is not None:
        (tmp_path / "meta.properties").write_text(properties)
    *shell, script = services["kafka"]["command"]
    for original, stand_in in {
        "$$": "$",
        "/var/lib/kafka/data": str(tmp_path),
        "/opt/kafka/bin/kafka-storage.sh random-uuid": "echo fresh",
        "exec /etc/kafka/docker/run": 'printf %s "$CLUSTER_ID"',
    }.items():
        assert original in script
        script = script.replace(original, stand_in)
    assert subprocess.run([*shell, script], capture_output=True, text=True, check=True).stdout == expected


def test_the_builder_gets_what_the_dockerfile_copies_and_no_more(root: Path) -> None:
    copied = re.findall(r"^COPY (?!--from)(.+)", (root / "infra/docker/Dockerfile").read_text("utf-8"), re.M)
    wanted = {name for line in copied for name in line.split()[:-1]}
    lines = (root / ".dockerignore").read_text("utf-8").splitlines()
    assert "*" in lines
    assert {line[1:] for line in lines if line.startswith("!")} == wanted
    assert [name for name in sorted(wanted) if not (root / name).exists()] == []
