"""Verdicts of panels on answers, as the truth for calibration, training and comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from streams.evaluation.cases import Case, first_of_each_task


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedAnswer:
    """One answer that a panel judged. `answer` is its text; None if the audit no longer holds it."""

    event_id: str
    run: str
    call_id: str
    handler: str
    handler_version: str
    answer: str | None
    right: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelLabels:
    """Judged answers of a uniform sample of the tasks in some time ranges.

    `judged` tasks had all their ratings, of which `used` were kept; the raters skipped `skipped` of the others.
    """

    answers: tuple[JudgedAnswer, ...]
    panels: tuple[str, ...]
    ranges: tuple[tuple[datetime, datetime], ...]
    judged: int
    used: int
    skipped: int

    def cover(self, time: datetime) -> bool:
        """True if the events of a time were in a panel's population."""
        return any(since <= time < until for since, until in self.ranges)

    def by_event(self) -> dict[str, tuple[JudgedAnswer, ...]]:
        """Return the judged answers by the id of their event."""
        found: dict[str, tuple[JudgedAnswer, ...]] = {}
        for one in self.answers:
            found[one.event_id] = (*found.get(one.event_id, ()), one)
        return found


def with_verdicts(cases: Sequence[Case], labels: PanelLabels) -> list[Case]:
    """Return the cases with the verdicts of panels on them.

    A verdict is about that very call, or about the same answer of the same worker to the same event in another run. Of
    each task only the first case in the panels' ranges counts, judged or not: of a task that came often one event was
    more probably drawn.
    """
    calls = {one.call_id: one.right for one in labels.answers}
    same = {(one.event_id, one.handler, one.handler_version, one.answer): one.right for one in labels.answers}
    firsts = {id(one) for one in first_of_each_task([case for case in cases if labels.cover(case.event_time)])}

    def verdict(case: Case) -> bool | None:
        said = case.attempt
        if id(case) not in firsts or said.answer is None:
            return None
        key = case.event_id, case.handler, case.handler_version, said.answer
        return calls.get(said.call_id, same.get(key))

    return [replace(case, judged=verdict(case)) for case in cases]
