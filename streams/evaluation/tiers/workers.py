"""Tier 2: each worker's answers, refusals and confidence, and its agreement with the reasoner."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from streams.evaluation.cases import first_of_each_task
from streams.evaluation.tiers.answers import (
    AnswerQuality,
    ConfidenceQuality,
    SourceShare,
    answer_quality,
    by_intent,
    confidence_quality,
    right_by_source,
    sources_of,
)
from streams.evaluation.tiers.attempts import TierAttempt, TieredEvent
from streams.evaluation.tiers.estimates import Share, share_of, share_of_strata


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalQuality:
    """The worker's refusals by the reasoner's reply to the same event, and the refusals that it missed.

    `needless` is the share of refused tasks that the reasoner answered, of those to which it replied: an upper bound,
    because a stronger model may answer what a worker should refuse. `answered_right` are the reasoner's right answers
    to them by labels, `missed` the accepted answers that are wrong by labels.
    """

    refused: int
    needless: Share
    answered_right: tuple[SourceShare, ...]
    missed: tuple[SourceShare, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonerAgreement:
    """The share of the worker's answers that agree with the reasoner's answer to the same event.

    `escalated` and `accepted` answers are separate; the reasoner was asked about the latter by exploration alone. `all`
    weights each group, and each chance of exploration, by its answers. It covers pipelines that explored, with
    `covered` of the `answers` (both count tasks).
    """

    answers: int
    covered: int
    escalated: Share
    accepted: Share
    all: Share


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSlice:
    """One worker at all events, or at those of one intent."""

    answers: AnswerQuality
    refusals: RefusalQuality
    agreement: ReasonerAgreement


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerQuality:
    """One worker: in all, by intent, and its calibration by source."""

    handler: str
    versions: int
    whole: WorkerSlice
    intents: tuple[WorkerSlice, ...]
    confidence: tuple[ConfidenceQuality, ...]


def worker_qualities(events: Sequence[TieredEvent]) -> tuple[WorkerQuality, ...]:
    """Return the quality of each worker, the one with the most events first."""
    found: dict[str, list[TieredEvent]] = {}
    for one in events:
        if one.worker is not None:
            found.setdefault(one.worker.handler, []).append(one)
    ordered = sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))
    return tuple(_worker(name, some) for name, some in ordered)


def _worker(name: str, events: Sequence[TieredEvent]) -> WorkerQuality:
    attempts = workers_of(events)
    by_id = {id(one.worker): one for one in events}
    return WorkerQuality(
        handler=name,
        versions=len({one.handler_version for one in attempts}),
        whole=_slice("", events),
        intents=tuple(_slice(intent, [by_id[id(one)] for one in some]) for intent, some in by_intent(attempts)),
        confidence=confidence_quality(attempts),
    )


def workers_of(events: Iterable[TieredEvent]) -> list[TierAttempt]:
    return [one.worker for one in events if one.worker is not None]


def _slice(name: str, events: Sequence[TieredEvent]) -> WorkerSlice:
    return WorkerSlice(
        answers=answer_quality(name, workers_of(events)), refusals=_refusals(events), agreement=_agreement(events)
    )


def _refusals(events: Sequence[TieredEvent]) -> RefusalQuality:
    refused = first_tasks(events, lambda one: one.attempt.status == "refused")
    replied = [one.reasoner for one in refused if one.reasoner is not None]
    replied = [one for one in replied if one.attempt.status in ("answered", "refused")]
    delivered = [one for one in workers_of(events) if one.delivered]
    return RefusalQuality(
        refused=len(refused),
        needless=share_of(one.attempt.status == "answered" for one in replied),
        answered_right=right_by_source(replied),
        missed=tuple(
            SourceShare(source, share_of(not one.right[source] for one in first_of_each_task(known)))
            for source in sources_of(delivered)
            for known in [[one for one in delivered if source in one.right]]
        ),
    )


def first_tasks(events: Sequence[TieredEvent], wanted: Callable[[TierAttempt], bool]) -> list[TieredEvent]:
    """Return of each of the worker's tasks the oldest event, among those whose attempt is wanted."""
    firsts = {id(one) for one in first_of_each_task([one for one in workers_of(events) if wanted(one)])}
    return [one for one in events if one.worker is not None and id(one.worker) in firsts]


Strata = Mapping[tuple[bool, float], Sequence[TieredEvent]]
"""By whether the worker's answer was delivered, and by the chance that the reasoner was asked."""


def strata_of(events: Sequence[TieredEvent]) -> Strata:
    """Divide the worker's answers, one a task, by the chance with which the reasoner was asked about them."""
    found: dict[tuple[bool, float], list[TieredEvent]] = {}
    for one in first_tasks(events, lambda attempt: attempt.attempt.status == "answered"):
        if one.worker is not None and one.worker.chance:
            found.setdefault((one.worker.delivered, one.worker.chance), []).append(one)
    return found


def of_exploring_pipelines(events: Sequence[TieredEvent]) -> list[TieredEvent]:
    """Return the events of the pipelines that asked the reasoner about a share of the accepted answers."""
    workers = workers_of(events)
    exploring = {one.pipeline for one in workers if one.delivered and one.chance}
    return [one for one in events if one.worker is not None and one.worker.pipeline in exploring]


def _agreement(events: Sequence[TieredEvent]) -> ReasonerAgreement:
    groups = [(key[0], len(some), _agreeing(some)) for key, some in strata_of(events).items()]
    accepted = share_of_strata([(size, one) for delivered, size, one in groups if delivered])
    covering = strata_of(of_exploring_pipelines(events)).values() if accepted.n else []
    every = [(len(some), _agreeing(some)) for some in covering]
    return ReasonerAgreement(
        answers=len(first_tasks(events, lambda one: one.attempt.status == "answered")),
        covered=sum(size for size, one in every if one.n),
        escalated=share_of_strata([(size, one) for delivered, size, one in groups if not delivered]),
        accepted=accepted,
        all=share_of_strata(every),
    )


def _agreeing(events: Sequence[TieredEvent]) -> Share:
    return share_of(one.agrees for one in events if one.agrees is not None)
