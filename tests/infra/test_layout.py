"""The layout of the tests: shared code is in tests/builders.py and tests/harness, and tests follow the package."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest


def imported(path: Path) -> Iterator[str]:
    """Yield the dotted names that a file imports: of `from a import b`, both `a` and `a.b`."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: import by the full name"
            yield str(node.module)
            yield from (f"{node.module}.{name.name}" for name in node.names)


def is_test_module(name: str) -> bool:
    parts = name.split(".")
    return parts[0] == "tests" and any(part.startswith("test_") or part == "conftest" for part in parts)


@pytest.fixture(scope="module")
def root(pytestconfig: pytest.Config) -> Path:
    return pytestconfig.rootpath


@pytest.mark.parametrize("folder", ["tests", "bench"])
def test_nothing_imports_a_test_module_or_a_conftest(root: Path, folder: str) -> None:
    wrong = {
        f"{path.relative_to(root)} imports {name}"
        for path in (root / folder).rglob("*.py")
        for name in imported(path)
        if is_test_module(name) and (root / name.replace(".", "/")).with_suffix(".py").exists()
    }
    assert not wrong, "move what is shared to tests/builders.py or tests/harness"


def test_the_benches_import_only_builders_and_the_harness_of_the_tests(root: Path) -> None:
    wrong = {
        f"{path.name} imports {name}"
        for path in (root / "bench").rglob("*.py")
        for name in imported(path)
        if name.startswith("tests.") and not name.startswith(("tests.builders", "tests.harness"))
    }
    assert not wrong


def test_a_test_module_is_named_after_its_module_or_says_what_it_covers(root: Path) -> None:
    package, tests = root / "streams", root / "tests"
    paths = [path.relative_to(tests) for path in tests.rglob("test_*.py")]
    named = {path for path in paths if named_after(package / path.parent / path.name.removeprefix("test_"))}
    others = {path for path in paths if len(path.parts) > 1 and (package / path.parts[0]).is_dir()} - named
    assert named
    assert others
    silent = [path for path in others if ast.get_docstring(ast.parse((tests / path).read_text("utf-8"))) is None]
    assert not silent, "name the test after the module that it tests, or begin it with what it covers"


def named_after(module: Path) -> bool:
    return module.exists() or module.with_suffix("").is_dir()
