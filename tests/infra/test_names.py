"""Rules for the names and the size of things: one class for a name, short functions, no import cycle, typed records."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

MOST_LINES = 40
UNTYPED = {
    "Answer.value": "a Python handler may answer with any JSON value",
    "Avro.parsed": "fastavro gives its parsed schemas no type",
    "Schema.parsed": "the same",
}
"""Attributes that are `Any`, each with its reason."""


@pytest.fixture(scope="module")
def modules(root: Path) -> dict[str, ast.Module]:
    files = sorted(root.joinpath("streams").rglob("*.py"))
    return {str(file.relative_to(root)): ast.parse(file.read_text("utf-8")) for file in files}


def classes(modules: dict[str, ast.Module]) -> Iterator[tuple[str, ast.ClassDef]]:
    for file, tree in modules.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                yield file, node


def test_no_public_class_name_is_defined_twice(modules: dict[str, ast.Module]) -> None:
    files = defaultdict(list)
    for file, node in classes(modules):
        files[node.name].append(file)
    assert {name: places for name, places in files.items() if len(places) > 1 and not name.startswith("_")} == {}


def test_no_function_is_longer_than_40_lines(modules: dict[str, ast.Module]) -> None:
    functions = (
        (f"{file}:{node.lineno}", node)
        for file, tree in modules.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    long = {place: length for place, node in functions if (length := _lines(node)) > MOST_LINES}
    assert long == {}


def _lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = grimp.build_graph("streams", exclude_type_checking_imports=True, cache_dir=None)
    assert len(graph.modules) > 200
    TopologicalSorter({one: graph.find_modules_directly_imported_by(one) for one in graph.modules}).prepare()


def test_no_attribute_is_untyped_without_a_reason(modules: dict[str, ast.Module]) -> None:
    untyped = {
        f"{node.name}.{ast.unparse(line.target)}"
        for _, node in classes(modules)
        for line in node.body
        if isinstance(line, ast.AnnAssign) and _is_any(line.annotation)
    }
    assert untyped == set(UNTYPED)


def _is_any(annotation: ast.expr) -> bool:
    if isinstance(annotation, ast.BinOp):
        return _is_any(annotation.left) or _is_any(annotation.right)
    return isinstance(annotation, ast.Name) and annotation.id == "Any"
