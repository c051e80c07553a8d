"""All that a panel found, as one value for the terminal, the JSON document and the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from streams.evaluation.tiers.estimates import Share
from streams.panels.claims import read_claim
from streams.panels.decision import ClaimState, decide
from streams.panels.evidence import PanelEvidence
from streams.panels.report.counted import counted_cases
from streams.panels.report.error_rates import DeliveredErrorRate, error_rates
from streams.panels.report.further_cases import further_cases
from streams.panels.report.judges import JudgeResult, judge_results, models_of
from streams.panels.report.progress import PanelProgress, panel_progress
from streams.panels.report.questions import QuestionResult, question_results
from streams.panels.report.raters import RaterResult, left_share, rater_results


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelScope:
    """The panel, and the part of the stream that it is about."""

    panel: str
    title: str
    state: str
    run: str
    options: tuple[str, ...]
    since: datetime | None
    until: datetime
    rubric: str
    tasks: int
    raters_per_case: int
    reasons: Mapping[str, int]
    """The drawn cases by the reasons for their weight; a case may have several."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelResults:
    """The results of one panel; all intervals have the certainty `certainty`."""

    scope: PanelScope
    certainty: float
    progress: PanelProgress
    claim: ClaimState | None
    """The state of the claim that ends the panel; None for a panel without one."""
    further_cases: int | None
    """About how many more cases the panel needs to decide its claim, or for narrow intervals; None if unknown."""
    errors: tuple[DeliveredErrorRate, ...]
    """Empty if the rubric has no question about being right."""
    assistant: str
    """The model whose judgements help to predict people's in `errors`; empty for none."""
    questions: tuple[QuestionResult, ...]
    raters: tuple[RaterResult, ...]
    left: Share
    """The share of comparisons that the answer on the left won, over all raters, without ties."""
    judges: tuple[JudgeResult, ...]

    @property
    def further_minutes(self) -> float | None:
        """The people's time for the further cases; None if unknown."""
        seconds = self.progress.seconds
        if seconds is None or self.further_cases is None:
            return None
        return self.further_cases * self.scope.raters_per_case * seconds / 60


def panel_results(
    evidence: PanelEvidence, certainty: float = 0.95, lengths: Mapping[str, int] | None = None
) -> PanelResults:
    """Work out a panel's results. `certainty` is between 0 and 1, `lengths` has the answers' characters by call id.

    Without the lengths a judge's length bias is unknown.
    """
    counted = counted_cases(evidence)
    question, assistant = evidence.rubric.right_question, next(iter(models_of(evidence)), "")
    people = [one for one in evidence.judgements if one.judge_kind == "person" and one.kind == "rating"]
    claim = _claim(evidence, certainty)
    errors = error_rates(evidence, question, counted, certainty, assistant) if question else ()
    questions = question_results(evidence, counted, certainty)
    return PanelResults(
        scope=_scope(evidence),
        certainty=certainty,
        progress=panel_progress(evidence, counted),
        claim=claim,
        further_cases=further_cases(evidence, len(counted), claim, errors, questions),
        errors=errors,
        assistant=assistant,
        questions=questions,
        raters=rater_results(evidence, certainty),
        left=left_share(evidence, people, certainty),
        judges=judge_results(evidence, counted, lengths or {}, certainty),
    )


def _scope(evidence: PanelEvidence) -> PanelScope:
    panel = evidence.panel
    reasons = Counter(reason for case in evidence.sample for reason in case.reasons)
    return PanelScope(
        panel=panel.panel,
        title=evidence.rubric.title,
        state=panel.state,
        run=panel.run,
        options=panel.options,
        since=panel.since,
        until=panel.until,
        rubric=panel.rubric_id,
        tasks=sum(one.tasks for one in panel.population),
        raters_per_case=panel.raters_per_case,
        reasons=dict(sorted(reasons.items())),
    )


def _claim(evidence: PanelEvidence, certainty: float) -> ClaimState | None:
    if not evidence.panel.stop:
        return None
    claim = read_claim(evidence.panel.stop, evidence.panel.options)
    return decide(claim, evidence, certainty)
