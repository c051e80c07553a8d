"""Tier 1 as tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from streams.evaluation.tiers.answers import ENOUGH, ConfidenceQuality
from streams.evaluation.tiers.listeners import OTHER_INTENTS, ConfusionCell, IntentQuality, IntentTruth, ListenerTier
from streams.evaluation.tiers.sections import (
    UNKNOWN,
    EvaluationSection,
    EvaluationTable,
    counted,
    number,
    percent,
    section,
    shown,
)

MAX_COLUMNS: Final = 8
"""Intents of a confusion matrix; the JSON has more."""


def listener_section(tier: ListenerTier) -> EvaluationSection:
    return section(
        "Tier 1: listeners",
        tuple(_sentences(tier)),
        (
            _listeners(tier),
            _right(tier),
            _intents(tier),
            *_confusions(tier),
            _duplicates(tier),
            _confidence(tier),
        ),
    )


def _sentences(tier: ListenerTier) -> Iterator[str]:
    one = tier.totals
    yield (
        f"{one.tasks:,} tasks ({one.events:,} events): {percent(tier.ignored.value)} ended as ignored, for "
        f"{percent(tier.unsure.value)} no listener found a label."
    )
    yield f"{one.duplicates:,} events were found to be duplicates." if one.duplicates else "No duplicate was found."
    if one.missed:
        such = ", ".join(one.examples)
        yield (
            f"{one.missed:,} of {one.copies:,} exact copies of an earlier event were not found (such as {such}): the "
            "earlier image was forgotten, or no longer in the blob store."
        )


def _listeners(tier: ListenerTier) -> EvaluationTable:
    return EvaluationTable(
        title="What each listener looked at",
        columns=("listener", "tasks", "found a label"),
        rows=tuple(
            (one.listener, number(one.tasks), percent(one.found / one.tasks if one.tasks else None))
            for one in tier.listeners
        ),
        numeric=(1, 2),
    )


def _right(tier: ListenerTier) -> EvaluationTable:
    return EvaluationTable(
        title="Right findings, by source of labels",
        columns=("source", "listener", "found a label", "right of those (95 % interval)"),
        rows=tuple(
            (truth.source.name, one.listener, counted(one.found), counted(one.right))
            for truth in tier.truths
            for one in truth.listeners
        ),
    )


def _intents(tier: ListenerTier) -> EvaluationTable:
    rows = [(truth.source.name, name, one) for truth in tier.truths for name, one in _qualities(truth)]
    return EvaluationTable(
        title="Precision and recall of each intent",
        columns=("source", "found by", "intent", "precision", "recall"),
        rows=tuple(
            (source, name, one.intent, counted(one.precision), counted(one.recall)) for source, name, one in rows
        ),
        note="Precision: the share of the findings of an intent that are right. Recall: the share of the tasks with "
        "that intent that were found as such. A listener has only the labels that it found.",
    )


def _qualities(truth: IntentTruth) -> Iterator[tuple[str, IntentQuality]]:
    yield from (("all listeners", one) for one in truth.intents)
    if len(truth.listeners) > 1:
        yield from ((listener.listener, one) for listener in truth.listeners for one in listener.intents)


def _confusions(tier: ListenerTier) -> Iterator[EvaluationTable]:
    for truth in tier.truths:
        yield _matrix(truth.source.name, truth.matrix)
        if len(truth.listeners) > 1:
            yield from (_matrix(f"{truth.source.name}, {one.listener} alone", one.matrix) for one in truth.listeners)


def _matrix(name: str, matrix: Sequence[ConfusionCell]) -> EvaluationTable:
    """Return a row for each true intent and a column for each found one, the most frequent first."""
    counts = Counter[str]()
    for one in matrix:
        counts.update({one.truth: one.tasks})
        counts.update({one.found: one.tasks})
    names = [name for name, _ in counts.most_common(MAX_COLUMNS) if name != OTHER_INTENTS]
    cells = Counter[tuple[str, str]]()
    for one in matrix:
        true, found = (name if name in names else OTHER_INTENTS for name in (one.truth, one.found))
        cells[true, found] += one.tasks
    names += [OTHER_INTENTS] * any(OTHER_INTENTS in pair for pair in cells)
    return EvaluationTable(
        title=f"Confusion matrix by {name}: true intents down, found ones across",
        columns=("true intent", *names),
        rows=tuple(
            (name, *(number(cells[name, found]) if cells[name, found] else UNKNOWN for found in names))
            for name in names
            if any(cells[name, found] for found in names)
        ),
        numeric=tuple(range(1, len(names) + 1)),
    )


def _duplicates(tier: ListenerTier) -> EvaluationTable:
    found = [truth.duplicates for truth in tier.truths]
    return EvaluationTable(
        title="Duplicates, in events",
        columns=("source", "rightly found", "wrongly found", "missed", "undecided", "precision", "recall"),
        rows=tuple(
            (
                one.source.name,
                number(one.right),
                number(one.wrong),
                number(one.missed),
                number(one.undecided),
                shown(one.precision),
                shown(one.recall),
            )
            for one in found
            if one.right or one.wrong or one.missed or one.undecided
        ),
        numeric=(1, 2, 3, 4),
        note="By labels of the intent: `duplicate` or another one. Undecided ones have the label of the event that "
        "they repeat. A repeat without a label is not known, unless it is an exact copy.",
    )


def _confidence(tier: ListenerTier) -> EvaluationTable:
    return EvaluationTable(
        title="Calibration of the listeners' confidence",
        columns=("listener", "source", "tasks", "mean confidence", "right", "calibration error (95 % interval)"),
        rows=tuple(
            (one.listener, *confidence_cells(one.confidence))
            for truth in tier.truths
            for one in truth.listeners
            if one.confidence.n
        ),
        numeric=(2, 3, 4),
    )


def confidence_cells(one: ConfidenceQuality) -> tuple[str, ...]:
    """Return source, tasks, mean confidence, share right and calibration error."""
    if one.measured is None:
        return one.source.name, number(one.n), UNKNOWN, UNKNOWN, f"fewer than {ENOUGH} labelled tasks"
    bins, found = one.measured.bins, one.measured
    mean, right = (sum(getattr(row, name) * row.n for row in bins) / one.n for name in ("confidence", "accuracy"))
    low, high = found.ece_interval
    return one.source.name, number(one.n), percent(mean), percent(right), f"{found.ece:.3f} ({low:.3f} to {high:.3f})"
