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
SECONDS = 180.0


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
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("ESCALON_")} | {
            "COLUMNS": "80",
            "PYTHONPATH": str(ROOT),
            "ESCALON_UI": "127.0.0.1:0",
        }
        self._staying: list[subprocess.Popen[str]] = []

    def types(self, step: Step) -> str:
        """Run commands to their end, or in the background until they have printed what the page shows."""
        return self._stays(step) if step.stays else self._ends(step.commands)

    def _ends(self, commands: str) -> str:
        script = f". {self._state}\nset -e\n{commands}\nexport -p >{self._state}\necho cd $PWD >>{self._state}\n"
        done = subprocess.run(
            ["bash", "-c", script], env=self._environment, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        return done.stdout + done.stderr

    def _stays(self, step: Step) -> str:
        log = self._directory / "second-terminal"
        with log.open("w") as file:
            script = f". {self._state}\nexec {step.commands}"
            self._staying.append(
                subprocess.Popen(["bash", "-c", script], env=self._environment, stdout=file, stderr=file, text=True)
            )
        deadline = time.monotonic() + SECONDS
        while not agrees(step.output, log.read_text("utf-8")) and time.monotonic() < deadline:
            time.sleep(0.2)
        return log.read_text("utf-8")

    def leaves(self) -> None:
        for one in self._staying:
            one.send_signal(signal.SIGINT)
            one.wait(SECONDS)


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
        assert agrees(step.output, said) or not step.output, f"{step.commands}\nprinted\n{said}\nnot\n{step.output}"
