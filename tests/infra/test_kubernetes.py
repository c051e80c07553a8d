"""The manifests of infra/kubernetes, against the API's schemas and against what escalon is."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import typer
import yaml  # type: ignore[import-untyped]

from streams.app.process import FAUST_TIERS, TIERS
from streams.cli.main import app

OLDEST, NEWEST = "1.30", "1.37"
"""The versions of Kubernetes between which the manifests are checked."""
HAS_MODELS = {"listen", "work", "reason"}
COMMANDS = re.compile(r"^escalon (.+)$", re.M)
Manifest = dict[str, Any]


@pytest.fixture(scope="module")
def directory(root: Path) -> Path:
    return root / "infra/kubernetes"


@pytest.fixture(scope="module")
def kustomization(directory: Path) -> Manifest:
    return dict(yaml.safe_load((directory / "kustomization.yaml").read_text("utf-8")))


@pytest.fixture(scope="module")
def manifests(directory: Path, kustomization: Manifest) -> list[Manifest]:
    texts = [(directory / name).read_text("utf-8") for name in kustomization["resources"]]
    return [manifest for text in texts for manifest in yaml.safe_load_all(text)]


@pytest.fixture(scope="module")
def workloads(manifests: list[Manifest]) -> dict[str, Manifest]:
    """The objects that run pods, by component."""
    running = [one for one in manifests if "template" in one.get("spec", {})]
    return {one["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"]: one for one in running}


def pod(workload: Manifest) -> dict[str, Any]:
    return dict(workload["spec"]["template"]["spec"])


def container(workload: Manifest) -> dict[str, Any]:
    (only,) = pod(workload)["containers"]
    return dict(only)


def named(manifests: list[Manifest], kind: str) -> dict[str, Manifest]:
    return {one["metadata"]["name"]: one for one in manifests if one["kind"] == kind}


def settings(manifests: list[Manifest]) -> dict[str, str]:
    return dict(named(manifests, "ConfigMap")["escalon"]["data"])


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_every_manifest_has_the_form_that_the_api_defines(manifests: list[Manifest], version: str) -> None:
    assert len(manifests) > len(TIERS)
    for manifest in manifests:
        kubernetes_validate.validate(manifest, version, strict=True)


def test_a_misspelt_key_would_be_found(workloads: dict[str, Manifest]) -> None:
    workload = workloads["listen"]
    wrong = workload | {"spec": workload["spec"] | {"replica": 2}}
    with pytest.raises(kubernetes_validate.ValidationError, match="replica"):
        kubernetes_validate.validate(wrong, NEWEST, strict=True)


def test_kustomize_builds_what_is_checked_here(directory: Path, manifests: list[Manifest]) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("skipped: there is no kubectl")
    command = ["kubectl", "kustomize", str(directory)]
    built = list(yaml.safe_load_all(subprocess.run(command, capture_output=True, check=True).stdout))
    assert sorted((one["kind"], one["metadata"]["name"]) for one in built) == sorted(
        (one["kind"], one["metadata"]["name"]) for one in manifests
    )
    images = {container(one)["image"] for one in built if "template" in one.get("spec", {})}
    assert images == {"registry.example.com/escalon:0.1.0", "registry.example.com/escalon:0.1.0-tools"}


def test_every_file_is_in_the_kustomization(directory: Path, kustomization: Manifest) -> None:
    assert {file.name for file in directory.glob("*.yaml")} == {*kustomization["resources"], "kustomization.yaml"}


def test_the_images_have_the_version_of_the_package(root: Path, kustomization: Manifest) -> None:
    version = re.search(r'^version = "(.+)"', (root / "pyproject.toml").read_text("utf-8"), re.M)
    assert version is not None
    tags = {image["name"]: image["newTag"] for image in kustomization["images"]}
    assert tags == {"escalon": version[1], "escalon-tools": f"{version[1]}-tools"}


def test_every_tier_is_a_workload_and_those_with_tables_keep_them(workloads: dict[str, Manifest]) -> None:
    assert workloads.keys() == {*TIERS, "ui", "setup"}
    for tier in TIERS:
        assert container(workloads[tier])["command"][-2:] == ["worker", tier]
        kind = "StatefulSet" if tier in FAUST_TIERS else "Deployment"
        assert workloads[tier]["kind"] == kind, tier
    for tier in FAUST_TIERS:
        (claim,) = workloads[tier]["spec"]["volumeClaimTemplates"]
        assert {"name": claim["metadata"]["name"], "mountPath": "/var/lib/escalon/data"} in container(workloads[tier])[
            "volumeMounts"
        ]


def test_no_tier_has_more_replicas_than_partitions_and_the_pages_have_one(
    manifests: list[Manifest], workloads: dict[str, Manifest]
) -> None:
    partitions = int(settings(manifests)["ESCALON_PARTITIONS"])
    for tier in TIERS:
        assert 1 <= workloads[tier]["spec"]["replicas"] <= partitions, tier
    assert workloads["ui"]["spec"]["replicas"] == 1
    assert workloads["ui"]["spec"]["strategy"] == {"type": "Recreate"}


def test_every_variable_is_one_that_settings_read(
    manifests: list[Manifest], workloads: dict[str, Manifest], settings_read: set[str]
) -> None:
    given = {variable["name"] for one in workloads.values() for variable in container(one)["env"]}
    assert given | settings(manifests).keys() <= settings_read


def test_secrets_come_from_the_secret_alone_and_go_where_they_are_needed(
    manifests: list[Manifest], workloads: dict[str, Manifest]
) -> None:
    assert not [name for name in settings(manifests) if re.search("PASSWORD|SECRET|KEY|TOKEN", name)]
    assert named(manifests, "Secret") == {}
    for name, workload in workloads.items():
        variables = container(workload)["env"]
        assert {one["valueFrom"]["secretKeyRef"]["name"] for one in variables} == {"escalon"}
        given = {one["name"] for one in variables}
        assert ("ANTHROPIC_API_KEY" in given) == (name in HAS_MODELS), name
        assert ("ESCALON_UI_KEY" in given) == (name == "ui"), name


def test_every_command_is_one_the_command_line_knows(workloads: dict[str, Manifest]) -> None:
    lines = [container(workloads[tier])["command"][2:] for tier in TIERS]
    lines += [line.split() for line in COMMANDS.findall(container(workloads["setup"])["args"][0])]
    lines.append(container(workloads["ui"])["args"])
    root_command = typer.main.get_command(app)
    for name, *arguments in lines:
        command = root_command.commands[name]  # type: ignore[attr-defined]
        command.make_context(name, list(arguments))


def test_no_pod_runs_as_root_writes_to_its_image_or_gets_rights(root: Path, workloads: dict[str, Manifest]) -> None:
    user = re.search(r"^USER (\d+):(\d+)$", (root / "infra/docker/Dockerfile").read_text("utf-8"), re.M)
    assert user is not None
    for name, workload in workloads.items():
        security = pod(workload)["securityContext"]
        assert (security["runAsUser"], security["runAsGroup"]) == (int(user[1]), int(user[2])), name
        assert security["runAsNonRoot"], name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert container(workload)["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name
        assert pod(workload)["automountServiceAccountToken"] is False, name


def test_services_add_no_variables_that_look_like_settings(workloads: dict[str, Manifest]) -> None:
    assert {pod(workload)["enableServiceLinks"] for workload in workloads.values()} == {False}


def test_mounts_have_volumes(workloads: dict[str, Manifest]) -> None:
    for name, workload in workloads.items():
        claims = workload["spec"].get("volumeClaimTemplates", [])
        declared = {one["name"] for one in pod(workload)["volumes"]} | {one["metadata"]["name"] for one in claims}
        assert {mount["name"] for mount in container(workload)["volumeMounts"]} == declared, name


def test_a_tier_at_its_limit_on_dead_letters_is_not_restarted(workloads: dict[str, Manifest]) -> None:
    for tier in TIERS:
        assert container(workloads[tier])["command"][:2] == ["/bin/sh", "/opt/escalon/tier.sh"]
    for tier in FAUST_TIERS:
        for probe in ("startupProbe", "livenessProbe"):
            assert "test -e /tmp/at-dead-letter-limit ||" in container(workloads[tier])[probe]["exec"]["command"][-1]


def test_probes_ask_the_ports_that_are_served(manifests: list[Manifest], workloads: dict[str, Manifest]) -> None:
    web = settings(manifests)["ESCALON_WEB_PORT"]
    for tier in TIERS:
        assert container(workloads[tier])["ports"] == [{"name": "metrics", "containerPort": int(web)}], tier
    for tier in FAUST_TIERS:
        assert container(workloads[tier])["livenessProbe"]["exec"]["command"][-1].endswith(f" {web}"), tier
    broker = settings(manifests)["ESCALON_KAFKA"].rpartition(":")[2]
    for tier in ("record", "resume"):
        assert container(workloads[tier])["readinessProbe"]["exec"]["command"][-2:] == ["connected", broker], tier


def test_the_file_that_shows_the_pages_healthy_exists(root: Path, workloads: dict[str, Manifest]) -> None:
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        check = container(workloads["ui"])[probe]["httpGet"]
        assert (root / "streams/ui" / check["path"].lstrip("/")).is_file()
        assert check["httpHeaders"] == [{"name": "Host", "value": "127.0.0.1:8484"}]


def test_every_tier_with_tables_has_a_budget_of_disruptions(manifests: list[Manifest]) -> None:
    budgets = named(manifests, "PodDisruptionBudget")
    assert budgets.keys() == {f"escalon-{tier}" for tier in FAUST_TIERS}
    assert {one["spec"]["maxUnavailable"] for one in budgets.values()} == {1}


def test_selectors_find_pods(manifests: list[Manifest], workloads: dict[str, Manifest]) -> None:
    labels = [one["spec"]["template"]["metadata"]["labels"].items() for one in workloads.values()]
    selectors = [one["spec"]["selector"] for one in manifests if "selector" in one.get("spec", {})]
    selectors += [one["spec"]["podSelector"] for one in named(manifests, "NetworkPolicy").values()]
    for selector in selectors:
        wanted = selector.get("matchLabels", selector).items()
        assert any(wanted <= one for one in labels), selector


def test_requests_and_limits_of_memory_are_equal(workloads: dict[str, Manifest]) -> None:
    for name, workload in workloads.items():
        resources = container(workload)["resources"]
        assert resources["requests"]["memory"] == resources["limits"]["memory"], name
        assert "cpu" in resources["requests"], name
