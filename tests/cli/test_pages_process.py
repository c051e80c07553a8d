"""The pages beside a pipeline: one server for a data directory, from the first second, if wanted and installed."""

from __future__ import annotations

import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from streams.adapters.clickhouse import ClickHouseConfig
from streams.adapters.kafka import KafkaConfig
from streams.app.process import TIERS, ready_file
from streams.app.settings import Settings, read_settings
from streams.cli import pages_process, up
from streams.cli.pages_process import pages_beside
from streams.core.errors import ServiceError
from streams.embedded.local_pipeline import RunningPipeline
from streams.embedded.supervisor import Child, Supervisor
from streams.ui import address
from streams.ui.address import announced
from tests.harness.commands import in_shop
from tests.harness.shop import shop

OPERATOR = re.compile(r"(http://\S+)/o/(\S+)")
STARTING_SECONDS = 60.0


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read_settings(
        {"ESCALON_DATA": str(tmp_path / "data"), "ESCALON_UI_KEY": "k" * 32, "ESCALON_ALLOW_PYTHON": "json"}
    )


def linked(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """Return the address and the token of the printed link."""
    found = OPERATOR.search(capsys.readouterr().out)
    assert found
    return found[1], found[2]


def test_the_pages_listen_on_a_free_port_and_say_what_is_not_ready(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setattr(address, "DEFAULT_PORT", taken.getsockname()[1])
        monkeypatch.setenv("ESCALON_UI_KEY", "k" * 32)
        with pages_beside(settings, tmp_path / "later.toml"):
            origin, token = linked(capsys)
            assert not origin.endswith(f":{taken.getsockname()[1]}")
            page = answered(origin, token)
    assert "Kafka and ClickHouse: <b>not yet</b>" in page
    assert "pipeline file: <b>not yet</b>" in page


def test_restarted_pages_read_the_pipeline_file_again_at_the_same_address(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ESCALON_UI_KEY", "k" * 32)
    pipeline = tmp_path / "pipeline.toml"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setattr(address, "DEFAULT_PORT", taken.getsockname()[1])
        with pages_beside(settings, pipeline) as restart:
            origin, token = linked(capsys)
            assert "pipeline file: <b>not yet</b>" in answered(origin, token)
            shop(tmp_path)
            await_text(origin, token, "pipeline file: <b>ready</b>")
            pipeline.write_text("not a pipeline")
            restart()
            assert "pipeline file: <b>not yet</b>" in answered(origin, token)


def await_text(origin: str, token: str, text: str) -> None:
    """Wait until the overview has a text."""
    deadline = time.monotonic() + STARTING_SECONDS
    while text not in answered(origin, token):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def answered(origin: str, token: str) -> str:
    """Return the overview, once the server listens."""
    with httpx2.Client(transport=httpx2.HTTPTransport(retries=12), timeout=STARTING_SECONDS) as client:
        return client.get(origin + "/", headers={"Cookie": f"escalon_operator={token}"}).text


def test_pages_that_another_process_serves_are_linked_and_not_served_twice(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise AssertionError("a second server was started")

    monkeypatch.setattr(Supervisor, "spawn", refused)
    with announced(settings, "http://127.0.0.1:1"), pages_beside(settings, tmp_path / "pipeline.toml"):
        assert linked(capsys)[0] == "http://127.0.0.1:1"


def test_without_the_extra_there_are_no_pages_and_the_pipeline_goes_on(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pages_process, "find_spec", lambda _: None)
    with pages_beside(settings, tmp_path / "pipeline.toml"):
        said = capsys.readouterr()
    assert "install the extra `ui`" in said.out + said.err


@pytest.mark.parametrize(("options", "pages"), [([], 1), (["--no-ui"], 0)])
def test_up_starts_pages_except_with_no_ui(
    options: list[str], pages: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[Path] = []

    @contextmanager
    def opening(_: Settings, pipeline: Path) -> Iterator[Callable[[], None]]:
        opened.append(pipeline)
        yield lambda: None

    def no_servers(*_: Any) -> None:
        raise ServiceError("No servers in this test.")

    monkeypatch.setattr(up, "pages_beside", opening)
    monkeypatch.setattr(up, "running_pipeline", no_servers)
    monkeypatch.setattr(up, "check_runnable", lambda *_: None)
    shop(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    with in_shop(tmp_path, ClickHouseConfig(url="http://127.0.0.1:9"), monkeypatch, capsys) as escalon:
        assert "No servers in this test" in escalon("up", *options).err
    assert len(opened) == pages


class ReadySleepers(Supervisor):
    """Starts processes that sleep, each ready at once."""

    def spawn(self, name: str, argv: Sequence[str], env: Mapping[str, str] | None = None, **more: Any) -> Child:
        ready = ready_file(read_settings(env or {}), name)
        ready.parent.mkdir(parents=True, exist_ok=True)
        ready.touch()
        assert argv[-1] == name
        return super().spawn(name, ["/bin/sleep", "60"], **more)


def test_up_restarts_the_pages_after_a_reload_and_not_if_the_file_is_wrong(settings: Settings, tmp_path: Path) -> None:
    pipeline, restarted, asked = shop(tmp_path).path, list[int](), threading.Event()
    kafka, clickhouse = KafkaConfig(servers="localhost:1"), ClickHouseConfig(url="http://localhost:1")
    with ReadySleepers(tmp_path / "logs") as supervisor:
        environment = {"ESCALON_DATA": str(settings.data_dir)}
        running = RunningPipeline(settings, kafka, clickhouse, supervisor, pipeline, environment)
        running.start_all(TIERS)
        for text in (pipeline.read_text(), "not a pipeline"):
            pipeline.write_text(text)
            asked.set()
            up._reload(running, lambda: restarted.append(running.processes["work"].process.pid), asked)
        assert restarted == [running.processes["work"].process.pid]
