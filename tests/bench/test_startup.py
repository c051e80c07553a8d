"""The figures of bench.startup are those of the right process."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from bench.startup import usage, worker_pids


def test_the_usage_of_a_process_is_its_own() -> None:
    measured = usage(os.getpid())
    own = resource.getrusage(resource.RUSAGE_SELF)
    assert 10 < measured.mib < own.ru_maxrss / 1024 + 1
    assert abs(measured.cpu_seconds - own.ru_utime - own.ru_stime) < 1


def test_a_tier_is_found_among_the_children_of_a_process(tmp_path: Path) -> None:
    (sleeper := tmp_path / "sleeper.py").write_text("import time; time.sleep(60)")
    with subprocess.Popen([sys.executable, str(sleeper), "worker", "listen"]) as child:
        try:
            deadline = time.monotonic() + 30
            while "listen" not in worker_pids(os.getpid()) and time.monotonic() < deadline:
                time.sleep(0.01)
            assert worker_pids(os.getpid())["listen"] == child.pid
        finally:
            child.kill()
