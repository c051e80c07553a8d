"""Messages that a command publishes while no pipeline runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.adapters.clickhouse import ClickHouseConfig
from streams.app.settings import read_settings
from streams.core.errors import ServiceError
from streams.embedded.recording import recording_servers
from streams.embedded.stack import clickhouse_only
from streams.panels.publication import await_recorded, publish
from tests.harness.panels import case, panel


@pytest.mark.embedded
def test_what_is_published_is_in_the_audit_after_the_servers_have_stopped(tmp_path: Path) -> None:
    settings = read_settings({"ESCALON_DATA": str(tmp_path), "ESCALON_PARTITIONS": "1"})
    waits: list[str] = []
    with recording_servers(settings, None, progress=waits.append) as recording:
        assert waits == ["Waiting for Kafka and ClickHouse", "Creating topics and tables"]
        publish(recording, [panel(), case(1)])
        with recording_servers(settings, None) as same:
            assert (same.kafka, same.clickhouse) == (recording.kafka, recording.clickhouse)
        with recording_servers(recording, None) as same:
            assert same is recording
        await_recorded(recording)
        publish(recording, [case(2)])
    with clickhouse_only(tmp_path) as url:
        client = ClickHouseConfig(url=url).connect()
        counted = client.query("SELECT (SELECT count() FROM panels), (SELECT count() FROM panel_cases)").result_rows
        client.close()
    assert counted == [(1, 2)]


def test_a_configured_server_that_cannot_be_reached_is_refused(tmp_path: Path) -> None:
    servers = {"ESCALON_KAFKA": "localhost:1", "ESCALON_CLICKHOUSE": "http://localhost:1"}
    settings = read_settings({"ESCALON_DATA": str(tmp_path), **servers})
    with pytest.raises(ServiceError, match="Kafka at localhost:1 cannot be reached"), recording_servers(settings, None):
        pass


def test_one_configured_server_alone_is_refused(tmp_path: Path) -> None:
    settings = read_settings({"ESCALON_DATA": str(tmp_path), "ESCALON_KAFKA": "localhost:1"})
    with pytest.raises(ServiceError, match="Only one of Kafka and ClickHouse"), recording_servers(settings, None):
        pass
