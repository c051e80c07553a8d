"""The figures of two runs as rows of text, for a terminal and a page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from streams.core.dollars import dollars
from streams.evaluation.compare.comparison import RunComparison, RunSummary
from streams.evaluation.compare.paired_statistics import DifferenceEstimate
from streams.evaluation.compare.preference import Accuracy

SHOWN_REASONS = 8
Row = tuple[str, str, str, str]
"""Name, value of A, value of B, and B minus A with its 95 % interval."""


def rows(made: RunComparison) -> Iterator[Row]:
    for accuracy in (made.answers, made.intents):
        if accuracy.labelled.n:
            yield _right(accuracy)
    yield from _endings(made)
    yield from _money_and_time(made)
    yield from _counts(made.a, made.b)


def _endings(made: RunComparison) -> Iterator[Row]:
    a, b, all_events = made.a, made.b, made.overlap.both
    for ending, count in a.endings.items():
        what = f"answered by {ending}s" if ending in ("worker", "reasoner") else ending
        yield what, f"{100 * count / all_events:.1f} %", f"{100 * b.endings[ending] / all_events:.1f} %", ""


def _money_and_time(made: RunComparison) -> Iterator[Row]:
    a, b = made.a, made.b
    yield "cost of an event", _cost(a.usd_mean), _cost(b.usd_mean), cost_interval(made.spending.difference)
    yield "cost in all", _cost(a.usd), _cost(b.usd), ""
    yield "model seconds, mean", number(a.seconds_mean), number(b.seconds_mean), interval(made.seconds)
    for quantile in sorted({*a.seconds, *b.seconds}):
        what = f"seconds, {100 * quantile:.0f} % within"
        yield what, number(a.seconds.get(quantile)), number(b.seconds.get(quantile)), ""


def _counts(a: RunSummary, b: RunSummary) -> Iterator[Row]:
    for what, of_a, of_b in (
        ("calls paid for", a.paid, b.paid),
        ("from the cache", a.cached, b.cached),
        ("reused by the replay", a.reused, b.reused),
    ):
        yield what, f"{of_a:,}", f"{of_b:,}", ""
    for what, some, others in (
        ("escalated", a.escalations, b.escalations),
        ("refused", a.refusals, b.refusals),
    ):
        names = sorted({*some, *others}, key=lambda name: (-some.get(name, 0) - others.get(name, 0), name))
        yield from (
            (f"{what}: {name}", f"{some.get(name, 0):,}", f"{others.get(name, 0):,}", "")
            for name in names[:SHOWN_REASONS]
        )


def _right(accuracy: Accuracy) -> Row:
    pairs, found = accuracy.labelled, accuracy.difference
    a, b = accuracy.shares or (pairs.right_a / pairs.n, pairs.right_b / pairs.n)
    low, value, high = (f"{round(100 * (end or 0), 1) + 0.0:+.1f}" for end in (found.low, found.value, found.high))
    what = f"right {accuracy.aspect}s"
    return what, f"{100 * a:.1f} %", f"{100 * b:.1f} %", f"{value} points ({low} to {high})"


def interval(estimate: DifferenceEstimate, words: Callable[[float], str] | None = None) -> str:
    """Format a difference with its interval, by default to three digits of the largest of these."""
    if words is None:
        largest = max(abs(one or 0.0) for one in (estimate.low, estimate.value, estimate.high))
        words = f"{{:+.{_decimals(largest)}f}}".format
    if estimate.low is None or estimate.high is None:
        return f"{words(estimate.value)} (too few differ)"
    return f"{words(estimate.value)} ({words(estimate.low)} to {words(estimate.high)})"


def cost_interval(estimate: DifferenceEstimate) -> str:
    """Format a difference of costs with its interval."""
    return interval(estimate, lambda value: f"{'' if value < 0 else '+'}{dollars(value)}")


def _cost(value: float | Decimal | None) -> str:
    return dollars(value, "unknown")


def number(value: Any) -> str:
    """Format a number to three digits, never with an exponent."""
    return "unknown" if value is None else f"{value:.{_decimals(value)}f}"


def _decimals(value: float) -> int:
    return max(0, 2 - int(f"{value:.2e}".rpartition("e")[2]))
