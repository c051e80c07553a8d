"""The audit's dead letters, and the record of their retries and drops."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal

from streams.adapters.clickhouse import insert
from streams.adapters.clickhouse_connection import ClickHouseClient, reporting_errors

State = Literal["open", "retried", "dropped"]
STATES: Final[tuple[State, ...]] = ("open", "retried", "dropped")
ENDING: Final = frozenset(
    {
        *("events", "images", "verdicts", "escalations", "results"),
        *("deferred-budget", "deferred-provider", "deferred-batch"),
    }
)
"""A dead letter from one of these topics ends its event."""
BAD_ROW: Final = "bad_row"
"""The reason of the sink's dead letters: they concern a row, not its event."""
ACTIONS: Final = "dead_letter_actions_rows"
_REMEDY: Final = "Check that it runs, and run `escalon migrate` if a table is missing; then run the same command again."


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterStatus:
    dead_letter_id: str
    event_time: datetime
    event_id: str
    topic: str
    partition: int
    offset: int
    reason: str
    error_class: str
    detail: str
    payload_size: int
    state: State
    acted_at: datetime | None
    """The time of the last retry or drop."""
    operator: str
    why: str
    retried_partition: int | None
    retried_offset: int | None
    outcome: str | None
    """The state of its event's outcome; None if the audit has none."""
    erased: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterFilter:
    """A selection of a run's dead letters. None and an empty tuple select all."""

    run: str
    ids: tuple[str, ...] = ()
    reason: str | None = None
    topic: str | None = None
    """The topic's full name."""
    since: datetime | None = None
    until: datetime | None = None
    after: tuple[datetime, str] | None = None
    """The event time and the id of a dead letter; those that are listed after it are selected."""
    states: tuple[str, ...] = STATES
    limit: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterAction:
    """A retry or a drop of one dead letter; a retry has the position of the new record."""

    run: str
    acted_at: datetime
    dead_letter_id: str
    event_id: str
    action: Literal["retried", "dropped"]
    operator: str
    why: str = ""
    topic: str = ""
    partition: int | None = None
    offset: int | None = None


_CONDITIONS: Final[Mapping[str, str]] = {
    "ids": "toString(dead_letter_id) IN {ids:Array(String)}",
    "reason": "reason = {reason:String}",
    "topic": "topic = {topic:String}",
    "since": "event_time >= {since:DateTime64(6, 'UTC')}",
    "until": "event_time < {until:DateTime64(6, 'UTC')}",
    "after": "(event_time, toString(dead_letter_id)) < ({after_time:DateTime64(6, 'UTC')}, {after_id:String})",
}
_LETTERS: Final = "SELECT * FROM dead_letters WHERE run = {{run:String}}{conditions}"
_SQL: Final = """
SELECT
    toString(letter.dead_letter_id) AS dead_letter_id, letter.event_time AS event_time, letter.event_id AS event_id,
    letter.topic AS topic, letter.partition AS partition, letter.offset AS offset, letter.reason AS reason,
    letter.error_class AS error_class, letter.detail AS detail, letter.payload_size AS payload_size,
    if(act.action = '', 'open', act.action) AS state,
    if(act.action = '', NULL, act.at) AS acted_at, act.operator AS operator, act.why AS why,
    act.retried_partition AS retried_partition, act.retried_offset AS retried_offset,
    nullIf(ended.state, '') AS outcome, gone.event_id != '' AS erased
FROM ({letters}) AS letter
GLOBAL LEFT JOIN
(
    SELECT
        dead_letter_id, toString(argMax(action, acted_at)) AS action, max(acted_at) AS at,
        argMax(operator, acted_at) AS operator, argMax(why, acted_at) AS why,
        argMax(partition, acted_at) AS retried_partition, argMax(offset, acted_at) AS retried_offset
    FROM dead_letter_actions WHERE run = {{run:String}} GROUP BY dead_letter_id
) AS act ON act.dead_letter_id = letter.dead_letter_id
GLOBAL LEFT JOIN
(
    SELECT event_id, toString(any(state)) AS state FROM outcomes
    WHERE run = {{run:String}} AND event_id GLOBAL IN (SELECT event_id FROM ({letters})) GROUP BY event_id
) AS ended ON ended.event_id = letter.event_id
GLOBAL LEFT JOIN (SELECT DISTINCT event_id FROM erased_events) AS gone ON gone.event_id = letter.event_id
WHERE state IN {{states:Array(String)}}
ORDER BY event_time DESC, dead_letter_id DESC
LIMIT {{limit:UInt64}}
"""
_ACTED: Final = """
SELECT toString(dead_letter_id), toString(argMax(action, acted_at)), toUnixTimestamp64Milli(max(acted_at))
FROM dead_letter_actions WHERE run = {run:String} GROUP BY dead_letter_id
"""


class DeadLetterTable:
    """The dead letters in one ClickHouse database. Raises ServiceError when it does not answer."""

    def __init__(self, client: ClickHouseClient) -> None:
        self._client = client

    def select(self, wanted: LetterFilter) -> list[LetterStatus]:
        """Return the dead letters that a filter selects, the newest events first."""
        given: dict[str, Any] = {name: getattr(wanted, name) for name in _CONDITIONS if getattr(wanted, name)}
        letters = _LETTERS.format(conditions="".join(f" AND {_CONDITIONS[name]}" for name in given))
        if wanted.after is not None:
            given["after_time"], given["after_id"] = wanted.after
        values = {name: _value(value) for name, value in given.items() if name != "after"}
        values |= {"run": wanted.run, "states": list(wanted.states), "limit": wanted.limit}
        result = self._ask(_SQL.format(letters=letters), values)
        return [LetterStatus(**{name: _aware(value) for name, value in row.items()}) for row in result.named_results()]

    def last_actions(self, run: str) -> dict[str, tuple[str, int]]:
        """Return, by dead letter, the last action and its time in milliseconds since 1970."""
        return {name: (action, at) for name, action, at in self._ask(_ACTED, {"run": run}).result_rows}

    def row(self, run: str, dead_letter_id: str) -> dict[str, Any] | None:
        """Return all columns of one dead letter; None if the audit has none of that id."""
        sql = "SELECT * FROM dead_letters WHERE run = {run:String} AND toString(dead_letter_id) = {id:String}"
        formats = dict.fromkeys(("payload", "key"), "bytes")
        result = self._ask(sql, {"run": run, "id": dead_letter_id}, column_formats=formats)
        return next(iter(result.named_results()), None)

    def record(self, actions: Iterable[LetterAction]) -> None:
        """Record actions; return when ClickHouse has acknowledged them."""
        rows = [{name: getattr(one, name) for name in LetterAction.__slots__} for one in actions]
        with reporting_errors(_REMEDY):
            insert(self._client, ACTIONS, rows)

    def _ask(self, sql: str, values: Mapping[str, Any], **more: Any) -> Any:
        with reporting_errors(_REMEDY):
            return self._client.query(sql, parameters=values, **more)


def actions_for(letters: Sequence[LetterStatus], action: LetterAction) -> list[LetterAction]:
    return [replace(action, dead_letter_id=one.dead_letter_id, event_id=one.event_id) for one in letters]


def _value(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    return list(value) if isinstance(value, tuple) else value


def _aware(value: Any) -> Any:
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    return value
