"""The scope of a page: a run of the audit, and a range of event times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol
from urllib.parse import urlencode

from streams.audit.named_queries import DEFAULTS
from streams.audit.query import QueryResult
from streams.core.errors import ConfigError
from streams.core.time_range import EARLIEST, LATEST, clamped

LIVE: Final = DEFAULTS["run"]
GRID_SECONDS: Final = 5
"""A range that ends now is rounded up to this grid, so that pages that are open at the same time share their reads."""
HOURS: Final = ((1, "1 hour"), (6, "6 hours"), (24, "1 day"), (168, "7 days"), (720, "30 days"), (87_840, "10 years"))
"""The ranges that every page offers."""
ALL_HOURS: Final = HOURS[-1][0]
"""The range of pages that look for single events, however old."""


class NamedReads(Protocol):
    """Reads named queries of the audit."""

    async def named(self, name: str, scope: Scope | None = None, **parameters: object) -> QueryResult: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """A run and a range of event times, `until` not included. Times are in UTC."""

    run: str
    since: datetime
    until: datetime
    query: tuple[tuple[str, str], ...] = ()
    """The parameters of the address that chose it; empty for the default."""
    runs: tuple[str, ...] = ()
    """All runs of the audit, for the selector."""
    note: str = ""
    """A sentence if the range is not the one that was asked for."""

    @property
    def hours(self) -> float:
        """The length of the range."""
        return _length(self.since, self.until)

    @property
    def words(self) -> str:
        """The range in words, to stand beside a figure: `in the last hour`."""
        if any(name in ("since", "until") for name, _ in self.query):
            return f"from {self.since:%Y-%m-%d %H:%M} to {self.until:%Y-%m-%d %H:%M} UTC"
        length = _words(self.hours)
        return f"in the {length} until {self.until:%Y-%m-%d %H:%M} UTC" if self.note else f"in the last {length}"

    def parameters(self) -> dict[str, object]:
        """Return the parameters of named queries."""
        return {"run": self.run, "since": stamp(self.since), "until": stamp(self.until)}

    def link(self, path: str, **more: object) -> str:
        """Return the address of a page in this scope, with further parameters."""
        values = [*self.query, *((name, str(value)) for name, value in more.items())]
        return f"{path}?{urlencode(values)}" if values else path


def in_utc(time: datetime) -> datetime:
    """Return a time of the audit, which ClickHouse's client gives without its zone, with the zone UTC."""
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def stamp(time: datetime) -> str:
    """Return a time as ClickHouse reads it."""
    return f"{in_utc(time):%Y-%m-%d %H:%M:%S.%f}"


async def read_scope(asked: Mapping[str, str], reads: NamedReads, now: datetime, hours: float = 1) -> Scope:
    """Return the scope of an address: `run`, and `hours` or `since` and `until`; by default the last `hours`.

    If a range that ends now has no event, although the run has some, it ends at the newest one instead. Raises
    ConfigError for a parameter that cannot be read, ServiceError if the audit cannot.
    """
    query = tuple((name, asked[name]) for name in ("run", "hours", "since", "until") if asked.get(name))
    run, hours = asked.get("run") or LIVE, _hours(asked.get("hours") or str(hours))
    times = {str(row["run"]): in_utc(row["last_event"]) for row in (await reads.named("run_times")).records()}
    runs = tuple(dict.fromkeys([LIVE, *times, run]))
    if asked.get("since") or asked.get("until"):
        since, until = _time("since", asked.get("since"), EARLIEST), _time("until", asked.get("until"), LATEST)
        return Scope(run=run, since=since, until=until, query=query, runs=runs)
    until = clamped(_rounded_up(now))
    note, newest = "", times.get(run)
    if newest is not None and not until - timedelta(hours=hours) <= newest < until:
        until = clamped(newest.replace(microsecond=0) + timedelta(seconds=1))
        note = f"No event in the last {_words(hours)}; this one ends with the newest event."
    since = clamped(until - timedelta(hours=hours))
    return Scope(run=run, since=since, until=until, query=query, runs=runs, note=note)


def range_hours(asked: Mapping[str, str]) -> float:
    """Return the length of the range of an address, 0 for one that cannot be read."""
    try:
        if asked.get("since") or asked.get("until"):
            return _length(_time("since", asked.get("since"), EARLIEST), _time("until", asked.get("until"), LATEST))
        return _hours(asked.get("hours") or "1")
    except ConfigError:
        return 0.0


def _length(since: datetime, until: datetime) -> float:
    return (until - since) / timedelta(hours=1)


def _rounded_up(now: datetime) -> datetime:
    seconds = -(-now.timestamp() // GRID_SECONDS) * GRID_SECONDS
    return datetime.fromtimestamp(seconds, UTC)


def _hours(text: str) -> float:
    try:
        hours = float(text)
    except ValueError:
        hours = 0.0
    if not 0 < hours <= 24 * 366 * 10:
        raise ConfigError(f"{text!r} is not a number of hours.", "Give a number above 0, for example 24.", "hours")
    return hours


def _time(name: str, text: str | None, default: datetime) -> datetime:
    if not text:
        return default
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        what, remedy = f"{text!r} is not a time.", "Write it as 2026-11-01T09:00, in UTC."
        raise ConfigError(what, remedy, name) from error
    return clamped(time.replace(tzinfo=time.tzinfo or UTC))


def _words(hours: float) -> str:
    return next((words for known, words in HOURS if known == hours), f"{hours:g} hours").removeprefix("1 ")
