"""Compare two runs on the same events: the changes, the cost, and which is better by the labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from streams.audit.query import Audit
from streams.evaluation.compare.audit_reader import HandlerCalls, Overlap, Runs, read_calls, read_overlap, read_pairs
from streams.evaluation.compare.comparison import ENOUGH, CompareSettings, Floats, RunComparison, RunSummary, Slice
from streams.evaluation.compare.conclusion import conclude, percent
from streams.evaluation.compare.diff import CHANGES, judge
from streams.evaluation.compare.paired_statistics import CERTAINTY, mean_difference, wilson
from streams.evaluation.compare.preference import Accuracy, CostComparison
from streams.evaluation.compare.tally import ENDINGS, LabelTally, SideTally, Tally
from streams.evaluation.panel_labels import PanelLabels

QUANTILES = (0.5, 0.95, 0.99)


def compare(audit: Audit, runs: Runs, ask: CompareSettings) -> RunComparison:
    """Compare two runs. Raises ConfigError if there is nothing to compare."""
    overlap = read_overlap(audit, runs)
    counted = Tally(ask.examples)
    judged = ask.verdicts.by_event() if ask.verdicts is not None else {}
    for pair in read_pairs(audit, runs, overlap.both):
        own = pair if ask.verdicts is None else replace(pair, label=None, judged=judged.get(pair.event_id, ()))
        counted.add(judge(own, ask.rules, ask.markers))
    return summed_up(counted, overlap, read_calls(audit, runs), states(audit, runs), runs, ask)


def states(audit: Audit, runs: Runs) -> dict[str, str]:
    sql = "SELECT run, state FROM runs WHERE run IN ({a:String}, {b:String})"
    return {row[0]: row[1] for row in audit.query(sql, {"a": runs.a, "b": runs.b}).rows}


def summed_up(
    counted: Tally,
    overlap: Overlap,
    calls: list[HandlerCalls],
    state: Mapping[str, str],
    runs: Runs,
    ask: CompareSettings,
) -> RunComparison:
    answers, intents = _accuracy("answer", counted.answers), _accuracy("intent", counted.intents)
    spending = _spending(counted)
    *times, timed = _known(counted.a.seconds, counted.b.seconds, counted.tasks)
    a = _side(runs.a, counted.a, calls, state)
    b = _side(runs.b, counted.b, calls, state)
    judged_by = intents if intents.labelled.n and not answers.labelled.n else answers
    return RunComparison(
        conclusion=conclude(judged_by, spending, ask.margin),
        cautions=(
            *_cautions(overlap, (a, b), judged_by, _without_rule(counted, ask)),
            *_on_labels(counted, ask.verdicts),
        ),
        margin=ask.margin,
        rules=ask.rules_of,
        overlap=overlap,
        a=a,
        b=b,
        flipped=counted.flipped,
        changes={name: counted.changes[name] for name in CHANGES},
        agreement=_slice("", counted.agreeing, counted.events, len(set(counted.tasks)), CERTAINTY),
        by_intent=_slices(counted.by_intent, counted.tasks_by_intent),
        by_handler=_slices(counted.by_handler, counted.tasks_by_handler),
        answers=answers,
        intents=intents,
        spending=spending,
        timed=len(times[0]),
        seconds=mean_difference(times[0], times[1], groups=timed),
        times=(times[0], times[1]),
        calls=tuple(calls),
        flips=tuple(counted.flips()),
        to_label=tuple(counted.to_label()),
    )


def _accuracy(aspect: str, truth: LabelTally) -> Accuracy:
    return Accuracy(aspect=aspect, events=truth.events, differing=truth.differing, alike=truth.alike, apart=truth.apart)


def _spending(counted: Tally) -> CostComparison:
    a, b, tasks = _known(counted.a.usd, counted.b.usd, counted.tasks)
    mean_a, mean_b = (float(one.mean()) if len(one) else 0.0 for one in (a, b))
    return CostComparison(events=counted.events, known=len(a), mean_a=mean_a, mean_b=mean_b,
                    difference=mean_difference(a, b, groups=tasks))  # fmt: skip


def _known(a: Iterable[float], b: Iterable[float], tasks: Iterable[int]) -> tuple[Floats, Floats, NDArray[np.uint64]]:
    """Return the values known in both runs, and the task of each."""
    one, other = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    both = ~(np.isnan(one) | np.isnan(other))
    return one[both], other[both], np.asarray(tasks, dtype=np.uint64)[both]


def _side(run: str, counted: SideTally, calls: list[HandlerCalls], state: Mapping[str, str]) -> RunSummary:
    usd, seconds = (np.asarray(values, dtype=np.float64) for values in (counted.usd, counted.seconds))
    timed, own = seconds[~np.isnan(seconds)], [one for one in calls if one.run == run]
    priced = [one.usd for one in own if one.usd is not None]
    known = usd[~np.isnan(usd)]
    return RunSummary(
        run=run,
        state=state.get(run),
        endings={name: counted.endings[name] for name in ENDINGS},
        escalations=dict(counted.escalations.most_common()),
        refusals=dict(counted.refusals.most_common()),
        paid=sum(one.paid for one in own),
        cached=sum(one.cached for one in own),
        reused=sum(one.reused for one in own),
        usd=sum(priced, Decimal(0)) if priced or not own else None,
        unpriced_calls=sum(one.unpriced for one in own),
        events_of_unknown_cost=len(usd) - len(known),
        usd_mean=float(known.mean()) if len(known) else None,
        seconds_mean=float(timed.mean()) if len(timed) else None,
        seconds=dict(zip(QUANTILES, np.quantile(timed, QUANTILES).tolist(), strict=True)) if len(timed) else {},
        events_of_unknown_time=len(seconds) - len(timed),
    )


def _slices(counted: Counter[tuple[str, bool]], tasks: Counter[str]) -> tuple[Slice, ...]:
    """Return the slices, the largest first. Their intervals hold simultaneously (Bonferroni)."""
    names = {name for name, _ in counted}
    sizes = {name: counted[name, True] + counted[name, False] for name in names}
    certainty = 1 - (1 - CERTAINTY) / max(1, sum(tasks[name] >= ENOUGH for name in names))
    ordered = sorted(names, key=lambda name: (-sizes[name], name))
    return tuple(_slice(name, counted[name, True], sizes[name], tasks[name], certainty) for name in ordered)


def _slice(name: str, agreeing: int, events: int, tasks: int, certainty: float) -> Slice:
    """Return the share of agreeing events, with an interval by the number of different tasks."""
    low, high = wilson(agreeing / events * tasks, tasks, certainty) if tasks >= ENOUGH else (None, None)
    return Slice(name=name, events=events, agreeing=agreeing, low=low, high=high)


def _without_rule(counted: Tally, ask: CompareSettings) -> list[str]:
    """Return the handlers without a rule for comparing answers; none if no pipeline file was given."""
    if ask.rules_of is None:
        return []
    return sorted({name for tier, name in counted.handlers if (tier, name) not in ask.rules})


def _on_labels(counted: Tally, verdicts: PanelLabels | None) -> Iterator[str]:
    """Yield the source of truth unless it is labels, and a caution for each kind of answers without a truth."""
    if verdicts is not None:
        yield (
            f"An answer counts as labelled if people judged it in {', '.join(verdicts.panels)}: {verdicts.used:,} of "
            f"{verdicts.judged:,} judged cases, thinned so that each task had the same chance."
        )
    if verdicts is not None and counted.answers.not_graded:
        yield (
            f"{counted.answers.not_graded:,} judged events count as neither right nor wrong, because the panel did not "
            "judge the answer of both runs. Judge both with: escalon panel new NAME --run A,B."
        )
    elif counted.answers.not_graded:
        yield (
            f"{counted.answers.not_graded:,} labelled events count as neither right nor wrong: redaction hid a part of "
            "the answer or of the label, or the label cannot be an answer of the handler."
        )
    if counted.hidden:
        yield (
            f"Redaction hid a part of the answers to {counted.hidden:,} events; answers that differ only there look "
            "equal."
        )


def _cautions(
    overlap: Overlap, sides: tuple[RunSummary, RunSummary], accuracy: Accuracy, unruled: list[str]
) -> Iterator[str]:
    """Yield what limits the conclusion."""
    alone = overlap.only_a + overlap.only_b
    if alone:
        share = percent(alone / (alone + overlap.both))
        some = ", ".join((*overlap.ids_only_a[:2], *overlap.ids_only_b[:2]))
        yield (
            f"Outcomes in A alone: {overlap.only_a:,}, in B alone: {overlap.only_b:,} ({share} of all events); "
            f"they are left out: {some}{' …' if alone > 4 else ''}"
        )
    for name, side in zip("AB", sides, strict=True):
        if side.state in ("running", "stopped"):
            yield f"{name} ({side.run}) is {side.state}, so some of its events are missing."
        if side.events_of_unknown_cost:
            yield f"The cost of {side.events_of_unknown_cost:,} events in {name} is unknown, so no mean includes them."
    if not accuracy.labelled.n:
        yield "No event is labelled, so accuracy is unknown: agreement, even with a reasoner's answer, is not accuracy."
    elif accuracy.shares is None:
        which = "equal" if accuracy.apart.n == 0 else "different"
        yield (
            f"Only events with {which} {accuracy.aspect}s are labelled, so the shares right are those of labelled "
            "events, not of all events."
        )
    if unruled:
        yield f"Answers of {', '.join(unruled[:10])} were compared as JSON: the pipeline file has no rule for them."
