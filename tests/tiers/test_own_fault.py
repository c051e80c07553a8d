"""A fault of a tier's process is not held against the messages: nothing is dead-lettered or paid for again."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.harness.tiers.running import tiers

pytestmark = pytest.mark.embedded
EVENTS = [f"e{number}" for number in range(40)]
AT_ONCE = 8
"""Calls of the pipeline's worker that may be in flight."""


@contextmanager
def small_disk(directory: Path, megabytes: int) -> Iterator[Path]:
    """A disk of its own at a directory."""
    directory.mkdir(parents=True)
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(directory)], capture_output=True, check=False
    )
    if made.returncode != 0:
        pytest.skip(f"no disk can be mounted here ({made.stderr.decode().strip()})")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=True)


def fill(directory: Path) -> Path:
    """Take all the room of a disk; returns the file to delete."""
    filler = directory / "filler"
    with filler.open("wb", buffering=0) as stream:
        for size in (1 << 16, 1 << 12):
            try:
                while True:
                    stream.write(bytes(size))
            except OSError:
                continue
    return filler


def test_a_full_disk_under_settle_costs_no_outcome(kafka_home: Path, tmp_path: Path) -> None:
    with tiers(kafka_home, tmp_path) as running, small_disk(running.directory("settle"), 30) as disk:
        running.start("listen", "work", "settle")
        running.wait_ready("listen", "work", "settle")
        filler = fill(disk)
        ids = running.publish(*EVENTS)
        assert running.exit_code("settle") != 0
        running.start("settle")
        running.wait_for("The tier waits for that", "settle")
        filler.unlink()
        outcomes = running.outcomes(ids)
        assert {len(set(found)) for found in outcomes.values()} == {1}
        assert running.dead_letters() == []


def test_a_worker_without_file_handles_blames_no_event_and_no_provider(kafka_home: Path, tmp_path: Path) -> None:
    with tiers(kafka_home, tmp_path) as running:
        running.start("listen", "work", "settle")
        running.wait_ready("listen", "work", "settle")
        pid = running.processes["work"].process.pid
        limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (1, limits[1]))
        ids = running.publish(*EVENTS)
        assert running.exit_code("work") != 0
        assert running.dead_letters() == []
        running.start("work")
        outcomes = running.outcomes(ids)
        assert {(one.state, one.reasons) for found in outcomes.values() for one in found} == {("answered", ())}
        assert max(running.asked().values()) == 1
        assert running.dead_letters() == []


def test_a_full_disk_under_a_worker_costs_no_event_and_no_second_call(kafka_home: Path, tmp_path: Path) -> None:
    with tiers(kafka_home, tmp_path) as running, small_disk(running.directory("work"), 30) as disk:
        running.start("listen", "work", "settle")
        running.wait_ready("listen", "work", "settle")
        filler = fill(disk)
        ids = running.publish(*EVENTS)
        assert running.exit_code("work") != 0
        assert "No space left on device" in running.log("work")
        asked = sum(running.asked().values())
        assert asked <= 2 * AT_ONCE, "it does not go on asking"
        running.start("work")
        running.wait_for("The tier waits for that", "work")
        assert running.dead_letters() == []
        filler.unlink()
        outcomes = running.outcomes(ids)
        assert {(one.state, one.reasons) for found in outcomes.values() for one in found} == {("answered", ())}
        assert max(running.asked().values()) == 1, "what was paid for is in the changelog"
        assert running.dead_letters() == []
