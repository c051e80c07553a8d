"""The whole demo from its packaged recording: twice on one data directory, and broken off."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from streams.embedded.supervisor import module_environment

pytestmark = pytest.mark.embedded
WAIT_SECONDS = 240.0
UNSET = ("ESCALON_KAFKA", "ESCALON_CLICKHOUSE", "ESCALON_SCHEMA_REGISTRY", "ESCALON_PIPELINE", "ANTHROPIC_API_KEY")


def started(data: Path) -> subprocess.Popen[str]:
    own = {"ESCALON_DATA": str(data), "ESCALON_WEIGHTS": str(data / "none"), "COLUMNS": "80"}
    environment = {name: value for name, value in module_environment().items() if name not in UNSET} | own
    command = [sys.executable, "-P", "-m", "streams", "demo", "--recorded"]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8"
    )


def traced(text: str) -> list[str]:
    return re.findall(r"escalon trace (\S+)", text)


def test_the_recorded_demo_judges_its_answers_without_weights_and_can_be_repeated(tmp_path: Path) -> None:
    shown = []
    for number in range(2):
        process = started(tmp_path / "data")
        shown.append(process.communicate(timeout=WAIT_SECONDS)[0])
        assert process.returncode == 0, f"run {number}: {shown[-1]}"
        assert re.search(r"recorded on\s+20\d\d-\d\d-\d\d", shown[-1])
        right, answers = map(int, re.search(r"(\d+) of the (\d+) answers are right", shown[-1]).groups())  # type: ignore[union-attr]
        assert answers >= 25
        assert right / answers >= 0.9
        assert max(map(len, shown[-1].splitlines())) <= 80
    first, second = map(traced, shown)
    assert len(first) == 8
    assert not set(first) & set(second)


def test_ctrl_c_stops_the_demo_and_says_so(tmp_path: Path) -> None:
    process = started(tmp_path / "data")
    assert process.stdout is not None
    assert "recorded on" in process.stdout.readline()
    os.kill(process.pid, signal.SIGINT)
    rest, _ = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 130
    assert rest.rstrip().endswith("Stopped.")
