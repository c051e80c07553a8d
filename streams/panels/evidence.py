"""A panel with everything that was said in it, and the value of each of its cases."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from streams.core.errors import ConfigError
from streams.core.messages import Judgement, Panel, PanelAnswer, PanelCase
from streams.panels.rows import case_of, judgement_of, panel_of
from streams.panels.rubric import Question, Rubric, read_rubric

if TYPE_CHECKING:
    from streams.audit.query import Audit

DELIVERED: Final = "delivered"
"""In place of an option's name: the answer that left the stream."""
UNDECIDED: Final = ("tie", "both bad")
"""The verdicts of a comparison that favour neither option."""
_SELECT: Final = {
    view: f"SELECT * FROM {view} WHERE panel = {{panel:String}}"  # noqa: S608 - the names are those below
    for view in ("panels", "panel_cases", "judgements")
}
_ERASED: Final = """
    SELECT DISTINCT event_id FROM erased_events
    WHERE event_id IN (SELECT event_id FROM panel_cases WHERE panel = {panel:String})
"""


@dataclass(frozen=True, slots=True)
class PanelEvidence:
    """A panel, its rubric, its cases in the order of the draw, and all judgements that count."""

    panel: Panel
    rubric: Rubric
    cases: tuple[PanelCase, ...]
    """By position; gold cases and repeats, whose position is 0, come first."""
    judgements: tuple[Judgement, ...]
    """The latest of each judge, case, question, option and kind; without what the judge then skipped."""
    erased: frozenset[str] = frozenset()
    """Ids of cases whose event was erased: they are shown to no rater any more."""

    @property
    def sample(self) -> tuple[PanelCase, ...]:
        """The people's cases in the order of the draw."""
        return tuple(case for case in self.cases if case.purpose == "sample")


@dataclass(frozen=True, slots=True)
class CaseValue:
    """The value of one drawn case by one question."""

    case: PanelCase
    value: float | None
    """The adjudicated value, else the mean over the raters; None without any judgement."""
    ratings: int
    """Independent raters who judged it."""
    complete: bool
    """True if every rater has judged or skipped it, it was adjudicated, or its event erased. Its value then counts."""
    adjudicated: bool = False
    verdicts: tuple[str, ...] = ()
    """The verdicts whose mean the value is: the adjudicated one, else the raters'."""

    @property
    def skipped(self) -> bool:
        """True if all its raters skipped it, or its event was erased before they had judged it."""
        return self.complete and self.value is None


def read_panel(audit: Audit, name: str) -> PanelEvidence:
    """Read a panel from the audit. Raises ConfigError if there is none of that name."""
    panels = audit.query(_SELECT["panels"], {"panel": name}).records()
    if not panels:
        raise no_panel(name)
    cases = [case_of(row) for row in _all(audit, "panel_cases", name)]
    judgements = [judgement_of(row) for row in _all(audit, "judgements", name)]
    gone = {row[0] for row in audit.query(_ERASED, {"panel": name}).rows}
    erased = {case.case_id for case in cases if case.event_id in gone}
    return evidence_of(panel_of(panels[0]), cases, judgements, erased)


def no_panel(name: str) -> ConfigError:
    """Return the error about a name that no panel has."""
    return ConfigError(f"there is no panel {name!r}.", "`escalon panel list` shows all panels.", "panel")


def evidence_of(
    panel: Panel, cases: Iterable[PanelCase], judgements: Iterable[Judgement], erased: Iterable[str] = ()
) -> PanelEvidence:
    """Return the evidence in messages of one panel, which may come in any order and more than once.

    `erased` are ids of cases whose event was erased.
    """
    by_id = {case.case_id: case for case in cases}
    ordered = sorted(by_id.values(), key=lambda case: (case.position, case.case_id))
    own = [one for one in judgements if one.case_id in by_id]
    return PanelEvidence(panel, read_rubric(panel.rubric), tuple(ordered), tuple(latest(own)), frozenset(erased))


def latest(judgements: Iterable[Judgement]) -> list[Judgement]:
    """Return what each judge said last about each case, in the order of time.

    A skip replaces the judge's earlier ratings of the case, and a rating an earlier skip.
    """
    last: dict[tuple[str, ...], Judgement] = {}
    for one in sorted(judgements, key=lambda one: (one.judged_at, one.question, one.option)):
        last[one.case_id, one.judge, one.kind, one.question, one.option] = one
    ends: dict[tuple[str, str, bool], str] = {}
    for one in sorted(last.values(), key=lambda one: (one.judged_at, one.kind != "skip")):
        ends[_pass(one)] = one.kind
    return sorted((one for one in last.values() if ends[_pass(one)] == one.kind), key=lambda one: one.judged_at)


def _pass(one: Judgement) -> tuple[str, str, bool]:
    """Return what a skip and the ratings that it replaces have in common."""
    return one.case_id, one.judge, one.kind == "adjudication"


