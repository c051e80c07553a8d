"""The demo's events as one run publishes them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from streams.cli.event_source import read_source
from streams.demo.events import mark_of, stem_of, write_events
from streams.demo.starter import write_pack

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)


def test_each_run_has_ids_of_its_own_that_lead_to_the_packaged_ones(tmp_path: Path) -> None:
    write_pack(tmp_path, "local")
    packaged = [json.loads(one)["id"] for one in (tmp_path / "events.jsonl").read_text("utf-8").splitlines()]
    runs = []
    for now in (NOW, NOW + timedelta(seconds=1)):
        events = list(read_source(str(write_events(tmp_path, mark_of(now), now))))
        runs.append([str(one.event.id) for one in events])
        assert [stem_of(one) for one in runs[-1]] == packaged
    assert not set(runs[0]) & set(runs[1])


def test_all_events_happened_in_the_last_hour_in_their_order(tmp_path: Path) -> None:
    write_pack(tmp_path, "local")
    rows = [json.loads(one) for one in write_events(tmp_path, "x", NOW).read_text("utf-8").splitlines()]
    times = [datetime.fromisoformat(row["time"]) for row in rows]
    assert times == sorted(times)
    assert times[-1] == NOW
    assert NOW - times[0] < timedelta(hours=1)
