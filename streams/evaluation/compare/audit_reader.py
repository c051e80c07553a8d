"""The events of two runs, read side by side from the audit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from typing import Any

from streams.audit.query import Audit
from streams.core.errors import ConfigError
from streams.core.time_range import LATEST
from streams.evaluation.compare.diff import End, Pair

BUCKET = 25_000
"""About how many events are read at once."""
FOREVER = LATEST


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """Which two runs, and which part of their events: from `since` until before `until`. Labels count that were told
    for one of them or for `base`, the run of live traffic.
    """

    a: str
    b: str
    base: str = "live"
    since: datetime
    until: datetime = FOREVER

    def parameters(self) -> dict[str, Any]:
        """As the queries name them."""
        return {"a": self.a, "b": self.b, "base": self.base, "since": self.since, "until": self.until}


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """How many events ended in both runs and in one alone, and some ids of the latter."""

    both: int
    only_a: int
    only_b: int
    ids_only_a: tuple[str, ...]
    ids_only_b: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """What one handler did in one run. `usd` is what its calls would cost live, None where none has a known price.
    `paid` counts those that cost something, or may have.
    """

    run: str
    tier: str
    handler: str
    calls: int
    paid: int
    cached: int
    reused: int
    usd: Any
    unpriced: int


def read_overlap(audit: Audit, runs: Runs) -> Overlap:
    """Which events there are to compare. Raises ConfigError for a run that has none, or where both share none."""
    if runs.a == runs.b:
        raise ConfigError(f"both runs are {runs.a!r}.", "Name two different ones.", "run")
    known = [row[0] for row in audit.query("SELECT run FROM outcomes_rows GROUP BY run ORDER BY run LIMIT 50").rows]
    for run in (runs.a, runs.b):
        if run not in known and len(known) < 50:
            remedy = f"Use one of: {', '.join(known)}." if known else "Nothing has an outcome yet."
            raise ConfigError(f"no event has an outcome in a run {run!r}.", remedy, "run")
    (row,) = audit.query(_sql("overlap"), runs.parameters()).records()
    if not row["both"]:
        what = f"no event has an outcome in both {runs.a} ({row['only_a']}) and {runs.b} ({row['only_b']})."
        raise ConfigError(what, "Compare a replay with the run it replays, and take an earlier --since.", "run")
    ids = {name: tuple(row[name]) for name in ("ids_only_a", "ids_only_b")}
    return Overlap(both=row["both"], only_a=row["only_a"], only_b=row["only_b"], **ids)


def read_pairs(audit: Audit, runs: Runs, events: int) -> Iterator[Pair]:
    """About so many events that ended in both runs, a bucket at a time, in an order that does not change."""
    sql, buckets = _sql("pairs"), 1 + events // BUCKET
    for bucket in range(buckets):
        answer = audit.query(sql, runs.parameters() | {"buckets": buckets, "bucket": bucket})
        yield from (_pair(row) for row in answer.rows)


def read_calls(audit: Audit, runs: Runs) -> list[Calls]:
    """What the handlers did for these events."""
    return [Calls(**row) for row in audit.query(_sql("calls"), runs.parameters()).records()]


def _sql(name: str) -> str:
    return files("streams.evaluation.compare").joinpath(f"{name}.sql").read_text("utf-8")


def _pair(row: Sequence[Any]) -> Pair:
    event_id, a, b, text, label, intent_label, task = row
    return Pair(
        event_id=event_id, text=text or "", a=_end(a), b=_end(b), label=label, intent_label=intent_label,
        task=task or "",
    )  # fmt: skip


def _end(how: Sequence[Any]) -> End:
    state, tier, handler, intent, answer, reasons, route_tier, route_handler, usd, seconds, escalated_for, refusals = (
        how
    )
    return End(
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
