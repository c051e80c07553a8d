"""`escalon migrate`: the tables, their retention, and the SQL of both."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.adapters.clickhouse import ClickHouseConfig
from tests.harness.audit import unused_database
from tests.harness.commands import Escalon, in_shop

NOWHERE = ClickHouseConfig(url="http://127.0.0.1:1")


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Escalon]:
    monkeypatch.setenv("ESCALON_KAFKA", "127.0.0.1:1")
    with in_shop(tmp_path, NOWHERE, monkeypatch, capsys) as escalon:
        yield escalon


def test_the_sql_is_printed_without_a_server(offline: Escalon) -> None:
    done = offline("migrate", "--print")
    assert done.code == 0
    assert done.stdout.startswith("-- the database\n\nCREATE DATABASE IF NOT EXISTS escalon;\n")
    assert "CREATE TABLE IF NOT EXISTS calls_rows" in done.stdout
    assert "ON CLUSTER" not in done.stdout
    assert " TTL " not in done.stdout


def test_the_sql_for_a_cluster_has_the_retention_that_is_set(offline: Escalon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESCALON_AUDIT_BODY_DAYS", "30")
    monkeypatch.setenv("ESCALON_CLICKHOUSE_DATABASE", "audit")
    done = offline("migrate", "--print", "--cluster", "analytics")
    assert "ENGINE = Distributed('analytics', 'audit', 'calls_local', cityHash64(event_id));" in done.stdout
    assert re.search(r"MODIFY COLUMN prompt TTL .*toIntervalDay\(30\)", done.stdout)


def test_a_wrong_name_of_a_cluster_or_number_of_days_is_refused(
    offline: Escalon, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = offline("migrate", "--print", "--cluster", "no name")
    assert (done.code, "'no name' is not the name of a cluster" in done.err) == (2, True)
    monkeypatch.setenv("ESCALON_AUDIT_DAYS", "forty")
    done = offline("migrate", "--print")
    assert (done.code, "ESCALON_AUDIT_DAYS" in done.err) == (2, True)


def test_it_says_what_it_did_and_the_second_time_that_there_was_nothing_to_do(
    clickhouse_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with in_shop(tmp_path, unused_database(clickhouse_server), monkeypatch, capsys) as escalon:
        monkeypatch.setenv("ESCALON_AUDIT_DAYS", "400")
        first = escalon("migrate")
        assert first.code == 0
        assert "01_tables.sql" in first.out
        assert "retention of calls" in first.out
        assert "up to date" in escalon("migrate").out


def test_a_cluster_that_the_server_does_not_know_is_reported_in_its_words(
    clickhouse_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with in_shop(tmp_path, unused_database(clickhouse_server), monkeypatch, capsys) as escalon:
        done = escalon("migrate", "--cluster", "analytics")
        assert done.code == 1
        assert "'analytics' not found" in done.err
