"""The progress of a panel, and what it cost its people in time."""

from __future__ import annotations

from dataclasses import dataclass

from streams.panels.evidence import CaseValue, PanelEvidence, case_values
from streams.panels.report.counted import CountedCases, open_cases, options_of
from streams.panels.report.raters import median_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelProgress:
    """Cases and judgements so far. `counted` cases enter the figures: those before the first that is not complete."""

    drawn: int
    complete: int
    counted: int
    skipped: int
    """Counted cases that all their raters skipped."""
    adjudicated: int
    disputed: int
    """Drawn cases whose raters disagree in a question that is not adjudicated."""
    people: int
    """People who rated or skipped a case, or adjudicated one."""
    judgements: int
    """By people, adjudications and skips included."""
    seconds: float | None
    """The median time of a person for a case; None if unknown."""
    minutes: float | None
    """The people's whole time so far; None if unknown."""


def panel_progress(evidence: PanelEvidence, counted: CountedCases) -> PanelProgress:
    """Return how far a panel is."""
    sample, people = evidence.sample, [one for one in evidence.judgements if one.judge_kind == "person"]
    all_values = [
        one
        for question in evidence.rubric.questions
        for option in options_of(evidence, question)
        for one in case_values(evidence, question, option)
    ]
    rated = {one.case.case_id for one in all_values if one.value is not None}
    times = {(one.case_id, one.judge): one.seconds for one in people if one.seconds is not None}
    return PanelProgress(
        drawn=len(sample),
        complete=len(sample) - len(open_cases(evidence)),
        counted=len(counted),
        skipped=sum(case.case_id not in rated for case in counted.cases),
        adjudicated=len({one.case.case_id for one in all_values if one.adjudicated}),
        disputed=len({one.case.case_id for one in all_values if _disputed(one)}),
        people=len({one.judge for one in people}),
        judgements=len(people),
        seconds=median_seconds(people),
        minutes=sum(times.values()) / 60 if times else None,
    )


def _disputed(one: CaseValue) -> bool:
    return not one.adjudicated and len(set(one.verdicts)) > 1
