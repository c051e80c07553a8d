"""Read a panel's population from the audit, a part of the time range at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, Final

from streams.audit.query import Audit
from streams.core.errors import ConfigError
from streams.panels.population import IntentHistory, Population, PopulationScope, WhyExcluded
from streams.panels.population_tasks import TaskCollector
from streams.pipeline.load import Pipeline

SLICE: Final = 25_000
"""Events that are read at once, approximately."""


def read_population(audit: Audit, pipeline: Pipeline, scope: PopulationScope) -> Population:
    """Read the tasks of a run. Raises ConfigError if it has none, or too many to draw from."""
    reader = TaskCollector(pipeline, scope)
    for since, until in _slices(audit, scope):
        asked = {"run": scope.run, "since": since, "until": until}
        others = _other_run(audit, scope, since, until)
        reader.take(_rows(audit, _sql("population"), asked), others)
    if not reader.tasks:
        raise ConfigError(*_none(scope, reader.excluded), "run")
    return Population(
        scope=scope, tasks=list(reader.tasks.values()), intents=_intents(audit, scope), excluded=dict(reader.excluded)
    )


def _none(scope: PopulationScope, excluded: Mapping[WhyExcluded, int]) -> tuple[str, str]:
    if excluded:
        reasons = ", ".join(f"{count} {why}" for why, count in excluded.items())
        return f"no answered event of the run {scope.run!r} can be judged: {reasons}.", "Choose a later --since."
    what = f"no event of the run {scope.run!r} ended with an answer in this range."
    return what, "Wait until there are some, or choose another --run, --since or --until."


def _slices(audit: Audit, scope: PopulationScope) -> Iterator[tuple[datetime, datetime]]:
    """Yield parts of the time range that hold about SLICE events each, which bounds the memory of a query."""
    sql = """
        SELECT DISTINCT event_time FROM
        (
            SELECT event_time, row_number() OVER (ORDER BY event_time) AS place FROM outcomes
            WHERE run = {run:String} AND state = 'answered'
                AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
        )
        WHERE place % {slice:UInt32} = 0 ORDER BY event_time
    """
    asked = {"run": scope.run, "since": scope.since, "until": scope.until, "slice": SLICE}
    cuts = [row[0].replace(tzinfo=UTC) for row in audit.query(sql, asked).rows]
    yield from zip([scope.since, *cuts], [*cuts, scope.until], strict=True)


def _intents(audit: Audit, scope: PopulationScope) -> dict[str, IntentHistory]:
    sql = """
        SELECT intent, min(event_time) AS first, count() AS events FROM outcomes
        WHERE run = {run:String} AND event_time < {until:DateTime64(6, 'UTC')} GROUP BY intent
    """
    rows = audit.query(sql, {"run": scope.run, "until": scope.until}).records()
    return {row["intent"]: IntentHistory(first=row["first"].replace(tzinfo=UTC), events=row["events"]) for row in rows}


def _other_run(
    audit: Audit, scope: PopulationScope, since: datetime, until: datetime
) -> Mapping[str, Mapping[str, Any]]:
    """Return the answered outcomes of the compared run by event id."""
    if not scope.other_run:
        return {}
    sql = """
        SELECT event_id, tier, handler, answer, coalesce(call_id, '') AS call_id FROM outcomes
        WHERE run = {run:String} AND state = 'answered' AND answer IS NOT NULL
            AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
    """
    rows = _rows(audit, sql, {"run": scope.other_run, "since": since, "until": until})
    return {row["event_id"]: row for row in rows}


def _rows(audit: Audit, sql: str, asked: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return all rows of a part of the range; raise ConfigError if the audit's limit cut some off."""
    answer = audit.query(sql, asked)
    if answer.cut:
        what = f"more than {len(answer.rows):,} events have nearly one time."
        raise ConfigError(what, "Choose a range without it by --since and --until.", "since")
    return answer.records()


def _sql(name: str) -> str:
    return files("streams.panels").joinpath(f"{name}.sql").read_text("utf-8")
