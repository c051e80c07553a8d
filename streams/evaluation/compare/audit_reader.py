"""Read the events of two runs side by side from the audit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from importlib.resources import files
from typing import Any

from streams.audit.query import Audit
from streams.core.errors import ConfigError
from streams.core.time_range import LATEST
from streams.evaluation.compare.diff import EventEnd, EventPair

BUCKET = 25_000
"""Events that are read at once, approximately."""
FOREVER = LATEST


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """Two runs, and the part of their events to compare: from `since` until before `until`.

    Labels count that were published for one of them or for `base`, the run of live traffic.
    """

    a: str
    b: str
    base: str = "live"
    since: datetime
    until: datetime = FOREVER

    def parameters(self) -> dict[str, Any]:
        return {"a": self.a, "b": self.b, "base": self.base, "since": self.since, "until": self.until}


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """The numbers of events that ended in both runs and in one alone, and some ids of the latter."""

    both: int
    only_a: int
    only_b: int
    ids_only_a: tuple[str, ...]
    ids_only_b: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerCalls:
    """The calls of one handler in one run. `usd` is their cost if live, None if none has a known price.

    `paid` counts calls that cost something, or may have.
    """

    run: str
    tier: str
    handler: str
    calls: int
    paid: int
    cached: int
    reused: int
    usd: Decimal | None
    unpriced: int


def read_overlap(audit: Audit, runs: Runs) -> Overlap:
    """Count the events to compare. Raises ConfigError for a run without events, or if the runs share none."""
    if runs.a == runs.b:
        raise ConfigError(f"both runs are {runs.a!r}.", "Name two different runs.", "run")
    known = [row[0] for row in audit.query("SELECT run FROM outcomes_rows GROUP BY run ORDER BY run LIMIT 50").rows]
    for run in (runs.a, runs.b):
        if run not in known and len(known) < 50:
            remedy = f"Use one of: {', '.join(known)}." if known else "No event has an outcome yet."
            raise ConfigError(f"no event has an outcome in a run {run!r}.", remedy, "run")
    (row,) = audit.query(_sql("overlap"), runs.parameters()).records()
    if not row["both"]:
        what = f"no event has an outcome in both {runs.a} ({row['only_a']}) and {runs.b} ({row['only_b']})."
        raise ConfigError(what, "Compare a replay with the run it replays, or choose an earlier --since.", "run")
    ids = {name: tuple(row[name]) for name in ("ids_only_a", "ids_only_b")}
    return Overlap(both=row["both"], only_a=row["only_a"], only_b=row["only_b"], **ids)


def read_pairs(audit: Audit, runs: Runs, events: int) -> Iterator[EventPair]:
    """Yield the events that ended in both runs, a bucket at a time, in a stable order. `events` is their number."""
    sql, buckets = _sql("pairs"), 1 + events // BUCKET
    for bucket in range(buckets):
        answer = audit.query(sql, runs.parameters() | {"buckets": buckets, "bucket": bucket})
        yield from (_pair(row) for row in answer.rows)


def read_calls(audit: Audit, runs: Runs) -> list[HandlerCalls]:
    return [HandlerCalls(**row) for row in audit.query(_sql("calls"), runs.parameters()).records()]


def _sql(name: str) -> str:
    return files("streams.evaluation.compare").joinpath(f"{name}.sql").read_text("utf-8")


def _pair(row: Sequence[Any]) -> EventPair:
    event_id, a, b, text, label, intent_label, task = row
    return EventPair(
        event_id=event_id, text=text or "", a=_end(a), b=_end(b), label=label, intent_label=intent_label,
        task=task or "",
    )  # fmt: skip


def _end(how: Sequence[Any]) -> EventEnd:
    state, tier, handler, intent, answer, reasons, route_tier, route_handler, usd, seconds, escalated_for, refusals = (
        how
    )
    return EventEnd(
        state=state,
        tier=tier,
        handler=handler,
        intent=intent,
        answer=answer,
        reasons=tuple(reasons),
        route=(route_tier, route_handler),
        usd=usd,
        seconds=seconds,
        escalated_for=escalated_for or None,
        refusals=tuple(refusals),
    )
