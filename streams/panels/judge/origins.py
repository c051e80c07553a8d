"""The origins of a panel's events, read from the audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, timedelta
from typing import Any, Final

from streams.audit.query import Audit
from streams.core.messages import Origin, PanelCase
from streams.panels.content import BATCH

_OUTCOMES: Final = """
    SELECT run, event_id, event_time, trace_id, source_topic, source_partition, source_offset, data_subject,
        content_digest
    FROM outcomes
    WHERE run = {run:String} AND event_id IN {ids:Array(String)}
        AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
"""


def read_origins(audit: Audit, cases: Sequence[PanelCase]) -> dict[str, Origin]:
    """Return the origins of the cases' events by event id. An event without an outcome in the audit is missing."""
    found: dict[str, Origin] = {}
    ordered = sorted(cases, key=lambda case: (case.run, case.event_time))
    for first in range(0, len(ordered), BATCH):
        some = ordered[first : first + BATCH]
        for run in sorted({case.run for case in some}):
            own = [case for case in some if case.run == run]
            asked = {
                "run": run,
                "ids": sorted({case.event_id for case in own}),
                "since": own[0].event_time,
                "until": own[-1].event_time + timedelta(microseconds=1),
            }
            found |= {row["event_id"]: _origin(row) for row in audit.query(_OUTCOMES, asked).records()}
    return found


def _origin(row: Mapping[str, Any]) -> Origin:
    return Origin(
        event_id=row["event_id"],
        run=row["run"],
        event_time=row["event_time"].replace(tzinfo=UTC),
        trace_id=row["trace_id"],
        topic=row["source_topic"],
        partition=row["source_partition"],
        offset=row["source_offset"],
        data_subject=row["data_subject"],
        content_digest=row["content_digest"],
    )
