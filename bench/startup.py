"""Memory and CPU time of each tier's process when it is ready, for one source tree or for two side by side.

    python -m bench.startup [TREE [TREE]] [--rounds 5] [--pipeline FILE] [--json]

Each round runs `escalon up` in a new data directory with the embedded broker and ClickHouse, once for each tree in
turn, so that a busy machine slows both alike. The figures of a tier are taken when its ready file appears; those of
`record` and `resume`, which have no ready file, when `up` reports that the pipeline runs. Memory is the resident set
in MiB, CPU time is user and system time in seconds, and the median over the rounds is shown. Without a TREE the
checkout of this file is measured; without a FILE a small pipeline whose listener is a set of rules.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

READY_TIERS: Final = ("listen", "work", "reason", "settle")
TIERS: Final = (*READY_TIERS, "record", "resume")
SECONDS: Final = 180.0
POLL_SECONDS: Final = 0.01
TICKS: Final = os.sysconf("SC_CLK_TCK")
HERE: Final = Path(__file__).resolve().parents[1]
PIPELINE: Final = """\
name = "startup"

[models.small]
provider = "claude"
model = "claude-haiku-5-5"

[listeners.words]
kind = "rules"
applies_to = ["text"]

[listeners.words.rules]
question = ["\\\\?"]

[routes]
question = "workers.answer"
unsure = "ignore"

[workers.answer]
task = "answer"
model = "small"
inputs = ["text"]
confidence = "verbalized"
threshold = 0.7

[reasoners.resolve]
task = "resolve"
model = "small"
inputs = ["text"]
"""


@dataclass(frozen=True, slots=True)
class Start:
    """The CPU time and memory of a process when it is ready."""

    mib: float
    cpu_seconds: float


def usage(pid: int) -> Start:
    """Return the CPU time and memory that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return Start(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, (int(fields[11]) + int(fields[12])) / TICKS)


def worker_pids(parent: int) -> dict[str, int]:
    """The process of each tier among the children of `up`."""
    found = {}
    for child in Path(f"/proc/{parent}/task").glob("*/children"):
        for pid in child.read_text().split():
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
            if "worker" in words and "launch.py" not in " ".join(words):
                found[words[words.index("worker") + 1]] = int(pid)
    return found


def start_once(tree: Path, pipeline: Path, directory: Path) -> dict[str, Start]:
    """Start a whole pipeline of a source tree, and return what each tier had used when it was ready."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "ESCALON_DATA": str(directory), "ANTHROPIC_API_KEY": "unused"}
    command = [sys.executable, "-P", "-m", "streams", "up", "--pipeline", str(pipeline)]
    log = directory / "up.log"
    with log.open("wb") as output:
        up = subprocess.Popen(command, cwd=directory, env=environment, stdout=output, stderr=output)
    try:
        return _ready(up, directory, log)
    finally:
        up.send_signal(signal.SIGINT)
        up.wait(60)


def _ready(up: subprocess.Popen[bytes], directory: Path, log: Path) -> dict[str, Start]:
    found: dict[str, Start] = {}
    deadline = time.monotonic() + SECONDS
    while len(found) < len(TIERS):
        if up.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"`escalon up` did not become ready:\n{log.read_text()}")
        time.sleep(POLL_SECONDS)
        pids = worker_pids(up.pid)
        running = b"Ctrl-C stops it" in log.read_bytes()
        for tier in set(pids) - set(found):
            if running or (tier in READY_TIERS and any((directory / "ready").glob(f"{tier}-*"))):
                found[tier] = usage(pids[tier])
    return found


def measure(trees: Sequence[Path], pipeline: Path, rounds: int) -> list[dict[str, Start]]:
    """The median of each tier's figures over some rounds, for each tree."""
    starts: list[list[dict[str, Start]]] = [[] for _ in trees]
    for _ in range(rounds):
        for tree, rows in zip(trees, starts, strict=True):
            with tempfile.TemporaryDirectory(prefix="startup-") as directory:
                rows.append(start_once(tree, pipeline, Path(directory)))
    return [{tier: _median([row[tier] for row in rows]) for tier in TIERS} for rows in starts]


def _median(starts: Sequence[Start]) -> Start:
    return Start(
        statistics.median(start.mib for start in starts), statistics.median(start.cpu_seconds for start in starts)
    )


def show(trees: Sequence[Path], figures: Sequence[dict[str, Start]]) -> None:
    """Print a row for each tier: memory and CPU time of each tree, and the last tree's share of the first one's."""
    print("tier    " + "".join(f"{f'MiB {tree.name}':>20}{f'CPU s {tree.name}':>20}" for tree in trees))
    for tier in TIERS:
        starts = [each[tier] for each in figures]
        line = "".join(f"{start.mib:20.1f}{start.cpu_seconds:20.2f}" for start in starts)
        if len(starts) > 1:
            first, last = starts[0], starts[-1]
            line += (
                f"   {last.mib / first.mib:.2f} of the memory, {last.cpu_seconds / first.cpu_seconds:.2f} of the CPU"
            )
        print(f"{tier:<8}{line}")


def main() -> None:
    """Measure and print."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trees", nargs="*", type=Path, metavar="TREE", default=[HERE])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pipeline", type=Path)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="startup-") as directory:
        pipeline = given.pipeline or Path(directory) / "pipeline.toml"
        if given.pipeline is None:
            pipeline.write_text(PIPELINE)
        trees = [tree.resolve() for tree in given.trees]
        figures = measure(trees, pipeline.resolve(), given.rounds)
    if given.json:
        rows = [{tier: [one.mib, one.cpu_seconds] for tier, one in each.items()} for each in figures]
        print(json.dumps(dict(zip(map(str, trees), rows, strict=True)), indent=2))
    else:
        show(trees, figures)


if __name__ == "__main__":
    main()
