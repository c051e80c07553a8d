"""Messages as rows of ClickHouse's tables."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import compress
from operator import attrgetter
from typing import Any, get_origin, get_type_hints

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
_LEFT_OUT: dict[type, frozenset[str]] = {Verdict: frozenset({"failures", "outages", "batch_reply"})}


_RENAMED = {"topic": "source_topic", "partition": "source_partition", "offset": "source_offset"}


def _paths(kind: type) -> Iterator[tuple[str, str, bool]]:
    """Yield each column, the path of its attribute, and True for a tuple; an origin and an event have columns each."""
    for name, hint in get_type_hints(kind).items():
        if hint in (Origin, Event):
            yield from ((column, f"{name}.{path}", many) for column, path, many in _paths(hint))
        elif name not in _LEFT_OUT.get(kind, ()):
            yield _RENAMED.get(name, name) if kind is Origin else name, name, get_origin(hint) is tuple


@cache
def _columns(kind: type) -> tuple[list[str], attrgetter[tuple[Any, ...]], list[str]]:
    """Return the columns of a kind's rows, what gets their values, and the columns of tuples."""
    columns, paths, many = zip(*_paths(kind), strict=True)
    return list(columns), attrgetter(*paths), list(compress(columns, many))


def row_of(message: Any) -> dict[str, Any]:
    """Return a message as a row, with the fields of its origin and event beside its own."""
    columns, values, tuples = _columns(message.__class__)
    row = dict(zip(columns, values(message), strict=True))
    for name in tuples:
        if name == "sources":
            row[name] = {score.label: score.probability for score in row[name]}
        else:
            row[name] = [_cell(item) for item in row[name]]
    return row


def _cell(value: Any) -> Any:
    if isinstance(value, Finding):
        fields = {name: getattr(value, name) for name in Finding.__dataclass_fields__ if name != "scores"}
        scores = {score.label: score.probability for score in value.scores}
        return json.dumps(fields | {"scores": scores}, ensure_ascii=False)
    if isinstance(value, (PanelAnswer, PanelRater, PanelStratum)):
        return json.dumps(dataclasses.asdict(value), ensure_ascii=False, default=str)
    if isinstance(value, Header):
        return f"{value.key}: {value.value.decode('utf-8', 'backslashreplace')}"
    return value


def insert(client: ClickHouseClient, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows that all have the same keys; return when ClickHouse has acknowledged them."""
    if rows:
        names = list(rows[0])
        client.insert(table, [[row[name] for name in names] for row in rows], column_names=names)
