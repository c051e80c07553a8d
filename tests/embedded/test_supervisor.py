from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from streams.core.errors import ServiceError
from streams.embedded.supervisor import LOG_BYTES, Supervisor

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(60)
"""
PARENT = """
import sys, time
from pathlib import Path
from streams.embedded.supervisor import Supervisor
supervisor = Supervisor(Path(sys.argv[1]))
print(supervisor.spawn("child", [sys.executable, "-c", "import time; time.sleep(60)"]).process.pid, flush=True)
time.sleep(60)
"""


def test_a_child_that_dies_while_it_is_waited_for_is_reported_with_its_last_words(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        child = supervisor.spawn("worker", [sys.executable, "-c", "import sys; sys.exit('no such topic')"])
        with pytest.raises(ServiceError, match=r"worker .* ended with exit code 1") as died:
            supervisor.wait_ready(child, lambda: False, 20)
    assert "no such topic" in died.value.what
    assert str(tmp_path / "worker.log") in died.value.remedy


def test_a_killed_child_is_found_dead(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        child = supervisor.spawn("worker", SLEEP)
        supervisor.check()
        child.process.kill()
        child.process.wait()
        with pytest.raises(ServiceError, match="killed by signal 9"):
            supervisor.check()


def test_a_child_that_never_gets_ready_runs_out_of_time(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        child = supervisor.spawn("worker", SLEEP)
        with pytest.raises(ServiceError, match="not ready after 0 s"):
            supervisor.wait_ready(child, lambda: False, 0)


def test_a_program_that_does_not_exist_is_reported(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        child = supervisor.spawn("worker", ["/no/such/program"])
        with pytest.raises(ServiceError, match="cannot run /no/such/program"):
            supervisor.wait_ready(child, lambda: False, 20)


def test_children_are_stopped_in_reverse_order(tmp_path: Path) -> None:
    code = (
        "import signal, sys, time\n"
        "def stop(*_):\n"
        "    with open(sys.argv[1], 'a') as out: out.write(sys.argv[2])\n"
        "    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        "print('up', flush=True)\n"
        "time.sleep(60)\n"
    )
    with Supervisor(tmp_path) as supervisor:
        for name in "abc":
            child = supervisor.spawn(name, [sys.executable, "-c", code, str(tmp_path / "order"), name])
            supervisor.wait_ready(child, lambda log=child.log: "up" in log.read_text(), 20)  # type: ignore[misc]
    assert (tmp_path / "order").read_text() == "cba"


def test_children_that_are_stopped_together_need_not_wait_for_each_other(tmp_path: Path) -> None:
    code = (  # ends when both have their signal
        "import signal, sys, time\n"
        "from pathlib import Path\n"
        "def stop(*_):\n"
        "    Path(sys.argv[1]).touch()\n"
        "    while not Path(sys.argv[2]).exists(): time.sleep(0.01)\n"
        "    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        "print('up', flush=True)\n"
        "time.sleep(60)\n"
    )
    places = [str(tmp_path / "told-a"), str(tmp_path / "told-b")]
    with Supervisor(tmp_path) as supervisor:
        children = [
            supervisor.spawn(name, [sys.executable, "-c", code, *order], grace=20)
            for name, order in (("a", places), ("b", reversed(places)))
        ]
        for child in children:
            supervisor.wait_ready(child, lambda log=child.log: "up" in log.read_text(), 20)  # type: ignore[misc]
        supervisor.stop(*children)
    assert [child.process.returncode for child in children] == [0, 0]


def test_a_child_that_ignores_sigterm_is_killed_after_its_grace(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        child = supervisor.spawn("deaf", [sys.executable, "-c", STUBBORN], grace=0.1)
        supervisor.wait_ready(child, lambda: "deaf" in child.log.read_text(), 20)
    assert child.process.returncode == -signal.SIGKILL


def test_children_die_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
    try:
        assert select.select([child], [], [], 10)[0] == [child], "the child outlived its parent"
    finally:
        os.close(child)


def test_a_child_outlives_the_thread_that_asked_for_it(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        thread = threading.Thread(target=supervisor.spawn, args=("worker", SLEEP))
        thread.start()
        thread.join()
        supervisor.check()
        ready = supervisor.spawn(
            "other", [sys.executable, "-c", "print('up', flush=True); import time; time.sleep(60)"]
        )
        supervisor.wait_ready(ready, lambda: "up" in ready.log.read_text(), 20)
        assert set(supervisor.pids()) == {"worker", "other"}


def test_an_environment_that_is_given_is_all_the_child_gets(tmp_path: Path) -> None:
    show = "import os, time; print(sorted(os.environ.items()), flush=True); time.sleep(60)"
    with Supervisor(tmp_path) as supervisor:
        child = supervisor.spawn("worker", [sys.executable, "-S", "-c", show], {"ONLY": "this"})
        supervisor.wait_ready(child, lambda: "ONLY" in child.log.read_text(), 20)
        assert "PATH" not in child.log.read_text()


def test_two_children_of_one_name_are_refused(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        supervisor.spawn("worker", SLEEP)
        with pytest.raises(ServiceError, match="already running"):
            supervisor.spawn("worker", SLEEP)


def test_a_large_log_is_moved_aside(tmp_path: Path) -> None:
    (tmp_path / "worker.log").write_bytes(bytes(LOG_BYTES + 1))
    with Supervisor(tmp_path) as supervisor:
        supervisor.spawn("worker", SLEEP)
    assert (tmp_path / "worker.log.1").stat().st_size == LOG_BYTES + 1
    assert (tmp_path / "worker.log").stat().st_size == 0
