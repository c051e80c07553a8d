"""The audit of the pinned dependencies fails for a known hole, and says aloud when nothing was looked at."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture(scope="module")
def audit(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", root / "infra/audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def report(*packages: dict[str, Any]) -> str:
    return json.dumps({"dependencies": list(packages), "fixes": []})


CLEAN = {"name": "faust-streaming", "version": "0.15.3", "vulns": []}
HOLE = {"name": "jinja2", "version": "3.1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3.2"], "aliases": []}]}


def test_a_known_hole_fails_and_is_named_with_its_remedy(audit: ModuleType) -> None:
    code, told = audit.verdict(report(CLEAN, HOLE), "")
    assert code == 1
    assert "jinja2 3.1: PYSEC-1, mended in 3.2" in told


def test_without_a_hole_it_says_how_many_were_looked_at_and_which_were_not(audit: ModuleType) -> None:
    code, told = audit.verdict(report(CLEAN, {"name": "own", "skip_reason": "not on PyPI"}), "")
    assert (code, told) == (0, "No known hole in 1 pinned packages. Not looked at: own (not on PyPI).")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("WARNING: x\nERROR: ConnectionError: no route\n", "ConnectionError"),
        ("", "said nothing"),
        ("No module named pip_audit", "pip_audit"),
    ],
)
def test_where_nothing_was_looked_at_that_is_said_and_is_no_failure(audit: ModuleType, said: str, words: str) -> None:
    code, told = audit.verdict("", said)
    assert code == 0
    assert told.strip().startswith("SKIPPED: the dependencies were NOT audited")
    assert words in told


def test_a_report_in_which_every_package_was_passed_over_is_no_audit(audit: ModuleType) -> None:
    code, told = audit.verdict(report({"name": "jinja2", "skip_reason": "Dependency not found"}), "")
    assert code == 0
    assert told.strip().startswith("SKIPPED: the dependencies were NOT audited")
    assert "known hole" not in told
