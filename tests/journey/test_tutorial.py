"""docs/tutorial.md, command by command: each is run as it is written, and prints what the page shows."""

from __future__ import annotations

import doctest
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.embedded

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "tutorial.md"
STEP = re.compile(r"(<!-- second terminal -->\n)?```sh\n(.*?)```\n(?:\n```text\n(.*?)```\n)?", re.DOTALL)
SAME = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
"""Three dots stand for text that differs from run to run; lines may end elsewhere."""
SECONDS = 300.0
"""The longest that a step may take."""


@dataclass(frozen=True)
class Step:
    """Commands of the page, and the output that it shows; `stays` is True for those that run until Ctrl-C."""

    commands: str
    output: str
    stays: bool


def steps() -> list[Step]:
    return [Step(commands, output, bool(stays)) for stays, commands, output in STEP.findall(PAGE.read_text("utf-8"))]


class Reader:
    """Runs the commands of the page: the shell's directory and variables last from step to step."""

    def __init__(self, directory: Path) -> None:
        self._directory, self._state = directory, directory / "shell-state"
        self._state.write_text(f"cd {directory}\n", "utf-8")
        own = {"COLUMNS": "80", "PYTHONPATH": str(ROOT)}
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("ESCALON_")} | own
        self._started: list[subprocess.Popen[bytes]] = []

    def types(self, step: Step) -> str:
        """Run commands to their end, or in the background until they have printed what the page shows."""
        log = self._directory / f"output-{len(self._started)}"
        script = f"exec {step.commands}" if step.stays else f"set -e\n{step.commands}\n{self._saves()}"
        with log.open("wb") as file:
            process = subprocess.Popen(
                ["bash", "-c", f". {self._state}\n{script}"],
                env=self._environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True,
            )  # fmt: skip
        self._started.append(process)
        until = time.monotonic() + SECONDS
        while process.poll() is None and time.monotonic() < until:
            if step.stays and agrees(step.output, log.read_text("utf-8")):
                break
            time.sleep(0.1)
        return log.read_text("utf-8")

    def leaves(self) -> None:
        """Stop what still runs, and kill what stays nevertheless."""
        for one in self._started:
            if one.poll() is not None:
                continue
            one.terminate()
            try:
                one.wait(60.0)
            except subprocess.TimeoutExpired:
                os.killpg(one.pid, signal.SIGKILL)
                one.wait()

    def _saves(self) -> str:
        return f"export -p >{self._state}\necho cd $PWD >>{self._state}"


def agrees(wanted: str, got: str) -> bool:
    return doctest.OutputChecker().check_output(wanted, got, SAME)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """A reader in a directory with the page's files and the environment of `make setup`."""
    (tmp_path / ".venv").symlink_to(sys.prefix)
    shutil.copytree(ROOT / "docs" / "tutorial", tmp_path / "docs" / "tutorial")
    reader = Reader(tmp_path)
    yield reader
    reader.leaves()


def test_every_command_of_the_tutorial_prints_what_the_page_shows(reader: Reader) -> None:
    followed = steps()
    assert len(followed) > 10
    for step in followed:
        said = reader.types(step)
        assert agrees(step.output, said), f"{step.commands}\nprinted\n{said}\nnot\n{step.output}"
