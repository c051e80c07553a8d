"""The effect of a change in plain sentences, with warnings."""

from __future__ import annotations

from collections.abc import Iterator

from streams.evaluation.what_if.figures import Figure
from streams.evaluation.what_if.off_policy import PolicyEstimate
from streams.evaluation.what_if.what_if import WhatIf

FEW = 30.0
"""Effective outcomes below which a figure gets a warning."""


def sentence(found: WhatIf) -> str:
    """State the effect of the change on cost and accuracy in one sentence."""
    if not found.counts.flips and not _moves(found):
        return f"The change alters no decision about these {found.counts.events} events."
    truth = "agree with the reasoner" if found.labels == "reasoner" else "are right"
    cost = "The cost is unknown" if found.cost is None else _cost(found.cost)
    if found.accuracy is None:
        return f"{cost}; it is unknown how many answers {truth}."
    return f"{cost}; {_accuracy(found.accuracy, truth)}."


def _moves(found: WhatIf) -> bool:
    figures = (found.accuracy, found.cost, found.reasoner_share)
    return any(figure and (figure.difference.low, figure.difference.high) != (0.0, 0.0) for figure in figures)


def _cost(figure: Figure) -> str:
    difference, was = figure.difference, figure.was.value
    if difference.value is None:
        return "The cost of an event can only be bounded"
    if difference.low <= 0 <= difference.high:
        return "The cost of an event does not change measurably"
    kind = "more" if difference.value > 0 else "less"
    return f"An event costs {abs(difference.value) / was:.0%} {kind}" if was else f"An event costs {kind}"


def _accuracy(figure: Figure, truth: str) -> str:
    difference = figure.difference
    span = f"{100 * difference.low:+.1f} to {100 * difference.high:+.1f}"
    if difference.value is None:
        return f"the share of answers that {truth} changes by {span} points, but the value in between is unknown"
    if difference.low == difference.high == 0:
        return f"as many answers {truth} as before"
    if difference.low <= 0 <= difference.high:
        return f"it is unclear whether more or fewer answers {truth} ({span} points)"
    kind = "more" if difference.value > 0 else "fewer"
    return f"{100 * abs(difference.value):.1f} points {kind} answers {truth} ({span})"


def warnings(found: WhatIf) -> Iterator[str]:
    """Yield what limits the figures."""
    counts = found.counts
    if counts.open:
        yield (
            f"{counts.open} events would be answered by another tier whose answer could not have been recorded, so "
            "there are only bounds, the worst and the best case. Set explore = 0.01 or more on the worker "
            "and wait, label more events, or run `escalon replay`."
        )
    if counts.never_asked:
        yield (
            f"{counts.never_asked} events would be answered by a handler that never saw them, so there are only "
            "bounds. Run `escalon replay`, which calls it."
        )
    weak = [figure.difference.effective for figure in (found.accuracy, found.cost) if figure]
    least = min((size for size in weak if size is not None), default=None)
    if least is not None and least < FEW:
        yield f"The difference rests on only about {least:.0f} seen answers."
    if found.labels == "people" and found.accuracy is not None:
        yield (
            f"{counts.labelled} events are labelled. They represent the others with the same decision and a similar "
            "score, so events must not have been chosen for labelling by the quality of their answers."
        )
    if counts.tasks and counts.tasks < counts.events:
        yield f"The {counts.events} events are {counts.tasks} different tasks; the intervals count tasks."
    if counts.not_graded:
        yield (
            f"{counts.not_graded} answers count as neither right nor wrong: redaction hid a part of what is compared, "
            "or the label cannot be an answer of the handler."
        )
    if counts.unexplored:
        yield f"{counts.unexplored} events are left out: the pipeline they went through did not explore."
    if counts.other_versions:
        yield f"{counts.other_versions} events are left out: another version of the worker answered them."
    if counts.unfinished:
        yield f"{counts.unfinished} events are left out: they have not ended yet."


def spread(found: PolicyEstimate, scale: float = 1.0, digits: int = 1, sign: str = "") -> str:
    """Format an estimate with its interval; the interval alone if the value is unknown."""
    low, high = (_number(scale * end, digits, sign) for end in (found.low, found.high))
    value = "" if found.value is None else f"{_number(scale * found.value, digits, sign)} "
    return f"{value}[{low}, {high}]"


def _number(value: float, digits: int, sign: str) -> str:
    return f"{round(value, digits) + 0.0:{sign}.{digits}f}"
