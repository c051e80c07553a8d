"""The rows of a replay are redacted as those of the live run are."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from streams.adapters.clickhouse import ClickHouseConfig
from streams.app.redaction import row_redactor
from streams.replay.rows import ReplayRows
from tests.harness.pipeline_files import with_redaction
from tests.harness.sensitive_texts import call, messages

EMAIL = "jo@x.org"


class FakeClient:
    """Keeps what is inserted."""

    def __init__(self) -> None:
        self.rows: dict[str, list[dict[str, Any]]] = {}

    def insert(self, table: str, rows: list[list[Any]], column_names: list[str]) -> None:
        """Keep rows by column."""
        self.rows[table] = [dict(zip(column_names, row, strict=True)) for row in rows]


def test_rows_are_redacted_and_calls_come_ready(tmp_path: Path) -> None:
    client = FakeClient()
    config = cast(ClickHouseConfig, SimpleNamespace(connect=lambda: client))
    rows = ReplayRows(config, row_redactor(with_redaction(tmp_path, "[redaction]\n")))
    verdict, outcome, *_ = messages(f"write to {EMAIL}")
    rows.write([verdict, outcome, dataclasses.replace(call(EMAIL), redaction="as it came")])
    assert EMAIL not in str((client.rows["verdicts_rows"], client.rows["outcomes_rows"]))
    assert client.rows["outcomes_rows"][0]["answer"] == "write to [email]"
    assert (client.rows["calls_rows"][0]["prompt"], client.rows["calls_rows"][0]["redaction"]) == (EMAIL, "as it came")
