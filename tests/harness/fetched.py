"""Programs of other projects, fetched once for the tests that need them and kept between runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path


class UnavailableError(Exception):
    """A program cannot be had here."""


def cache() -> Path:
    """Return the directory of what is kept."""
    return Path(os.environ.get("ESCALON_TEST_PEERS") or "~/.cache/escalon/test-peers").expanduser()


def environment(name: str, packages: Sequence[str]) -> Path:
    """Return a virtual environment with some packages, made if it is missing. Raises UnavailableError."""
    home = cache() / name
    done = home / "installed.json"
    if not done.exists() or json.loads(done.read_text()) != list(packages):
        shutil.rmtree(home, ignore_errors=True)
        venv.create(home)
        run([sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", f"{home}/bin/python", *packages])
        done.write_text(json.dumps(packages))
    return home


def run(command: Sequence[str], directory: Path | None = None) -> str:
    """Run a command to its end, and return its output. Raises UnavailableError with the end of its errors."""
    if shutil.which(command[0]) is None:
        raise UnavailableError(f"there is no {command[0]}")
    made = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    if made.returncode:
        raise UnavailableError(f"{' '.join(command[:4])} failed: {(made.stderr or made.stdout).strip()[-500:]}")
    return made.stdout
