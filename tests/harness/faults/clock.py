"""A time of day of its own for a process, which jumps while the process runs."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

SOURCE = Path(__file__).with_name("clock.c")


def compiler() -> str | None:
    """The C compiler, if there is one."""
    return shutil.which("cc")


class Clock:
    """The clock of a process that is started with `environment`. The monotonic clock stays as it is."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        library, self._file = directory / "clock.so", directory / "shift"
        command = [compiler() or "cc", "-shared", "-fPIC", "-O2", "-o", str(library), str(SOURCE), "-ldl"]
        subprocess.run(command, check=True)
        self.turn(0)
        self.environment: Mapping[str, str] = {"LD_PRELOAD": str(library), "CLOCK_FILE": str(self._file)}

    def turn(self, seconds: int) -> None:
        """Set it so many seconds away from the machine's."""
        following = self._file.with_suffix(".next")
        following.write_text(str(seconds), "ascii")
        following.replace(self._file)  # never half written
