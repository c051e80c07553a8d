"""The prose check finds the phrases that the project does not write, where prose is, and nowhere else."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def prose(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("prose", root / "infra/prose.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def phrases(prose: ModuleType, source: str, literals: bool = True) -> list[tuple[int, str]]:
    return [(found.line, found.phrase) for found in prose.in_python(source, literals)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('"""What a caller sees."""\n', [(1, '"""What …')]),
        ('class A:\n    x: int\n    """Whether it is."""\n', [(3, '"""Whether …')]),
        ("x = 1\n# The run is read\n# anew.\n", [(3, "anew")]),
        ('raise ValueError(f"{x} is no number")\n', [(1, "is no")]),
        ("def tell_the_user() -> None: ...\n", [(1, "tell_the_user: tell")]),
        ('"""Return it.\n\nThe file is\nno JSON."""\n', [(3, "is no")]),
    ],
)
def test_a_phrase_is_found_with_its_line(prose: ModuleType, source: str, expected: list[tuple[int, str]]) -> None:
    assert phrases(prose, source) == expected


@pytest.mark.parametrize(
    "source",
    [
        '"""Return the run, which stands for one day; there is no other and it is no longer open."""\n',
        "x = 1  # `tell()` gives the offset\n",
        "handle.tell()\n",
        'PROMPT = "Tell me"  # prose: quoted\n',
        '"""Whatsoever is a word, and so is Asynchronous."""\n',
    ],
)
def test_plain_english_and_code_pass(prose: ModuleType, source: str) -> None:
    assert phrases(prose, source) == []


def test_the_strings_of_tests_are_data_but_their_docstrings_are_prose(prose: ModuleType) -> None:
    assert phrases(prose, 'x = "Tell me"\n', literals=False) == []
    assert phrases(prose, 'def f() -> None:\n    """It is told."""\n', literals=False) == [(2, "told")]


def test_markdown_is_read_but_for_its_code(
    prose: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Title\n\n```sh\ntell\n```\n\nThe broker is\naway, says `tell`, see [it](told.md).\n")
    assert prose.main([str(page)]) == 1
    assert capsys.readouterr().out == (f"{page}:7: is away → write unavailable, unreachable\n1 phrases to rewrite.\n")
    page.write_text("The broker is unreachable.\n")
    assert prose.main([str(page)]) == 0
