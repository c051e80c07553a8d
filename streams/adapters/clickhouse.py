"""Messages as rows of ClickHouse's tables."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from streams.adapters.clickhouse_connection import ClickHouseClient
from streams.adapters.clickhouse_connection import ClickHouseConfig as ClickHouseConfig
from streams.adapters.clickhouse_migrations import migrate as migrate
from streams.core.messages import (
    Call,
    DeadLetter,
    Event,
    Finding,
    Header,
    Judgement,
    Label,
    Origin,
    Outcome,
    Panel,
    PanelAnswer,
    PanelCase,
    PanelRater,
    PanelStratum,
    Run,
    Verdict,
)

TABLES: dict[type, str] = {
    Call: "calls_rows",
    Outcome: "outcomes_rows",
    Verdict: "verdicts_rows",
    DeadLetter: "dead_letters_rows",
    Label: "labels_rows",
    Judgement: "judgements_rows",
    Panel: "panels_rows",
    PanelCase: "panel_cases_rows",
    Run: "runs_rows",
}
"""The table of each message. Analysts read the view of the same name without _rows, which hides repeated deliveries."""


# Fields that only the tiers need: the rows of the calls have each round.
_LEFT_OUT: dict[type, frozenset[str]] = {Verdict: frozenset({"failures", "outages"})}


@cache
def _fields(kind: type) -> tuple[str, ...]:
    left_out = _LEFT_OUT.get(kind, frozenset())
    return tuple(item.name for item in dataclasses.fields(kind) if item.name not in left_out)


def row_of(message: Any) -> dict[str, Any]:
    """Return a message as a row, with the fields of its origin and event beside its own."""
    row: dict[str, Any] = {}
    for name in _fields(message.__class__):
        value = getattr(message, name)
        if not isinstance(value, (tuple, Origin, Event)):  # most are plain
            row[name] = value
        elif isinstance(value, Origin):
            row |= _origin(value)
        elif isinstance(value, Event):
            row |= _origin(value.origin) | {
                "kind": value.kind,
                "text": value.text,
                "data": value.data,
                "image": value.image,
                "deadline": value.deadline,
            }
        elif name == "sources":
            row[name] = {score.label: score.probability for score in value}
        else:
            row[name] = [_cell(item) for item in value]
    return row


def _origin(origin: Origin) -> dict[str, Any]:
    return {
        "event_id": origin.event_id,
        "run": origin.run,
        "event_time": origin.event_time,
        "trace_id": origin.trace_id,
        "source_topic": origin.topic,
        "source_partition": origin.partition,
        "source_offset": origin.offset,
        "data_subject": origin.data_subject,
        "content_digest": origin.content_digest,
    }


def _cell(value: Any) -> Any:
    if isinstance(value, Finding):
        scores = {score.label: score.probability for score in value.scores}
        return json.dumps(_without(value, "scores") | {"scores": scores}, ensure_ascii=False)
    if isinstance(value, (PanelAnswer, PanelRater, PanelStratum)):
        return json.dumps(dataclasses.asdict(value), ensure_ascii=False, default=str)
    if isinstance(value, Header):
        return f"{value.key}: {value.value.decode('utf-8', 'backslashreplace')}"
    return value


def _without(message: Any, left_out: str) -> dict[str, Any]:
    return {name: getattr(message, name) for name in _fields(message.__class__) if name != left_out}


def insert(client: ClickHouseClient, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows that all have the same keys; return when ClickHouse has acknowledged them."""
    if rows:
        names = list(rows[0])
        client.insert(table, [[row[name] for name in names] for row in rows], column_names=names)
