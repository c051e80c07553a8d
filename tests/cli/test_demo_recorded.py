"""The whole demo from its packaged recording: once, broken off, and again on a broker that remembers."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from streams.embedded.supervisor import module_environment

pytestmark = pytest.mark.embedded
WAIT_SECONDS = 240.0
UNSET = ("ESCALON_KAFKA", "ESCALON_CLICKHOUSE", "ESCALON_SCHEMA_REGISTRY", "ESCALON_PIPELINE", "KAFKA_HOME")


def started(data: Path, *options: str, **more: str) -> subprocess.Popen[str]:
    own = {"ESCALON_DATA": str(data), "ESCALON_WEIGHTS": str(data / "none"), "COLUMNS": "80"}
    environment = {name: value for name, value in module_environment().items() if name not in UNSET}
    command = [sys.executable, "-P", "-m", "streams", "demo", "--recorded", *options]
    return subprocess.Popen(
        command,
        env=environment | own | more,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        preexec_fn=_heed_ctrl_c,
    )


def _heed_ctrl_c() -> None:
    """Undo what a process inherits from a shell's background job, which ignores Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def broken_off(process: subprocess.Popen[str], line: str, before: Callable[[str], None] = lambda _: None) -> str:
    """Press Ctrl-C once the demo has printed the line and `before` is done, and return all that it printed."""
    assert process.stdout is not None
    printed: list[str] = []
    while not printed or line not in printed[-1]:
        printed.append(process.stdout.readline())
        assert printed[-1], f"the demo ended before it printed {line!r}: {printed}"
    try:
        before("".join(printed))
    finally:
        os.kill(process.pid, signal.SIGINT)
    rest, _ = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 130, rest
    assert rest.endswith("Stopped.\n")
    return "".join(printed) + rest


def ended(process: subprocess.Popen[str]) -> tuple[int, int, list[str]]:
    """Wait until the demo has ended, and read its summary."""
    shown, _ = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 0, shown
    return summary(shown)


def summary(shown: str) -> tuple[int, int, list[str]]:
    """Return the right answers, all answers, and the events worth opening."""
    assert re.search(r"recorded\s+on\s+20\d\d-\d\d-\d\d", shown)
    assert max(len(line) for line in shown.splitlines() if "/" not in line) <= 80  # a path is not broken
    found = re.search(r"(\d+) of the (\d+) answers are right", shown)
    assert found is not None, shown
    return int(found[1]), int(found[2]), re.findall(r"escalon trace (\S+)", shown)


def follow_commands(shown: str, data: Path) -> None:
    """Run the printed commands as a shell does: some events have a label, which is compared with their answers."""
    lines = re.findall(r"^ +(export ESCALON_\S+|escalon trace .+)$", shown, re.MULTILINE)
    script = "\n".join(["set -e", f'escalon() {{ {sys.executable} -P -m streams "$@"; }}', *lines])
    environment = module_environment() | {"ESCALON_DATA": str(data), "COLUMNS": "80"}
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    assert ": agrees" in done.stdout


def look_at_pages(shown: str) -> None:
    """Open every page of the navigation, and each event worth opening."""
    address, token = re.findall(r"Pages: (\S+)/o/(\S+)", shown)[0]
    with httpx2.Client(base_url=address, headers={"Cookie": f"escalon_operator={token}"}, timeout=60.0) as client:
        addresses = re.findall(r'<a href="(/[^"?]*)"', client.get("/").text.partition("</nav>")[0])
        assert len(addresses) >= 9
        for one in [*addresses, *(f"/events/{event}" for event in summary(shown)[2])]:
            page = client.get(one)
            assert page.status_code == 200, page.text


@pytest.mark.slow
def test_the_recorded_demo_judges_its_answers_without_weights_and_runs_on_until_ctrl_c(tmp_path: Path) -> None:
    def look(shown: str) -> None:
        look_at_pages(shown)
        follow_commands(shown, tmp_path)

    right, answers, told = summary(broken_off(started(tmp_path, "--keep"), "until Ctrl-C", look))
    assert answers >= 24
    assert right / answers >= 0.9
    assert len(set(told)) == 8


def test_ctrl_c_stops_the_demo_while_it_starts(tmp_path: Path) -> None:
    broken_off(started(tmp_path), "recorded on")


@pytest.mark.faults
def test_the_demo_ends_after_others_on_a_broker_that_remembers(tmp_path: Path, kafka_home: Path) -> None:
    kafka = str(kafka_home)
    broken_off(started(tmp_path, KAFKA_HOME=kafka), "recorded on")
    first = ended(started(tmp_path, KAFKA_HOME=kafka))
    second = ended(started(tmp_path, KAFKA_HOME=kafka))
    assert first[:2] == second[:2]
    assert not set(first[2]) & set(second[2])
