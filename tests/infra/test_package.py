"""The wheel and the source archive: what they hold, and that an installed escalon works outside the repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VERSIONS = ("3.11", "3.12", "3.13")
UV = str(Path(sys.executable).with_name("uv"))
EXTRAS = "embedded,evaluation,local,ui"
SECONDS = 540


def run(*command: str | Path, cwd: Path, environment: Mapping[str, str] | None = None) -> str:
    """Run a command and return what it prints. Fails the test with its output if it fails."""
    env = dict(os.environ) if environment is None else dict(environment)
    done = subprocess.run([*command], cwd=cwd, env=env, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheel, built from the source archive, and the archive, by their endings."""
    directory = tmp_path_factory.mktemp("dist")
    run(UV, "build", "--quiet", "--no-build-isolation", "--python", sys.executable, "--out-dir", directory, cwd=ROOT)
    return {file.suffix: file for file in directory.iterdir() if file.suffix in (".whl", ".gz")}


def in_wheel(built: dict[str, Path]) -> set[str]:
    with zipfile.ZipFile(built[".whl"]) as wheel:
        return set(wheel.namelist())


def tracked(*directories: str) -> set[str]:
    return set(run("git", "ls-files", *directories, cwd=ROOT).splitlines())


def test_the_wheel_holds_every_file_of_the_package_and_what_it_reads_beside_it(built: dict[str, Path]) -> None:
    names = in_wheel(built)
    assert tracked("streams") - names == set()
    moved = {"schemas/": "schemas/", "infra/clickhouse/": "clickhouse/", "infra/kafka/": "kafka/"}
    for directory, target in moved.items():
        wanted = {name.replace(directory, f"streams/_resources/{target}", 1) for name in tracked(directory)}
        assert wanted
        assert wanted - names == set()


def test_the_wheel_holds_nothing_else(built: dict[str, Path]) -> None:
    top = {name.partition("/")[0] for name in in_wheel(built)}
    assert {name.partition("-")[0] for name in top} == {"streams", "escalon"}
    assert not any("/tests/" in name or "__pycache__" in name for name in in_wheel(built))


def test_the_source_archive_holds_the_tests_too(built: dict[str, Path]) -> None:
    with tarfile.open(built[".gz"]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert tracked("streams", "tests", "infra", "schemas", "docs") - names == set()


def test_the_versions_tried_are_those_the_package_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    named = [one.rpartition(" ")[2] for one in project["classifiers"] if "Python :: 3" in one]
    assert tuple(named) == VERSIONS


def interpreter(version: str) -> str:
    """Return a Python of this version: pyenv's, or one on the path."""
    versions = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
    found = [str(one) for one in versions.glob(f"{version}.*/bin/python")] or [shutil.which(f"python{version}") or ""]
    if not found[0]:
        pytest.skip(f"skipped: there is no Python {version}")
    return found[0]


@pytest.mark.embedded
@pytest.mark.faults
@pytest.mark.parametrize("version", VERSIONS)
def test_an_installed_escalon_works_outside_the_repository(
    built: dict[str, Path], tmp_path: Path, version: str
) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "ESCALON_DATA": str(tmp_path / "data")}
    run(UV, "venv", "--quiet", "--python", interpreter(version), tmp_path / "venv", cwd=tmp_path)
    pins = ROOT / "requirements.lock"
    install = (UV, "pip", "install", "--quiet", "--no-build", "--python", tmp_path / "venv/bin/python")
    run(*install, "--constraint", pins, f"{built['.whl']}[{EXTRAS}]", cwd=tmp_path)
    escalon = tmp_path / "venv/bin/escalon"

    assert run(escalon, "--version", cwd=tmp_path, environment=environment).startswith("escalon ")
    run(escalon, "init", "desk", cwd=tmp_path, environment=environment)
    allowed = {**environment, "ESCALON_ALLOW_PYTHON": "desk"}
    run(escalon, "check", "desk/pipeline.toml", cwd=tmp_path, environment=allowed)
    assert "trace" in run(escalon, "demo", "--recorded", cwd=tmp_path, environment=environment)
