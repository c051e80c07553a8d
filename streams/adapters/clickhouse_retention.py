"""The audit's retention as ClickHouse's TTL, and the ALTER statements that change it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

# By table, the time by which its rows expire, and the columns with text of people and models.
BODIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "calls_rows": (
        "event_time",
        ("system_prompt", "prompt", "response", "refusal_reason", "decision_reason", "error"),
    ),
    "outcomes_rows": ("event_time", ("answer", "reasons")),
    "verdicts_rows": ("event_time", ("text", "data")),
    "dead_letters_rows": ("event_time", ("key", "headers", "payload", "detail")),
    "labels_rows": ("labelled_at", ()),
    "judgements_rows": ("judged_at", ("comment",)),
    "panels_rows": ("updated_at", ()),
    "panel_cases_rows": ("created_at", ()),
    "runs_rows": ("updated_at", ()),
}
# A label without its text would be a wrong label, so its whole row expires. Intents are names, not content.
ROWS_THAT_ARE_BODIES = {"labels_rows": "aspect != 'intent'"}

_MOST_DAYS = 50_000
"""Longer than any row can be kept, and within the range of DateTime64."""
_COLUMN = re.compile(r"^    `(\w+)` .*? TTL (.+?),?$", re.M)
_ROWS = re.compile(r"^TTL (.+)$", re.M)


@dataclass(frozen=True, slots=True)
class Retention:
    """Days after an event's time until its content is emptied, and until its rows are deleted; 0 keeps them."""

    body_days: int = 0
    row_days: int = 0

    def alter(self, created: Mapping[str, str]) -> list[str]:
        """Return the statements that change tables to this retention, as templates for TableLayout.fill.

        `created` has the present CREATE TABLE of each table; a table that it lacks keeps everything so far.
        """
        found = (self._alter_table(table, created.get(table, "")) for table in BODIES)
        return [statement for statement in found if statement]

    def _alter_table(self, table: str, created: str) -> str:
        now_columns, now_rows = dict(_COLUMN.findall(created)), _ROWS.search(created)
        columns, rows = self._columns(table), self._rows(table)
        actions = [
            f"MODIFY COLUMN {name} {f'TTL {columns[name]}' if name in columns else 'REMOVE TTL'}"
            for name in sorted(columns.keys() | now_columns.keys())
            if columns.get(name) != now_columns.get(name)
        ]
        if rows != (now_rows[1] if now_rows else ""):
            actions.append(f"MODIFY TTL {rows}" if rows else "REMOVE TTL")
        name = table.removesuffix("rows") + "$rows $on_cluster"
        return f"ALTER TABLE {name} {', '.join(actions)}" if actions else ""

    def _columns(self, table: str) -> dict[str, str]:
        time, bodies = BODIES[table]
        return {name: _after(time, self.body_days) for name in bodies} if self.body_days else {}

    def _rows(self, table: str) -> str:
        time, _ = BODIES[table]
        whole = [_after(time, self.row_days)] if self.row_days else []
        if self.body_days and table in ROWS_THAT_ARE_BODIES:
            whole.append(f"{_after(time, self.body_days)} WHERE {ROWS_THAT_ARE_BODIES[table]}")
        return ", ".join(whole)


def _after(time: str, days: int) -> str:
    """Return the TTL as ClickHouse formats it, so that it can be compared.

    A TTL has 32 bits, so times are limited to its range: rows from before 1970 expire, and none expires too early.
    """
    end = f"least({time} + toIntervalDay({min(days, _MOST_DAYS)}), toDateTime64('2106-01-01 00:00:00', 0, 'UTC'))"
    return f"toDateTime(greatest({end}, toDateTime64('1970-01-02 00:00:00', 0, 'UTC')))"
