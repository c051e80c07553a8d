"""docs/analytics.md says what there is."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import typer

from streams.audit.named_queries import DEFAULTS, library
from streams.cli.main import app
from streams.cli.query import Format


def read(root: Path) -> str:
    return (root / "docs" / "analytics.md").read_text("utf-8")


def test_the_table_of_queries_has_every_query_and_no_other(root: Path) -> None:
    section = read(root).partition("## The library")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", section, re.M))
    assert set(rows) == set(library())
    for name, query in library().items():
        own = set(query.parameters) - set(DEFAULTS)
        assert {parameter for parameter in own if f"`{parameter}`" not in rows[name]} == set(), name


def test_every_option_and_format_is_documented(root: Path) -> None:
    text = read(root)
    command = typer.main.get_command(app).commands["query"]  # type: ignore[attr-defined]
    options = {option for one in command.params for option in one.opts if option.startswith("--")}
    assert {option for option in options - {"--json"} if option not in text} == {"--help"} & options
    assert {form.value for form in Format if f"`{form.value}`" not in text} == set()


def test_the_commands_shown_are_ones_the_command_line_knows(root: Path) -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    shown = re.findall(r"^escalon (.+)$", read(root), re.M)
    assert len(shown) >= 9
    for line in shown:
        name, *arguments = shlex.split(line)
        commands[name].make_context(name, list(arguments))


def test_files_that_are_named_exist(root: Path) -> None:
    named = re.findall(r"`((?:infra|streams|bench|docs)/[\w./-]+)`", read(root))
    assert named
    assert [name for name in named if not (root / name).exists()] == []
