"""The dashboards' panels, and their SQL as Grafana sends it."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.harness.known_audit import RUN

DIRECTORY = Path(__file__).parents[2] / "infra" / "grafana"
FILES = sorted((DIRECTORY / "dashboards").glob("*.json"))
BOARDS: dict[str, dict[str, Any]] = {file.stem: json.loads(file.read_text("utf-8")) for file in FILES}
FROM, TO, INTERVAL_SECONDS = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 3, tzinfo=UTC), 3600
CLICKHOUSE, PROMETHEUS = "escalon-clickhouse", "escalon-prometheus"
# What a variable stands for in these tests, quoted as Grafana's format sqlstring quotes it.
VARIABLES = {"run": f"'{RUN}'", "event_id": "'e2'"}


def panels(uid: str) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{name}: {panel['title']}", panel)
        for name, board in BOARDS.items()
        for panel in board["panels"]
        if panel.get("datasource", {}).get("uid") == uid
    ]


def expanded(sql: str, **variables: str) -> str:
    """The SQL as the data source sends it: macros by the plugin's own rules, variables by Grafana's."""
    sql = re.sub(r"\$\{(\w+):sqlstring\}", lambda found: (VARIABLES | variables)[found[1]], sql)
    first, last = int(FROM.timestamp()), int(TO.timestamp())
    between = rf"\1 >= toDateTime({first}) AND \1 <= toDateTime({last})"
    sql = re.sub(r"\$__timeFilter\(([\w.]+)\)", between, sql)
    starts = rf"toStartOfInterval(toDateTime(\1), INTERVAL {INTERVAL_SECONDS} second)"
    sql = re.sub(r"\$__timeInterval\(([\w.]+)\)", starts, sql)
    sql = re.sub(r"\$__interval_s\b", str(INTERVAL_SECONDS), sql)
    assert "$" not in sql, sql
    return sql
