"""Tier 1: the intents that decided the routes, and each listener by itself, by every source of labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from streams.audit.grading import intent_of
from streams.core.routing import UNSURE
from streams.evaluation.tiers.answers import ConfidenceQuality, measured_confidence
from streams.evaluation.tiers.duplicates import DuplicateQuality, duplicate_quality, duplicate_state
from streams.evaluation.tiers.estimates import Share, share, share_of
from streams.evaluation.tiers.heard import FoundLabel, HeardEvent, HeardTotals, ListenerCounts
from streams.evaluation.tiers.truth import EventLabels, TruthSource

MAX_INTENTS: Final = 30
"""Intents of a confusion matrix; rarer ones are counted together."""
OTHER_INTENTS: Final = "(others)"
NO_LABEL: Final = "–"
"""In place of the label of a listener that found nothing."""


@dataclass(frozen=True, slots=True)
class IntentQuality:
    """One intent: the share of what was found as it that is it, and the share of what is it that was found as it."""

    intent: str
    precision: Share
    recall: Share


@dataclass(frozen=True, slots=True)
class ConfusionCell:
    """The tasks with one true and one found intent."""

    truth: str
    found: str
    tasks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerQuality:
    """One listener by one source: the share of the labelled tasks in which it found a label, and of those the truth.

    `intents` holds the labels that it found; it is not expected to find others.
    """

    listener: str
    found: Share
    right: Share
    matrix: tuple[ConfusionCell, ...]
    intents: tuple[IntentQuality, ...]
    confidence: ConfidenceQuality


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentTruth:
    """The intents by one source of labels. Of each task the oldest labelled event counts."""

    source: TruthSource
    right: Share
    matrix: tuple[ConfusionCell, ...]
    intents: tuple[IntentQuality, ...]
    listeners: tuple[ListenerQuality, ...]
    duplicates: DuplicateQuality


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerTier:
    """Tier 1. `ignored` and `unsure` are shares of the tasks."""

    totals: HeardTotals
    ignored: Share
    unsure: Share
    listeners: tuple[ListenerCounts, ...]
    truths: tuple[IntentTruth, ...]


def listener_tier(
    totals: HeardTotals, listeners: Sequence[ListenerCounts], events: Sequence[HeardEvent], labels: EventLabels
) -> ListenerTier:
    """Evaluate tier 1 from the counts of all events and the labelled events, oldest first."""
    counts = Counter(source for one in events for source in labels.get(one.event_id, {}))
    return ListenerTier(
        totals=totals,
        ignored=share(totals.ignored, totals.tasks),
        unsure=share(totals.unsure, totals.tasks),
        listeners=tuple(listeners),
        truths=tuple(
            _truth(events, labels, source)
            for source in sorted(counts, key=lambda source: (-counts[source], source.name))
        ),
    )


def _truth(events: Sequence[HeardEvent], labels: EventLabels, source: TruthSource) -> IntentTruth:
    known = [one for one in events if source in labels.get(one.event_id, {})]
    # A duplicate that has its original's label was labelled by content: that says nothing about the finding.
    decided = [one for one in known if duplicate_state(one, labels, source) != "undecided"]
    pairs = [(_truth_of(one, labels, source), one.intent) for one in _first_of_each(decided)]
    names = dict.fromkeys(finding.listener for one in decided for finding in one.findings)
    return IntentTruth(
        source=source,
        right=share_of(truth == found for truth, found in pairs),
        matrix=confusion(pairs),
        intents=intent_qualities(pairs, [name for name in _both(pairs) if name != UNSURE or name in dict(pairs)]),
        listeners=tuple(_listener(name, decided, lambda one: _truth_of(one, labels, source), source) for name in names),
        duplicates=duplicate_quality(known, labels, source),
    )


def _truth_of(one: HeardEvent, labels: EventLabels, source: TruthSource) -> str:
    return intent_of(labels[one.event_id][source])


def _first_of_each(events: Iterable[HeardEvent]) -> list[HeardEvent]:
    """Return the first event of each task."""
    found: dict[str, HeardEvent] = {}
    for one in events:
        found.setdefault(one.task_id, one)
    return list(found.values())


def _both(pairs: Sequence[tuple[str, str]]) -> list[str]:
    counts = Counter(name for pair in pairs for name in pair)
    return sorted(counts, key=lambda name: (-counts[name], name))


def confusion(pairs: Sequence[tuple[str, str]]) -> tuple[ConfusionCell, ...]:
    """Count pairs of a true and a found intent, by the true one, the largest count first."""
    kept = set(_both(pairs)[:MAX_INTENTS])
    counts = Counter(
        (truth if truth in kept else OTHER_INTENTS, found if found in kept else OTHER_INTENTS) for truth, found in pairs
    )
    ordered = sorted(counts.items(), key=lambda item: (item[0][0], -item[1], item[0][1]))
    return tuple(ConfusionCell(truth, found, tasks) for (truth, found), tasks in ordered)


def intent_qualities(pairs: Sequence[tuple[str, str]], intents: Sequence[str]) -> tuple[IntentQuality, ...]:
    """Return precision and recall of each intent over pairs of a true and a found intent."""
    trues, founds = Counter(truth for truth, _ in pairs), Counter(found for _, found in pairs)
    hits = Counter(truth for truth, found in pairs if truth == found)
    return tuple(
        IntentQuality(name, share(hits[name], founds[name]), share(hits[name], trues[name])) for name in intents
    )


def _listener(
    name: str, events: Sequence[HeardEvent], truth_of: Callable[[HeardEvent], str], source: TruthSource
) -> ListenerQuality:
    asked = [(one, finding) for one in events if (finding := _finding(one, name)) is not None]
    firsts = {id(one) for one in _first_of_each([one for one, _ in asked])}
    known = [(truth_of(one), finding) for one, finding in asked if id(one) in firsts]
    pairs = [(truth, finding.label or NO_LABEL) for truth, finding in known]
    labels = Counter(found for _, found in pairs if found != NO_LABEL)
    sure = [(one.confidence, truth == one.label) for truth, one in known if one.label and one.confidence is not None]
    return ListenerQuality(
        listener=name,
        found=share(labels.total(), len(pairs)),
        right=share(sum(truth == found for truth, found in pairs), labels.total()),
        matrix=confusion(pairs),
        intents=intent_qualities(pairs, sorted(labels, key=lambda label: (-labels[label], label))),
        confidence=measured_confidence(source, sure),
    )


def _finding(event: HeardEvent, listener: str) -> FoundLabel | None:
    return next((one for one in event.findings if one.listener == listener), None)
