"""`escalon ui` beside a server that runs already."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.adapters.clickhouse import ClickHouseConfig
from streams.app.settings import read_settings
from streams.ui.address import announced
from streams.ui.links import operator_link
from tests.harness.commands import in_shop

RUNNING = "http://127.0.0.1:1"


def test_it_prints_the_link_of_the_running_server_and_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ESCALON_DATA", str(tmp_path))
    settings = read_settings()
    with (
        announced(settings, RUNNING),
        in_shop(tmp_path, ClickHouseConfig(url="http://127.0.0.1:9"), monkeypatch, capsys) as escalon,
    ):
        done = escalon("ui")
    assert done.code == 0
    assert f"served already, on {RUNNING}." in done.out
    assert operator_link(settings, RUNNING) in done.out
