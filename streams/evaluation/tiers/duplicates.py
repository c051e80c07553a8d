"""Duplicates found, wrongly found and missed, as far as labels can show it.

Events count here, not tasks: repeats are what is measured.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from streams.audit.grading import intent_of
from streams.core.routing import DUPLICATE
from streams.evaluation.tiers.estimates import Share, share
from streams.evaluation.tiers.heard import HeardEvent
from streams.evaluation.tiers.truth import EventLabels, TruthSource

DuplicateState = Literal["right", "wrong", "undecided", "missed", "other"]
MAX_EXAMPLES: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateQuality:
    """The duplicates by one source of labels.

    `right` were found and are labelled `duplicate`, `wrong` were found and are labelled otherwise, `missed` are
    labelled `duplicate` and were not found. `undecided` were found and carry the same label as the event that they
    repeat, which says neither. `precision` is right of right and wrong, `recall` right of right and missed.
    """

    source: TruthSource
    right: int
    wrong: int
    undecided: int
    missed: int
    precision: Share
    recall: Share
    wrong_examples: tuple[str, ...]
    missed_examples: tuple[str, ...]


def duplicate_state(event: HeardEvent, labels: EventLabels, source: TruthSource) -> DuplicateState:
    """Return what a source's label says about the event as a duplicate; `other` if none was found and none labelled."""
    truth = intent_of(labels[event.event_id][source])
    if event.intent != DUPLICATE:
        return "missed" if truth == DUPLICATE else "other"
    if truth == DUPLICATE:
        return "right"
    original = labels.get(event.duplicate_of or "", {}).get(source)
    return "undecided" if original is not None and intent_of(original) == truth else "wrong"


def duplicate_quality(events: Sequence[HeardEvent], labels: EventLabels, source: TruthSource) -> DuplicateQuality:
    """Count the states of the events that a source labelled."""
    states = [(duplicate_state(one, labels, source), one.event_id) for one in events]
    counts = Counter(state for state, _ in states)
    right, wrong, missed = counts["right"], counts["wrong"], counts["missed"]
    return DuplicateQuality(
        source=source,
        right=right,
        wrong=wrong,
        undecided=counts["undecided"],
        missed=missed,
        precision=share(right, right + wrong),
        recall=share(right, right + missed),
        wrong_examples=_examples(states, "wrong"),
        missed_examples=_examples(states, "missed"),
    )


def _examples(states: Sequence[tuple[DuplicateState, str]], wanted: DuplicateState) -> tuple[str, ...]:
    return tuple(event_id for state, event_id in states if state == wanted)[:MAX_EXAMPLES]
