"""Commands run as `escalon` runs them, against a ClickHouse that a test has filled."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.cells import cell_len

from streams.adapters.clickhouse import ClickHouseConfig
from streams.cli.main import run


@dataclass(frozen=True, slots=True)
class Done:
    """The end of a command. White space in `out` and `err` is one space, because lines are broken to fit."""

    code: object
    stdout: str
    out: str
    err: str


Escalon = Callable[..., Done]


def widest(done: Done) -> int:
    """Return the columns of the widest line that a command has printed."""
    return max(cell_len(line.rstrip()) for line in done.stdout.splitlines())


@contextmanager
def in_shop(
    directory: Path, config: ClickHouseConfig, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Escalon]:
    """`escalon` with some arguments in a directory."""
    patch.chdir(directory)
    patch.setenv("ESCALON_CLICKHOUSE", config.url)
    patch.setenv("ESCALON_CLICKHOUSE_DATABASE", config.database)
    patch.setattr(sys, "path", [*sys.path])
    before = signal.getsignal(signal.SIGTERM)

    def escalon(*arguments: str) -> Done:
        patch.setattr(sys, "argv", ["escalon", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            run()
        said = capsys.readouterr()
        return Done(ended.value.code, said.out, " ".join(said.out.split()), " ".join(said.err.split()))

    try:
        yield escalon
    finally:
        signal.signal(signal.SIGTERM, before)
