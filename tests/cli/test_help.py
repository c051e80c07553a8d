"""The help pages: what they import, and that every command has one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streams.cli.commands import COMMANDS, load
from streams.cli.main import app

HEAVY = {
    "PIL", "aiohttp", "aiokafka", "anthropic", "clickhouse_connect", "confluent_kafka", "fastavro", "faust", "httpx2",
    "jinja2", "jsonschema", "matplotlib", "mode", "numpy", "pydantic", "rocksdict", "scipy", "sklearn",
}  # fmt: skip
IMPORTED = """
import json, sys
from streams.cli.main import run
try:
    run()
finally:
    sys.stdout.flush()
    print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})), file=sys.stderr)
"""
NAMES = [name for lines in COMMANDS.values() for name in lines]


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_import_no_library_that_only_a_command_needs(option: str) -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTED, option], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    imported = set(json.loads(done.stderr.splitlines()[-1]))
    assert "typer" in imported
    assert not imported & HEAVY


def test_every_command_is_a_file_of_its_name_and_listed_with_one_short_line() -> None:
    directory = Path(__file__).parents[2] / "streams" / "cli"
    files = {file.stem for file in directory.glob("*.py") if "\napp = new_app(" in file.read_text("utf-8")}
    assert files - {"main"} == {name.replace("-", "_") for name in NAMES}
    for lines in COMMANDS.values():
        for line in lines.values():
            assert len(line) <= 60
            assert line.endswith(".")


@pytest.mark.parametrize("name", NAMES)
def test_every_help_page_is_printed_and_says_what_the_command_does(name: str) -> None:
    command = load(name)
    assert command.help
    for arguments in [[name], *([name, one] for one in getattr(command, "commands", {}))]:
        done = CliRunner().invoke(app, [*arguments, "--help"], prog_name="escalon")
        assert done.exit_code == 0, done.output
        assert f"Usage: escalon {' '.join(arguments)} [OPTIONS]" in done.output


def test_without_arguments_it_says_what_to_do_next_and_names_every_command() -> None:
    done = CliRunner().invoke(app, [])
    assert done.exit_code == 0, done.output
    assert "escalon init desk" in done.output
    listed = {name for line in done.output.splitlines() if line.split(" ")[0] in COMMANDS for name in line.split()[1:]}
    assert {name.rstrip(",") for name in listed} == set(NAMES)
    assert max(map(len, done.output.splitlines())) <= 80


@pytest.mark.parametrize(
    ("words", "index", "completion"),
    [("escalon pub", "1", "publish"), ("escalon query --na", "2", "--name"), ("escalon panel jud", "2", "judge")],
)
def test_a_shell_completes_commands_options_and_subcommands(words: str, index: str, completion: str) -> None:
    asked = {"_ESCALON_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": index}
    done = CliRunner().invoke(app, [], prog_name="escalon", env=asked)
    assert completion in done.output.split()


def test_a_misspelt_command_is_answered_with_the_nearest_one() -> None:
    done = CliRunner().invoke(app, ["reprot"])
    assert done.exit_code == 2
    assert "Did you mean 'report'" in done.output


WITHOUT_SCIPY = """
import sys
sys.modules["scipy"] = None
from streams.cli.main import run
run()
"""


def test_a_command_whose_extra_is_missing_names_it() -> None:
    command = [sys.executable, "-c", WITHOUT_SCIPY, "what-if", "--set", "routes.order=ignore"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "Install the extra `evaluation`" in " ".join(done.stderr.split())
