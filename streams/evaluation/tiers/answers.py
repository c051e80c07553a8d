"""The quality of one handler's answers by each source of labels. Of each task the oldest attempt counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from streams.evaluation.cases import first_of_each_task
from streams.evaluation.reliability import Reliability, reliability
from streams.evaluation.tiers.attempts import TierAttempt
from streams.evaluation.tiers.estimates import Share, share, share_of
from streams.evaluation.tiers.truth import SourceKind, TruthSource

LABEL_KINDS: Final[frozenset[SourceKind]] = frozenset({"people", "system", "label"})
"""Labels are taken for a fair sample of the events. A panel's cases are not; they are reweighted elsewhere."""
ENOUGH: Final = 20
"""Labelled tasks that a reliability table needs."""
MAX_BINS: Final = 10


@dataclass(frozen=True, slots=True)
class SourceShare:
    """A share by one source of truth."""

    source: TruthSource
    share: Share


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerQuality:
    """The attempts of one handler, at all events or at those of one intent (`name`, empty for all).

    The shares are of tasks, each by its oldest attempt; those of right answers are of the oldest labelled one.
    """

    name: str
    events: int
    tasks: int
    answered: Share
    refused: Share
    invalid: Share
    failed: Share
    delivered: Share
    right: tuple[SourceShare, ...]
    """Of all answers, also those that were not delivered."""
    delivered_right: tuple[SourceShare, ...]


@dataclass(frozen=True, slots=True)
class ConfidenceQuality:
    """The calibration of a confidence by one source; `measured` is None with fewer than ENOUGH labelled tasks."""

    source: TruthSource
    n: int
    measured: Reliability | None


def answer_quality(name: str, attempts: Sequence[TierAttempt]) -> AnswerQuality:
    """Sum up attempts of one handler."""
    firsts = first_of_each_task(attempts)
    ends = Counter(one.attempt.status for one in firsts)
    return AnswerQuality(
        name=name,
        events=len(attempts),
        tasks=len(firsts),
        answered=share(ends["answered"], len(firsts)),
        refused=share(ends["refused"], len(firsts)),
        invalid=share(ends["invalid"], len(firsts)),
        failed=share(ends["failed"], len(firsts)),
        delivered=share_of(one.delivered for one in firsts),
        right=right_by_source(attempts),
        delivered_right=right_by_source([one for one in attempts if one.delivered]),
    )


def qualities(attempts: Sequence[TierAttempt]) -> tuple[AnswerQuality, ...]:
    """Return the quality of one handler in all, then by intent, the most frequent first."""
    return (answer_quality("", attempts), *(answer_quality(name, some) for name, some in by_intent(attempts)))


def by_intent(attempts: Sequence[TierAttempt]) -> Iterator[tuple[str, list[TierAttempt]]]:
    counts = Counter(one.intent for one in attempts)
    for intent in sorted(counts, key=lambda name: (-counts[name], name)):
        yield intent, [one for one in attempts if one.intent == intent]


def sources_of(attempts: Iterable[TierAttempt]) -> list[TruthSource]:
    """Return the sources of labels that know about an attempt, those with the most labels first."""
    counts = Counter(source for one in attempts for source in one.right if source.kind in LABEL_KINDS)
    return sorted(counts, key=lambda source: (-counts[source], source.name))


def right_by_source(attempts: Sequence[TierAttempt]) -> tuple[SourceShare, ...]:
    return tuple(
        SourceShare(source, share_of(one.right[source] for one in labelled_tasks(attempts, source)))
        for source in sources_of(attempts)
    )


def labelled_tasks(attempts: Iterable[TierAttempt], source: TruthSource) -> list[TierAttempt]:
    """Return of each task the oldest attempt that a source knows about."""
    return first_of_each_task([one for one in attempts if source in one.right])


def confidence_quality(attempts: Sequence[TierAttempt]) -> tuple[ConfidenceQuality, ...]:
    """Compare the confidence in answers with their share right, by each source of labels."""
    sure = [one for one in attempts if one.attempt.confidence is not None]
    return tuple(_confidence(sure, source) for source in sources_of(sure))


def _confidence(attempts: Sequence[TierAttempt], source: TruthSource) -> ConfidenceQuality:
    known = labelled_tasks(attempts, source)
    return measured_confidence(source, [(one.attempt.confidence or 0.0, one.right[source]) for one in known])


def measured_confidence(source: TruthSource, known: Sequence[tuple[float, bool]]) -> ConfidenceQuality:
    """Return the reliability of pairs of a confidence and whether it was right, in bins of at least ENOUGH / 2."""
    if len(known) < ENOUGH:
        return ConfidenceQuality(source, len(known), None)
    scores, rights = (np.array(column) for column in zip(*known, strict=True))
    bins = min(MAX_BINS, 2 * len(known) // ENOUGH)
    return ConfidenceQuality(source, len(known), reliability(np.clip(scores, 0.0, 1.0), rights, bins))
