from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's top level."""
    return ROOT


@pytest.fixture(scope="session")
def settings_read() -> set[str]:
    """Every environment variable that streams/app/settings.py reads, the files of secrets included."""
    calls = [
        node
        for node in ast.walk(ast.parse((ROOT / "streams/app/settings.py").read_text("utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "get"
    ]
    named = [(call.func, call.args[0]) for call in calls if call.args]
    names = {str(ast.literal_eval(first)) for _, first in named}
    secrets = {str(ast.literal_eval(first)) for method, first in named if getattr(method, "attr", "") == "secret"}
    return names | {f"{name}_FILE" for name in secrets}
