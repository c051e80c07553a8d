"""The sink killed, ClickHouse killed under it, and then `escalon verify`, on Apache Kafka."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bench.sink_data import call, publish, traffic
from bench.sink_faults import Site, running
from streams.adapters.codec import Codec
from streams.cli.main import app
from streams.core.fingerprint import digest

pytestmark = pytest.mark.embedded

EVENTS, WAIT_SECONDS = 1000, 60.0


def rows(site: Site, table: str) -> int:
    client = site.clickhouse.connect()
    count: int = client.query(f"SELECT count() FROM {table}").result_rows[0][0]
    client.close()
    return count


def wait_for(site: Site, table: str, least: int) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while rows(site, table) < least:
        assert time.monotonic() < deadline, f"{table} has {rows(site, table)} rows of {least}"
        time.sleep(0.2)


def verify(site: Site) -> tuple[int, dict[str, Any]]:
    said = CliRunner(env=site.environment()).invoke(app, ["verify", "--grace", "0s", "--json"])
    assert said.exit_code in (0, 1), said.output
    return said.exit_code, json.loads(said.stdout)


def test_nothing_is_lost_when_clickhouse_and_the_sink_are_killed_and_verify_proves_it(kafka_home: Path) -> None:
    with running(kafka_home) as site:
        publishing = threading.Thread(target=publish, args=(site.kafka, traffic(0, EVENTS)))
        publishing.start()
        site.sink()
        wait_for(site, "calls", 1)
        site.kill("clickhouse")
        site.kill("record")
        site.sink()
        time.sleep(2)
        site.restart_clickhouse()
        publishing.join()
        for table in ("calls", "verdicts", "outcomes"):
            wait_for(site, table, EVENTS)
        # A row that no table takes and an unreadable record end as dead letters, which is not a loss.
        too_many = replace(call(7), call_id=digest("too many"), attempt=70_000)
        publish(site.kafka, iter([("calls", 0, Codec().encode(too_many)), ("labels", 0, b"no label")]))
        wait_for(site, "dead_letters", 2)
        code, found = verify(site)
        assert (code, found["faults"]) == (0, [])
        assert found["ends"]["outcome"] == EVENTS
        assert found["counts"]["calls"]["records"] == EVENTS + 1
        # It can fail: what never reached the audit is named.
        client = site.clickhouse.connect()
        client.command(f"DELETE FROM outcomes_rows WHERE event_id = '{call(7).origin.event_id}'")
        publish(site.kafka, iter([("calls", 0, Codec().encode(call(EVENTS)))]))
        wait_for(site, "calls", EVENTS + 1)
        code, found = verify(site)
        assert code == 1
        assert [(fault["kind"], fault["topic"], fault["count"]) for fault in found["faults"]] == [
            ("orphan_call", "calls", 1),
            ("missing_row", "outcomes", 1),
        ]
        assert found["faults"][1]["examples"][0]["event_id"] == "mail-0000007"
