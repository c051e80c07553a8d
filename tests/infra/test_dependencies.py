"""Covers pyproject.toml: libraries whose private parts the code uses stay at the versions it was tested with."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("library", ["faust-streaming", "mode-streaming", "aiokafka"])
def test_a_library_whose_private_parts_are_used_has_an_upper_bound(library: str) -> None:
    declared: list[str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    (requirement,) = (one for one in declared if one.startswith(library))
    assert ",<" in requirement
