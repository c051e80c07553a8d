"""Child processes, each with a log file: started, watched, and stopped in reverse order."""

from __future__ import annotations

import os
import site
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from streams.core.errors import ServiceError

LOG_BYTES: Final = 10 << 20
"""A larger log is moved to NAME.log.1 when its process starts."""
_TAIL_LINES: Final = 15
_TAIL_BYTES: Final = 8192
_POLL_SECONDS: Final = 0.05
_LAUNCH: Final = Path(__file__).with_name("launch.py")


@dataclass(frozen=True, slots=True)
class Child:
    """A running process. `grace` is the time it has to stop after SIGTERM, in seconds."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    log_from: int
    grace: float

    def tail(self) -> str:
        """Return the last lines that this process has written, each indented."""
        with self.log.open("rb") as stream:
            stream.seek(max(self.log_from, self.log.stat().st_size - _TAIL_BYTES))
            lines = stream.read().decode("utf-8", "replace").splitlines()
        return "".join(f"\n    {line}" for line in lines[-_TAIL_LINES:])


class Supervisor:
    """A context manager that starts processes which die with this one, even if it is killed.

    Linux sends a child its death signal when the thread that started it ends, so one thread starts them all.
    """

    def __init__(self, log_dir: Path) -> None:
        self._log_dir = log_dir
        self._children: list[Child] = []
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="supervisor")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def spawn(
        self,
        name: str,
        argv: Sequence[str],
        env: Mapping[str, str] | None = None,
        *,
        grace: float = 10.0,
        files: Sequence[int] = (),
    ) -> Child:
        """Start `argv` with its output in NAME.log; `env` replaces the whole environment, None inherits it.

        The open `files`, which are descriptors, are the child's, too.
        """
        if any(child.name == name for child in self._children):
            raise ServiceError(f"A process named {name} is already running.", "Stop it first.")
        self._log_dir.mkdir(parents=True, exist_ok=True)
        log = self._log_dir / f"{name}.log"
        if log.exists() and log.stat().st_size > LOG_BYTES:
            log.replace(log.with_name(log.name + ".1"))
        log_from = log.stat().st_size if log.exists() else 0
        process = self._starter.submit(_start, argv, env, log, files).result()
        child = Child(name, process, log, log_from, grace)
        self._children.append(child)
        return child

    def wait_ready(self, child: Child, ready: Callable[[], bool], seconds: float) -> None:
        """Wait until `ready` returns true. Raises `ServiceError` if any child dies or time runs out."""
        deadline = time.monotonic() + seconds
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                what = f"{child.name} was not ready after {seconds:g} s. Its last lines:{child.tail()}"
                raise ServiceError(what, f"\nThe whole log is {child.log}.")
            time.sleep(_POLL_SECONDS)

    def check(self) -> None:
        """Raise `ServiceError` with its last log lines if a child has died."""
        for child in self._children:
            code = child.process.poll()
            if code is not None:
                ended = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
                what = f"{child.name} (pid {child.process.pid}) {ended}. Its last lines:{child.tail()}"
                raise ServiceError(what, f"\nThe whole log is {child.log}.")

    def pids(self) -> dict[str, int]:
        return {child.name: child.process.pid for child in self._children}

    def stop(self, *children: Child) -> None:
        """Send SIGTERM to all at once, then SIGKILL to each whose grace is over."""
        for child in children:
            child.process.terminate()
        began = time.monotonic()
        for child in children:
            try:
                child.process.wait(max(0.0, began + child.grace - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
            if child in self._children:  # only now, so that an interrupt leaves the others supervised
                self._children.remove(child)

    def kill(self, child: Child) -> None:
        """Send SIGKILL without a warning, as in a crash, and forget the child."""
        self._children.remove(child)
        child.process.kill()
        child.process.wait()

    def child(self, name: str) -> Child:
        """Return the child of this name; raise `ServiceError` if there is none."""
        for one in self._children:
            if one.name == name:
                return one
        raise ServiceError(f"No process named {name} is running.", "Start it first.")

    def close(self) -> None:
        while self._children:
            self.stop(self._children[-1])
        self._starter.shutdown()


def module_command(module: str) -> list[str]:
    """Return the command that runs a module of this package, to be used with `module_environment`.

    It leaves the working directory off Python's path, because a file there could shadow one of Python's own modules.
    """
    return [sys.executable, "-P", "-m", module]


def module_environment() -> dict[str, str]:
    """Return this process's environment, with a source checkout that is not installed first on Python's path."""
    root = Path(__file__).resolve().parents[2]
    if root in (Path(one).resolve() for one in site.getsitepackages()):
        return dict(os.environ)
    path = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path}


def _start(
    argv: Sequence[str], env: Mapping[str, str] | None, log: Path, files: Sequence[int]
) -> subprocess.Popen[bytes]:
    launched = [sys.executable, "-I", "-S", str(_LAUNCH), str(os.getpid()), *argv]
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - no shell; argv comes from this package and its caller
            launched,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=files,
            start_new_session=True,  # Ctrl-C must not reach it: the supervisor stops its children in order
        )
