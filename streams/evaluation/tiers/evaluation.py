"""Evaluate the tiers of one run, each by every source of truth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from streams.audit.query import Audit
from streams.core.errors import ConfigError
from streams.core.messages import Tier
from streams.evaluation.tiers.answers import sources_of
from streams.evaluation.tiers.attempts import Agrees, TierAttempt, TierAttempts, not_graded, read_attempts
from streams.evaluation.tiers.heard import HeardTotals, read_heard, read_listeners, read_totals
from streams.evaluation.tiers.listeners import ListenerTier, listener_tier
from streams.evaluation.tiers.panel_figures import PanelFigures, VerdictCount, read_other_verdicts
from streams.evaluation.tiers.reasoners import (
    ReasonerGain,
    ReasonerQuality,
    reasoner_gains,
    reasoner_qualities,
    reasoners_of,
)
from streams.evaluation.tiers.sources import SourceAccuracy, SourceConflict, source_accuracies, source_conflicts
from streams.evaluation.tiers.truth import AnswerValues, EvaluatedPart, read_event_labels
from streams.evaluation.tiers.workers import WorkerQuality, worker_qualities, workers_of
from streams.pipeline.load import Pipeline

WATCHES: Final[Literal["image-duplicate"]] = "image-duplicate"
"""The kind of listener that looks for duplicates."""
TIERS: Final[tuple[Tier, ...]] = ("listener", "worker", "reasoner")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonerTier:
    """Tier 3, with the figures of the panels that judged the run."""

    reasoners: tuple[ReasonerQuality, ...]
    gains: tuple[ReasonerGain, ...]
    panels: PanelFigures
    other_verdicts: tuple[VerdictCount, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TierEvaluation:
    """The evaluation of one run. A tier that was not asked for is None."""

    run: str
    pipeline: str
    since: datetime
    until: datetime
    totals: HeardTotals
    cautions: tuple[str, ...]
    listener: ListenerTier | None
    workers: tuple[WorkerQuality, ...] | None
    reasoner: ReasonerTier | None
    accuracies: tuple[SourceAccuracy, ...]
    conflicts: tuple[SourceConflict, ...]


def evaluate_tiers(
    audit: Audit,
    pipeline: Pipeline,
    agrees: Agrees,
    part: EvaluatedPart,
    tiers: tuple[Tier, ...] = TIERS,
    panels: PanelFigures = PanelFigures(),  # noqa: B008 - it is frozen
) -> TierEvaluation:
    """Evaluate some tiers. `agrees` compares each handler's answers.

    Raises ConfigError if the part has no event, or more than can be evaluated at once.
    """
    watchers = [name for name, one in pipeline.spec.listeners.items() if one.kind == WATCHES]
    totals = read_totals(audit, part, watchers)
    if not totals.events:
        raise _empty(audit, part.run)
    tier1 = _listener(audit, part, totals) if "listener" in tiers else None
    answering = [tier for tier in tiers if tier != "listener"]
    found = _attempts(audit, pipeline, agrees, part, panels) if answering else TierAttempts(events=(), unknown={})
    wanted = [one for one in _all(found) if one.tier in answering]
    return TierEvaluation(
        run=part.run,
        pipeline=pipeline.spec.name,
        since=part.since,
        until=part.until,
        totals=totals,
        cautions=tuple(_cautions(tier1, found, wanted)),
        listener=tier1,
        workers=worker_qualities(found.events) if "worker" in tiers else None,
        reasoner=_reasoner(audit, part, found, panels) if "reasoner" in tiers else None,
        accuracies=source_accuracies(tier1, wanted, [one for one in panels.rates if one.tier in answering]),
        conflicts=source_conflicts(wanted),
    )


def _listener(audit: Audit, part: EvaluatedPart, totals: HeardTotals) -> ListenerTier:
    labels = read_event_labels(audit, part, "intent")
    return listener_tier(totals, read_listeners(audit, part), read_heard(audit, part), labels)


def _attempts(
    audit: Audit, pipeline: Pipeline, agrees: Agrees, part: EvaluatedPart, panels: PanelFigures
) -> TierAttempts:
    labels = read_event_labels(audit, part, "answer")
    return read_attempts(audit, pipeline, agrees, part, labels, AnswerValues.of(panels.answers))


def _all(found: TierAttempts) -> list[TierAttempt]:
    return [*workers_of(found.events), *reasoners_of(found.events)]


def _reasoner(audit: Audit, part: EvaluatedPart, found: TierAttempts, panels: PanelFigures) -> ReasonerTier:
    return ReasonerTier(
        reasoners=reasoner_qualities(reasoners_of(found.events)),
        gains=reasoner_gains(found.events),
        panels=panels,
        other_verdicts=read_other_verdicts(audit, part),
    )


def _empty(audit: Audit, run: str) -> ConfigError:
    known = [row[0] for row in audit.query("SELECT run FROM verdicts_rows GROUP BY run ORDER BY run LIMIT 20").rows]
    if not known:
        return ConfigError("the audit has no event.", "Run `escalon demo`, or publish events to `escalon up`.", "run")
    if run in known:
        return ConfigError(
            f"no event of the run {run!r} lies in this time.", "Choose another --since or --until.", "since"
        )
    return ConfigError(f"the audit has no event of a run {run!r}.", f"Use one of: {', '.join(known)}.", "run")


def _cautions(tier1: ListenerTier | None, found: TierAttempts, wanted: list[TierAttempt]) -> Iterator[str]:
    labelled = any(one.right for one in wanted)
    if wanted and not labelled:
        yield (
            "No answer has a label or a judgement, so nothing says which are right. Publish labels with "
            "`escalon label`, or let people judge with `escalon panel new`."
        )
    if tier1 is not None and not tier1.truths:
        yield (
            "No event has a label of its intent, so nothing says which intents are right. Publish labels with the "
            "aspect `intent` (docs/messages.md)."
        )
    if sources_of(wanted) or (tier1 is not None and tier1.truths):
        yield (
            "Shares by labels are those of the labelled tasks. They hold for all tasks only if the labelled events "
            "were chosen independently of their answers."
        )
    yield from _versions(wanted)
    yield from _unknown(found.unknown)
    yield from not_graded(wanted)


def _versions(attempts: list[TierAttempt]) -> Iterator[str]:
    versions: dict[str, set[str]] = {}
    for one in attempts:
        versions.setdefault(f"{one.tier} {one.handler}", set()).add(one.handler_version)
    for name, some in sorted(versions.items()):
        if len(some) > 1:
            yield f"The figures of {name} are those of {len(some)} versions; --since can leave out the earlier ones."


def _unknown(unknown: Mapping[tuple[str, str], int]) -> Iterator[str]:
    if unknown:
        names = ", ".join(f"{tier} {handler} ({count:,})" for (tier, handler), count in sorted(unknown.items())[:5])
        yield f"Attempts of handlers that the pipeline file does not name are left out: {names}."
