"""A panel's results in plain words: the conclusion, and what to be careful about."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from streams.evaluation.tiers.estimates import Share
from streams.evaluation.tiers.sections import UNKNOWN, percent
from streams.panels.decision import EVEN
from streams.panels.report.questions import QuestionResult
from streams.panels.report.results import PanelResults

ENOUGH: Final = 0.8
"""A rater whose gold cases or repeats certainly agree in fewer than this share is named."""
TENTATIVE: Final = 0.667
"""Below this alpha, verdicts are not reliable enough for tentative conclusions (Krippendorff 2004)."""
LEAST_COMPARISONS: Final = 5
"""With fewer comparisons, no option is called the better one."""


def headline(found: PanelResults) -> str:
    """Return which panel it is, about what."""
    scope = found.scope
    since = "the beginning" if scope.since is None else _day(scope.since)
    tasks = f"{scope.tasks:,} tasks of the run {scope.run} from {since} to {_day(scope.until)}"
    return f"Panel {scope.panel} ({scope.state}): {scope.title}. {tasks}."


def standing(found: PanelResults) -> str:
    """Return how far the panel is, and the people's time."""
    progress, raters = found.progress, found.scope.raters_per_case
    time = "" if progress.minutes is None else f", in {_minutes(progress.minutes)}"
    by = "a rater" if raters == 1 else f"{raters} raters each"
    people = "1 person" if progress.people == 1 else f"{progress.people} people"
    return (
        f"{progress.complete:,} of {progress.drawn:,} cases are finished by {by} or adjudicated; the first "
        f"{progress.counted:,} of the draw count. {people} made {progress.judgements:,} judgements{time}."
    )


def conclusion(found: PanelResults) -> str:
    """Return what the panel says, and about how many cases are missing if that is not enough."""
    if not found.progress.counted:
        return _nothing_yet(found)
    if found.claim is not None:
        said = [found.claim.words]
    else:
        said = [*_about_errors(found), *(text for one in found.questions for text in _about_pick(found, one))]
    return " ".join([*(said or _about_first_question(found)), *_underpowered(found)])


def cautions(found: PanelResults) -> Iterator[str]:
    """Yield what could make the figures mean less than they seem to, and what to do about it."""
    progress = found.progress
    if waiting := progress.complete - progress.counted:
        yield (
            f"{_cases(waiting)} judged after the first unfinished one do not count yet: the sample is only fair in the "
            "order of the draw. They count when the earlier cases are finished."
        )
    if progress.skipped:
        yield (
            f"All raters skipped {_cases(progress.skipped)}, or the event was erased: they count as right in the lower "
            "bounds, and as wrong in the upper ones."
        )
    if progress.disputed:
        yield f"In {_cases(progress.disputed)} the raters disagree. Adjudicate them: their mean counts until then."
    for one in found.questions:
        yield from _about_agreement(one)
        if one.strengths is not None and one.strengths.why_not:
            yield one.strengths.why_not
    yield from _about_raters(found)
    if found.claim is None and found.scope.state == "closed" and progress.counted < progress.drawn:
        yield "The panel was closed before its last case. If its figures were the reason, their certainty is lower."
    if found.claim is not None:
        yield "The panel ends by its claim, so of the error rates only the interval for any moment keeps its certainty."


def level_of(certainty: float) -> str:
    """Return a certainty as a percentage."""
    return f"{100 * certainty:g} %"


def range_of(low: float | None, high: float | None) -> str:
    """Return an interval of shares as percentages, `–` if there is none."""
    return UNKNOWN if low is None or high is None else f"{100 * low:.1f} to {100 * high:.1f} %"


def _nothing_yet(found: PanelResults) -> str:
    if not found.progress.judgements:
        return "No case has been judged yet."
    raters = found.scope.raters_per_case
    by = "its rater" if raters == 1 else f"its {raters} raters"
    return f"No figure counts yet: the first case of the draw is not finished by {by}."


def _about_errors(found: PanelResults) -> Iterator[str]:
    for total in found.errors[:1]:
        rate = total.people
        if rate.low == rate.high:
            yield f"{percent(rate.value)} of the answers that left the stream are wrong: people judged all of them."
        else:
            wrong = f"{range_of(rate.low, rate.high)} of the answers that left the stream are wrong"
            yield f"{wrong}, with certainty {level_of(found.certainty)}."


def _about_pick(found: PanelResults, one: QuestionResult) -> Iterator[str]:
    if one.win_rate is None or one.win_rate.interval.value is None:
        return
    rate, (first, second) = one.win_rate.interval, found.scope.options
    said = f"{second} wins {percent(rate.value)} ({range_of(rate.low, rate.high)}) of the comparisons, ties as half"
    if rate.cases < LEAST_COMPARISONS:
        count = "1 comparison is" if rate.cases == 1 else f"{rate.cases} comparisons are"
        yield f"{count} too few to say which of {first} and {second} is better."
    elif rate.low > EVEN:
        yield f"Of the two, {second} is better than {first}: {said}."
    elif rate.high < EVEN:
        yield f"Of the two, {first} is better than {second}: {said}."
    else:
        yield f"Which of {first} and {second} is better is undecided: {said}."


def _about_first_question(found: PanelResults) -> Iterator[str]:
    question = found.questions[0]
    for figure in question.figures[:1]:
        rate = figure.interval
        if rate.value is not None and figure.is_share:
            yield f"{question.question.ask} {figure.name}: {percent(rate.value)} ({range_of(rate.low, rate.high)})."
        elif rate.value is not None:
            yield f"{question.question.ask} Mean {rate.value:.2f} ({rate.low:.2f} to {rate.high:.2f})."


def _underpowered(found: PanelResults) -> Iterator[str]:
    if found.further_cases == 0:
        return
    if found.further_cases is None:
        yield "Underpowered: the cases so far do not say how many more it would take."
        return
    minutes, progress = found.further_minutes, found.progress
    time = "" if minutes is None else f" (about {_minutes(minutes)} of people)"
    left = progress.drawn - progress.counted
    rest = f"; {_cases(left)} of the panel are left" if left else ""
    aim = "would decide it" if found.claim is not None else "would narrow the intervals enough"
    yield f"Underpowered: about {found.further_cases:,} more cases{time} {aim}{rest}."


def _about_agreement(one: QuestionResult) -> Iterator[str]:
    alpha = one.agreement.alpha
    if alpha is not None and alpha.high < TENTATIVE:
        yield (
            f"The raters hardly agree in {one.question.name!r} (alpha {alpha.value:.2f}). Make the question narrower, "
            "or its choices clearer, before you trust its figures."
        )


def _about_raters(found: PanelResults) -> Iterator[str]:
    for one in found.raters:
        if one.gold.high is not None and one.gold.high < ENOUGH:
            yield f"{one.name} judged {_share(one.gold)} of the gold cases as expected. Talk about the rubric."
        if one.repeats.high is not None and one.repeats.high < ENOUGH:
            yield f"{one.name} gave the same verdict again for {_share(one.repeats)} of the repeats."
    low, high = found.left.low, found.left.high
    if low is not None and high is not None and not low <= EVEN <= high:
        yield f"The left answer won {_share(found.left)} of the comparisons. Sides are balanced, so it cancels out."


def _cases(count: int) -> str:
    return "1 case" if count == 1 else f"{count:,} cases"


def _share(one: Share) -> str:
    return f"{percent(one.value)} ({range_of(one.low, one.high)})"


def _minutes(minutes: float) -> str:
    whole = math.ceil(minutes)
    return "1 minute" if whole == 1 else f"{whole:,} minutes"


def _day(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M}"