def case_values(
    evidence: PanelEvidence, question: Question, option: str = DELIVERED, *, judge: str = ""
) -> list[CaseValue]:
    """Return the value of each drawn case in the order of the draw, one for each case that the question applies to.

    `option` names the answer that the question is about; of a comparison, the option that 1.0 stands for. `judge` names
    a model; by default the values are those of people. Adjudication wins over ratings. Gold cases and repeats are left
    out. The unit is that of `verdict_value`.
    """
    said = _by_case(evidence, question, judge)
    purposes = ("sample", "judge") if judge else ("sample",)
    raters = 1 if judge else evidence.panel.raters_per_case
    found = []
    for case in evidence.cases:
        about = _about(case, evidence.panel, question, option)
        if case.purpose in purposes and about is not None:
            key = "" if question.type == "pick" else about
            one = _value(case, said.get(case.case_id, ()), question, (key, about), raters)
            lost = not one.complete and case.case_id in evidence.erased
            found.append(replace(one, value=None, verdicts=(), complete=True) if lost else one)
    return found


def ratings_of(
    evidence: PanelEvidence, question: Question, option: str = DELIVERED, *, judge: str = ""
) -> dict[str, dict[str, str]]:
    """Return each drawn case's verdicts by rater, without adjudications; the arguments are those of `case_values`."""
    said = _by_case(evidence, question, judge)
    found: dict[str, dict[str, str]] = {}
    for case in evidence.cases:
        about = _about(case, evidence.panel, question, option)
        if case.purpose in ("sample", "judge") and about is not None:
            key = "" if question.type == "pick" else about
            own = [one for one in said.get(case.case_id, ()) if one.kind == "rating" and one.option == key]
            found[case.case_id] = {one.judge: one.verdict for one in own}
    return {case_id: verdicts for case_id, verdicts in found.items() if verdicts}


def verdict_value(question: Question, verdict: str, favoured: str = "") -> float:
    """Return a verdict as a number.

    yes/no: 1.0 if the answer is wrong, by the question's `means_right`; without one, 1.0 for its first choice. Scale:
    the point's number, from 1. Comparison: 1.0 for the option `favoured`, 0.5 for a tie and for both bad, else 0.0.
    """
    if question.type == "pick":
        return 0.5 if verdict in UNDECIDED else float(verdict == favoured)
    keys = [choice.key for choice in question.choices]
    if question.type == "scale":
        return 1.0 + keys.index(verdict)
    return float(verdict != question.means_right) if question.means_right else float(verdict == keys[0])


def delivered_answer(case: PanelCase, panel: Panel) -> PanelAnswer | None:
    """Return the answer of a case that left the stream in the panel's run."""
    return next((one for one in case.answers if one.delivered and one.run == panel.run), None)


class _Said(NamedTuple):
    judge: str
    kind: str
    option: str
    verdict: str


def _by_case(evidence: PanelEvidence, question: Question, judge: str) -> Mapping[str, Sequence[_Said]]:
    scale = {choice.key for choice in question.choices}
    keys = {*evidence.panel.options, *UNDECIDED} if question.type == "pick" else scale
    found: dict[str, list[_Said]] = defaultdict(list)
    for one in evidence.judgements:
        own = one.judge_kind == "model" and one.judge == judge if judge else one.judge_kind == "person"
        known = one.kind == "skip" or (one.question == question.name and one.verdict in keys)
        if own and known:
            found[one.case_id].append(_Said(one.judge, one.kind, one.option, one.verdict))
    return found


def _about(case: PanelCase, panel: Panel, question: Question, option: str) -> str | None:
    """Return the option that a question is asked about; None if it is not asked in this case."""
    shown = {answer.option for answer in case.answers}
    if question.type == "pick":
        return option if len(shown) > 1 and option in shown else None
    if option == DELIVERED:
        answer = delivered_answer(case, panel)
        return answer.option if answer is not None else None
    return option if option in shown else None


def _value(
    case: PanelCase, said: Sequence[_Said], question: Question, about: tuple[str, str], raters: int
) -> CaseValue:
    key, favoured = about
    settled = [one.verdict for one in said if one.kind == "adjudication" and one.option == key]
    rated = {one.judge: one.verdict for one in said if one.kind == "rating" and one.option == key}
    skips = {one.judge for one in said if one.kind == "skip"}
    verdicts = (*settled[-1:],) or (*rated.values(),)
    value = fmean(verdict_value(question, one, favoured) for one in verdicts) if verdicts else None
    complete = bool(settled) or len(rated) + len(skips) >= raters
    return CaseValue(case, value, len(rated), complete, bool(settled), verdicts)


def _all(audit: Audit, view: Literal["panel_cases", "judgements"], panel: str) -> list[dict[str, Any]]:
    answer = audit.query(_SELECT[view], {"panel": panel})
    if answer.cut:
        what = f"the panel has more than {len(answer.rows):,} rows in {view}."
        raise ConfigError(what, "Make a smaller panel.", "panel")
    return answer.records()
