"""With what the processes of a pipeline are started on one machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from streams.adapters.clickhouse import ClickHouseConfig
from streams.adapters.kafka import KafkaConfig
from streams.app.process import TIERS
from streams.app.settings import read_settings
from streams.core.errors import DEAD_LETTER_LIMIT_EXIT, ServiceError
from streams.embedded.local_pipeline import STEADY_SECONDS, RunningPipeline
from streams.embedded.supervisor import Child, Supervisor


class Sleepers(Supervisor):
    """Starts sleepers in place of tiers, and keeps the environments they were meant to have."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.environments: dict[str, Mapping[str, str]] = {}

    def spawn(self, name: str, argv: Sequence[str], env: Mapping[str, str] | None = None, **more: Any) -> Child:
        self.environments[name] = env or {}
        assert list(argv[-2:]) == ["worker", name.removesuffix("-1")]
        return super().spawn(name, ["/bin/sleep", "60"], **more)


def running(supervisor: Supervisor, directory: Path, **environment: str) -> RunningPipeline:
    settings = read_settings({"ESCALON_DATA": str(directory), **environment})
    kafka, clickhouse = KafkaConfig(servers="localhost:1"), ClickHouseConfig(url="http://localhost:1")
    return RunningPipeline(
        settings, kafka, clickhouse, supervisor, Path("pipeline.toml"), {"KEPT": "yes", **environment}
    )


def test_each_process_on_one_machine_has_a_web_port_of_its_own(tmp_path: Path) -> None:
    with Sleepers(tmp_path / "logs") as supervisor:
        started = running(supervisor, tmp_path, ESCALON_WEB_PORT="7000")
        for tier in TIERS:
            started.start(tier)
        started.start("reason", "1")
        ports = {name: int(one["ESCALON_WEB_PORT"]) for name, one in supervisor.environments.items()}
    assert ports == {name: 7000 + number for number, name in enumerate([*TIERS, "reason-1"])}


def test_a_second_process_of_a_tier_differs_by_its_instance_and_what_is_asked_for(tmp_path: Path) -> None:
    with Sleepers(tmp_path / "logs") as supervisor:
        started = running(supervisor, tmp_path)
        started.start("reason")
        started.start("reason", "1", {"ESCALON_CLOCK_OFFSET": "60"})
    assert supervisor.environments == {
        "reason": {"KEPT": "yes", "ESCALON_INSTANCE": "0"},
        "reason-1": {"KEPT": "yes", "ESCALON_INSTANCE": "1", "ESCALON_CLOCK_OFFSET": "60"},
    }
    assert list(started.processes) == ["reason", "reason-1"]


def test_a_process_that_is_started_is_not_ready_by_what_an_earlier_one_announced(tmp_path: Path) -> None:
    (tmp_path / "ready").mkdir()
    (tmp_path / "ready" / "reason-0").touch()
    with Sleepers(tmp_path / "logs") as supervisor:
        started = running(supervisor, tmp_path)
        child = started.start("reason")
        assert not (tmp_path / "ready" / "reason-0").exists()
        (tmp_path / "ready" / "reason-0").touch()
        started.wait_ready(child, "reason")


def test_a_tier_that_ends_is_restarted_and_one_that_ends_again_at_once_stops_all(tmp_path: Path) -> None:
    now = [1000.0]

    def end(tier: str) -> None:
        started.processes[tier].process.kill()
        started.processes[tier].process.wait()

    with Sleepers(tmp_path / "logs") as supervisor:
        started = replace(running(supervisor, tmp_path), clock=lambda: now[0])
        for tier in TIERS:
            started.start(tier)
        before = supervisor.pids()
        assert started.restart_ended() == []
        end("work")
        (line,) = started.restart_ended()
        assert line.startswith("work ended with exit code -9 and was restarted")
        after = supervisor.pids()
        assert {name for name in before if before[name] != after[name]} == {"work"}

        now[0] += STEADY_SECONDS
        end("work")
        assert len(started.restart_ended()) == 1

        now[0] += STEADY_SECONDS - 1
        end("work")
        with pytest.raises(ServiceError, match=r"work .* was killed by signal 9"):
            started.restart_ended()


def test_a_tier_at_its_limit_on_dead_letters_is_not_restarted(tmp_path: Path) -> None:
    with Sleepers(tmp_path / "logs") as supervisor:
        started = running(supervisor, tmp_path)
        for tier in TIERS:
            started.start(tier)
        supervisor.stop(started.processes["listen"])
        command = [
            "/bin/sh",
            "-c",
            f"echo The last 100 messages all became dead letters.; exit {DEAD_LETTER_LIMIT_EXIT}",
        ]
        started.processes["listen"] = stopped = Supervisor.spawn(supervisor, "listen", command)
        stopped.process.wait()
        with pytest.raises(ServiceError, match=rf"(?s)exit code {DEAD_LETTER_LIMIT_EXIT}.*The last 100 messages"):
            started.restart_ended()


def test_a_server_that_ends_stops_all(tmp_path: Path) -> None:
    with Sleepers(tmp_path / "logs") as supervisor:
        started = running(supervisor, tmp_path)
        for tier in TIERS:
            started.start(tier)
        server = Supervisor.spawn(supervisor, "clickhouse", ["/bin/sleep", "60"])
        server.process.kill()
        server.process.wait()
        with pytest.raises(ServiceError, match="clickhouse"):
            started.restart_ended()
