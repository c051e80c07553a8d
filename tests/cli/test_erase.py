"""Arguments that `escalon erase` refuses before it connects to a server."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.adapters.clickhouse import ClickHouseConfig
from tests.harness.commands import in_shop

NOWHERE = ClickHouseConfig(url="http://127.0.0.1:1")


@pytest.mark.parametrize(
    "arguments",
    [(), ("--subject", " "), ("--event-id", ""), ("--subject", "anna", "--event-id", "e1")],
    ids=["neither", "empty name", "empty id", "both"],
)
def test_it_must_be_said_either_whom_or_which_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    with in_shop(tmp_path, NOWHERE, monkeypatch, capsys) as escalon:
        done = escalon("erase", *arguments, "--yes")
    assert (done.code, "Give either --subject NAME or --event-id ID." in done.err) == (2, True)


def test_without_a_broker_the_tables_cannot_be_erased_so_nothing_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ESCALON_DATA", str(tmp_path / "none"))
    monkeypatch.delenv("ESCALON_KAFKA", raising=False)
    with in_shop(tmp_path, NOWHERE, monkeypatch, capsys) as escalon:
        done = escalon("erase", "--subject", "anna", "--yes")
    assert (done.code, "No Kafka broker is configured" in done.err) == (1, True)
