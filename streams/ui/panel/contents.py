"""The contents of cases, in the memory of the panel's server."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Set
from contextlib import closing
from datetime import datetime, timedelta
from typing import Final

from streams.adapters.clickhouse_connection import ClickHouseConfig
from streams.audit.query import Audit
from streams.core.errors import EscalonError
from streams.core.messages import PanelCase
from streams.panels.content import CaseContent, read_contents
from streams.pipeline.load import Pipeline

MAX_ROWS: Final = 5_000_000
OVERLAP: Final = timedelta(hours=1)
"""Erasures are asked for again for this time: the clock of `escalon erase` may be behind."""
_ERASED: Final = "SELECT DISTINCT event_id FROM erased_events WHERE erased_at >= {since:DateTime64(6, 'UTC')}"
log = logging.getLogger("escalon.panels")


class CaseContents:
    """Contents by case id, redacted. `refresh` reads those of new cases and drops those of erased events.

    `refresh` talks to ClickHouse, so it runs in a thread; it is the only writer, and each change is one assignment.
    """

    def __init__(self, clickhouse: ClickHouseConfig, pipeline: Pipeline) -> None:
        self._clickhouse, self._pipeline = clickhouse, pipeline
        self._contents: dict[str, CaseContent] = {}
        self._events: dict[str, str] = {}
        """The event of each case that was read, also of one without a content."""
        self.unreadable: Set[str] = frozenset()
        """The ids of the cases that were read and have no content."""
        self._checked_at: datetime | None = None

    @property
    def readable(self) -> Set[str]:
        """The ids of the cases that have a content."""
        return self._contents.keys()

    def get(self, case_id: str) -> CaseContent | None:
        """Return a case's content; None if its event was erased, or the audit does not have it."""
        return self._contents.get(case_id)

    def refresh(self, cases: Iterable[PanelCase], now: datetime) -> None:
        """Read the contents of cases that are new, and drop those of erased events. Raises EscalonError."""
        new = [case for case in cases if case.case_id not in self._events and case.purpose != "judge"]
        with closing(Audit(self._clickhouse, max_rows=MAX_ROWS)) as audit:
            if new:
                self._contents = self._contents | read_contents(audit, self._pipeline, new)
                self._events |= {case.case_id: case.event_id for case in new}
            since = self._checked_at - OVERLAP if self._checked_at is not None else now - OVERLAP
            erased = {row[0] for row in audit.query(_ERASED, {"since": since}).rows}
        self._checked_at = now
        if erased:
            self._contents = {
                case_id: one for case_id, one in self._contents.items() if self._events[case_id] not in erased
            }
        self.unreadable = self._events.keys() - self._contents.keys()

    def try_refresh(self, cases: Iterable[PanelCase], now: datetime) -> None:
        """Refresh; if ClickHouse is unavailable, keep what is known and log it."""
        try:
            self.refresh(cases, now)
        except EscalonError as error:
            log.warning("contents are not refreshed: %s", error)
