"""Selection of events by a condition on the audit: `intent = 'order' AND tier = 'reasoner'`."""

from __future__ import annotations

from streams.adapters.clickhouse import ClickHouseConfig
from streams.audit.query import Audit
from streams.core.errors import ConfigError

MAX_EVENTS = 5_000_000
COLUMNS = (
    "event_time", "kind", "text", "data", "intents", "intent", "confidence", "action", "handler", "pipeline",
    "state", "tier", "answered_by", "answer", "reasons",
)  # fmt: skip
"""The columns of a condition; `handler` is the routed handler, `answered_by` the one that ended the event."""
_SQL = """
    SELECT DISTINCT event_id
    FROM
    (
        SELECT
            seen.event_id AS event_id, seen.event_time AS event_time, seen.kind AS kind, seen.text AS text,
            seen.data AS data, seen.intents AS intents, seen.intents[1] AS intent, seen.confidence AS confidence,
            seen.action AS action, seen.handler AS handler, seen.pipeline AS pipeline, ended.state AS state,
            ended.tier AS tier, ended.handler AS answered_by, ended.answer AS answer, ended.reasons AS reasons
        FROM verdicts AS seen
        LEFT JOIN outcomes AS ended
            ON ended.run = seen.run AND ended.event_id = seen.event_id AND ended.content_digest = seen.content_digest
        WHERE seen.run = {run:String}
    )
    WHERE (
"""


def events_where(clickhouse: ClickHouseConfig, condition: str, run: str) -> frozenset[str]:
    """Return the ids of a run's events that meet a condition, an expression of ClickHouse. Raises ConfigError."""
    audit = Audit(clickhouse, max_rows=MAX_EVENTS)
    try:
        # On a line of its own, so that a comment in it ends where it does.
        rows = audit.query(f"{_SQL}{condition}\n)", {"run": run}).rows
    except ConfigError as error:
        raise ConfigError(error.what, f"It may speak of {', '.join(COLUMNS)}.", "where") from error
    finally:
        audit.close()
    if len(rows) >= MAX_EVENTS:
        raise ConfigError(f"more than {MAX_EVENTS} events meet it.", "Narrow it.", "where")
    return frozenset(str(row[0]) for row in rows)
