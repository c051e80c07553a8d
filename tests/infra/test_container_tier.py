"""infra/docker/tier.sh runs a tier in its container."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from streams.core.errors import DEAD_LETTER_LIMIT_EXIT

SECONDS = 20.0


@contextmanager
def tier(root: Path, directory: Path, escalon: str) -> Iterator[subprocess.Popen[str]]:
    """Run tier.sh with a shell script in place of escalon."""
    program = directory / "escalon"
    program.write_text(f"#!/bin/sh\n{escalon}\n", "utf-8")
    program.chmod(0o755)
    environment = {"PATH": f"{directory}:{os.environ['PATH']}", "TMPDIR": str(directory)}
    command = ["/bin/sh", str(root / "infra/docker/tier.sh"), "worker", "listen"]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, env=environment, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    ) as running:
        late = threading.Timer(SECONDS, os.killpg, (running.pid, signal.SIGKILL))  # else a read would wait indefinitely
        late.start()
        try:
            yield running
        finally:
            late.cancel()
            with suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)


@pytest.mark.parametrize("code", [0, 1, 2])
def test_a_tier_that_ends_ends_its_container_with_the_same_code(root: Path, tmp_path: Path, code: int) -> None:
    with tier(root, tmp_path, f'echo "$@"; exit {code}') as running:
        assert running.communicate(timeout=SECONDS) == ("worker listen\n", "")
        assert running.returncode == code


def test_a_container_at_the_limit_on_dead_letters_stays_up_until_it_is_stopped(root: Path, tmp_path: Path) -> None:
    with tier(root, tmp_path, f"exit {DEAD_LETTER_LIMIT_EXIT}") as running:
        assert running.stderr is not None
        assert "docker compose restart listen" in running.stderr.readline()
        assert (tmp_path / "at-dead-letter-limit").exists()
        with pytest.raises(subprocess.TimeoutExpired):
            running.wait(0.5)
        running.terminate()
        assert running.wait(SECONDS) != 0


def test_a_container_that_starts_again_is_no_longer_at_its_limit(root: Path, tmp_path: Path) -> None:
    marker = tmp_path / "at-dead-letter-limit"
    marker.touch()
    with tier(root, tmp_path, "exit 0") as running:
        assert running.wait(SECONDS) == 0
        assert not marker.exists()


def test_a_tier_gets_sigterm_and_its_container_waits_until_it_has_ended(root: Path, tmp_path: Path) -> None:
    drains = "trap 'sleep 0.5; echo drained; exit 130' TERM; echo ready; while :; do sleep 0.1; done"
    with tier(root, tmp_path, drains) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        running.terminate()
        assert running.stdout.readline() == "drained\n"
        assert running.wait(SECONDS) == 130


@pytest.mark.parametrize("delay", [0, 0.001, 0.002, 0.003, 0.005, 0.01, 0.05])
def test_no_signal_is_lost_while_the_tier_starts(root: Path, tmp_path: Path, delay: float) -> None:
    with tier(root, tmp_path, "sleep 60") as running:
        time.sleep(delay)
        running.terminate()
        assert running.wait(SECONDS) in (143, -signal.SIGTERM)
