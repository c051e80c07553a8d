"""Search of the audit, from the newest events back, within a time that a person waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from streams.audit.query import QueryResult
from streams.core.errors import ConfigError

PAGE: Final = 20
SLICE_CALLS: Final = 5_000
"""The calls of the first slice of time; the second has twice as many, the others up to MAX_SLICE_CALLS."""
MAX_SLICE_CALLS: Final = 80_000
SEARCH_SECONDS: Final = 0.6
"""No further slice is read after this time."""
MAX_TEXT: Final = 500
"""Characters of the text that is looked for."""
# Rows that were delivered twice count twice here: the slices need no exact sizes.
_SLICES: Final = """
SELECT min(minute)
FROM
(
    SELECT
        toStartOfMinute(event_time) AS minute,
        sum(count()) OVER (ORDER BY toStartOfMinute(event_time) DESC) AS so_far
    FROM calls_rows
    WHERE run = {run:String}
        AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time <= {until:DateTime64(6, 'UTC')}
    GROUP BY minute
)
GROUP BY if(so_far <= {first:UInt64}, 0, if(so_far <= 3 * {first:UInt64}, 1, 2 + intDiv(so_far, {most:UInt64})))
ORDER BY min(minute) DESC
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSearch:
    """The events that are wanted. Empty texts and zeros select all."""

    run: str
    since: datetime
    until: datetime
    text: str = ""
    tier: str = ""
    handler: str = ""
    model: str = ""
    state: str = ""
    """The status or decision of a call, the action of a verdict, or the state of the outcome."""
    cost_usd: float = 0.0
    seconds: float = 0.0
    before: str = ""
    """Of the events at `until` itself, those with an id under this one."""

    def __post_init__(self) -> None:
        if len(self.text) > MAX_TEXT:
            what = f"the text has {len(self.text)} characters, and at most {MAX_TEXT} are looked for."
            raise ConfigError(what, "Look for a shorter part of it.", "text")


@dataclass(frozen=True, slots=True)
class FoundEvents:
    """One page of what a search found, the newest first."""

    rows: tuple[dict[str, Any], ...]
    looked_back_to: datetime
    """Everything from this time on was looked at, as far as the page goes."""
    complete: bool
    """True if nothing is left: the search reached its beginning, and the page holds everything."""


class AuditQueries(Protocol):
    """The part of Audit that a search reads."""

    def query(self, sql: str, parameters: dict[str, Any]) -> QueryResult: ...

    def named(self, name: str, run: str = "live", **parameters: Any) -> QueryResult: ...


def search_events(audit: AuditQueries, wanted: EventSearch, clock: Callable[[], float]) -> FoundEvents:
    """Return the newest events that a search wants, at most PAGE. `clock` is in seconds.

    Reads one slice of time after the other, from the newest back, until a page is full or SEARCH_SECONDS are over.
    """
    begun, until, before = clock(), wanted.until, wanted.before
    rows: list[dict[str, Any]] = []
    since = until
    for since in _slices(audit, wanted):
        rows += _slice(audit, wanted, since, until, before, PAGE + 1 - len(rows))
        if len(rows) > PAGE:
            rows = rows[:PAGE]
            return FoundEvents(tuple(rows), rows[-1]["event_time"], complete=False)
        until, before = since, ""
        if clock() - begun > SEARCH_SECONDS:
            break
    return FoundEvents(tuple(rows), since, complete=since <= wanted.since)


def _slices(audit: AuditQueries, wanted: EventSearch) -> Iterator[datetime]:
    """Yield where each slice of time begins, the newest first; the last one is the beginning of the search."""
    values = {"run": wanted.run, "since": _stamp(wanted.since), "until": _stamp(wanted.until)}
    values |= {"first": str(SLICE_CALLS), "most": str(MAX_SLICE_CALLS)}
    for (minute,) in audit.query(_SLICES, values).rows[:-1]:
        yield max(minute.replace(tzinfo=UTC), wanted.since)
    yield wanted.since


def _slice(
    audit: AuditQueries, wanted: EventSearch, since: datetime, until: datetime, before: str, limit: int
) -> list[dict[str, Any]]:
    found = audit.named("search", **parameters_of_search(wanted, since, until, before), limit=limit)
    return [row | {"event_time": row["event_time"].replace(tzinfo=UTC)} for row in found.records()]


def parameters_of_search(wanted: EventSearch, since: datetime, until: datetime, before: str = "") -> dict[str, Any]:
    """Return the parameters of the named query `search` for a range of time."""
    names = ("run", "text", "tier", "handler", "model", "state", "cost_usd", "seconds")
    values = {name: getattr(wanted, name) for name in names}
    return values | {"since": _stamp(since), "until": _stamp(until), "before": before}


def _stamp(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"
