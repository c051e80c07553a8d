"""Train a router on prior cases, and test whether it would have routed better than the table.

The comparison uses held-out cases and their known results: the worker's, and the reasoner's if it was asked. If it was
not, its answer counts as right as often as on the other cases. One part of these cases chooses the threshold and the
rest judges it, because the best of many thresholds looks good on the cases that chose it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.core.errors import ConfigError
from streams.core.routing import NONE
from streams.evaluation.cases import Case, first_of_each_task, set_aside
from streams.models.listeners.router import Judge, Router, worth
from streams.models.listeners.text_verifier import train_words
from streams.models.verifier.example import Example
from streams.models.verifier.training import train_verifier

TRAINED_SHARE = 0.7
"""Share of the cases to train on; the others are held out."""
FEWEST_HELD_OUT = 30
ALLOWED_LOSS = 0.005
"""Loss of quality against the table that a router may have in return for its saving."""
_SURE = 1.645
"""Standard errors by which the saving must exceed 0: a one-sided test of paired differences at 5 % (normal)."""
_SHARES = np.arange(0.0, 1.0, 0.02)
"""Shares of events sent past the workers, as candidates."""


@dataclass(frozen=True, slots=True)
class RoutingPolicy:
    """A way of routing, measured on the held-out cases: the share answered well, and US dollars an event."""

    name: str
    quality: float
    usd: float
    reasoner_share: float


@dataclass(frozen=True, slots=True, eq=False)
class TrainedRouter:
    """A router, and the comparison that admitted it or did not."""

    router: Router
    policies: tuple[RoutingPolicy, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _HeldOut:
    """Held-out cases as arrays (n,). `reasoner` is the chance that the reasoner's answer is right."""

    good: NDArray[np.bool_]
    passed_on: NDArray[np.bool_]
    reasoner: NDArray[np.float64]
    worker_usd: NDArray[np.float64]
    reasoner_usd: float


def answered_well(case: Case) -> bool:
    """True if a worker answered an event well: by the label, else by the reasoner, else because it was accepted."""
    if case.correct is not None:
        return case.correct
    if case.agrees is not None:
        return case.agrees
    return case.accepted


def reasoner_outcomes(cases: Sequence[Case]) -> list[bool] | None:
    """Return whether the reasoner was right on each case; None unless that is known for all."""
    known = [case.reasoner_correct for case in cases if case.reasoner_correct is not None]
    return known if len(known) == len(cases) else None


def train_router(
    cases: Sequence[Case], nothing: Sequence[Example], reasoner: str, *, date: str, seed: int = 0
) -> TrainedRouter:
    """Train on a part of the tasks and compare on the rest. `nothing` are events that needed no handler.

    Each task counts once for each worker that had it, because the cache answers repeats at no cost.

    Raises ConfigError if there are too few cases to train on or to compare on.
    """
    met = [one for handler in sorted({one.handler for one in cases}) for one in _tasks(cases, handler)]
    learnt, unseen = set_aside(met, "router", TRAINED_SHARE)
    if len(unseen) < FEWEST_HELD_OUT:
        what = f"{len(met)} prior cases are too few: {len(unseen)} would be held out, {FEWEST_HELD_OUT} are needed."
        raise ConfigError(what, "Let the pipeline run longer, or choose an earlier --since.")
    _check_priced(cases)
    workers = sorted({one.handler for one in cases})
    judges = {f"workers.{name}": _of_worker(name, learnt, date, seed) for name in workers}
    if len(nothing) >= FEWEST_HELD_OUT:
        examples = [*nothing, *map(_example, learnt)]
        truth = [True] * len(nothing) + [False] * len(learnt)
        judges[NONE] = _judge(examples, truth, None, date, seed)
    router = Router(judges, reasoner, 0.5, admitted=False, comparison={}, date=date)
    return _compared(router, unseen)


def _tasks(cases: Sequence[Case], handler: str) -> list[Case]:
    return first_of_each_task([one for one in cases if one.handler == handler])


def _check_priced(cases: Sequence[Case]) -> None:
    """Raise ConfigError unless each worker has a call of known cost. One is enough: a failed call has none either."""
    unknown = {one.handler for one in cases} - {one.handler for one in cases if one.cost_usd is not None}
    if unknown:
        what = f"no call of the worker {min(unknown)} has a known price, so nothing can be compared."
        raise ConfigError(what, "Set priced_as on its model.")


def _of_worker(name: str, learnt: Sequence[Case], date: str, seed: int) -> Judge:
    own = [case for case in learnt if case.handler == name]
    try:
        good, thought = list(map(answered_well, own)), reasoner_outcomes(own)
        return _judge(list(map(_example, own)), good, thought, date, seed)
    except ConfigError as error:
        raise ConfigError(f"of the worker {name}: {error.what}", error.remedy) from error


def _judge(
    examples: Sequence[Example], truth: Sequence[bool], thought: Sequence[bool] | None, date: str, seed: int
) -> Judge:
    """Train a verifier and a judge of words, and return the one with the lower log loss out of fold.

    If the reasoner's outcomes are known, return the verifier, because a judge of words cannot use them.
    """
    verifier = train_verifier(examples, truth, thought, seed=seed, date=date)
    words = None if thought else train_words(examples, truth, seed=seed, date=date)
    if words is not None and words.log_loss() < verifier.provenance.metrics["worker"]["log_loss"]:
        return words
    return verifier


def _example(case: Case) -> Example:
    return Example(text=case.whole.text, data=case.whole.data, answer=None)


def _compared(router: Router, unseen: Sequence[Case]) -> TrainedRouter:
    picking, held_out = set_aside(unseen, "threshold", 0.5)
    router = replace(router, threshold=_threshold(router, picking, unseen))
    found = np.array([router.route(one.whole.text, one.whole.data).label for one in held_out])
    to_worker = found == np.array([f"workers.{one.handler}" for one in held_out])
    # The result of another worker, or of none, is unknown for these events: it counts as a failure at the same cost.
    elsewhere = ~to_worker & (found != router.reasoner)
    cases = _held_out(held_out, unseen)
    cases = replace(cases, good=cases.good & ~elsewhere, passed_on=cases.passed_on & ~elsewhere)
    asked, to_worker = np.ones(len(held_out), dtype=bool), to_worker | elsewhere
    table, routed = _policy("table", _held_out(held_out, unseen), asked), _policy("router", cases, to_worker)
    policies = (
        table,
        routed,
        RoutingPolicy("always worker", float(cases.good.mean()), float(cases.worker_usd.mean()), 0.0),
        RoutingPolicy("always reasoner", float(cases.reasoner.mean()), cases.reasoner_usd, 1.0),
    )
    saved = _usd(_held_out(held_out, unseen), asked) - _usd(cases, to_worker)
    surely = saved.mean() > _SURE * saved.std(ddof=1) / np.sqrt(len(saved))
    admitted = bool(surely) and routed.quality >= table.quality - ALLOWED_LOSS
    figures: Mapping[str, Any] = {"held_out": len(held_out), "policies": [asdict(one) for one in policies]}
    return TrainedRouter(replace(router, admitted=admitted, comparison=figures), policies)


def _threshold(router: Router, picking: Sequence[Case], unseen: Sequence[Case]) -> float:
    """Choose the cheapest threshold that keeps the table's quality; if none does, the cheapest."""
    cases, own = _held_out(picking, unseen), _own_scores(router, picking)
    table = _policy("table", cases, np.ones(len(picking), dtype=bool))
    tried = [(float(value), _policy("router", cases, own >= value)) for value in np.quantile(own, _SHARES)]
    good = [(value, one) for value, one in tried if one.quality >= table.quality - ALLOWED_LOSS]
    return min(good or tried, key=lambda one: (one[1].usd, -one[1].quality))[0]


def _own_scores(router: Router, cases: Sequence[Case]) -> NDArray[np.float64]:
    """Return each case's score for the worker that the table chose, of shape (n,)."""
    targets = [f"workers.{case.handler}" for case in cases]
    pairs = zip(targets, cases, strict=True)
    return np.array([worth(target, router.judges[target], [_example(one)])[0] for target, one in pairs])


def _policy(name: str, cases: _HeldOut, to_worker: NDArray[np.bool_]) -> RoutingPolicy:
    """Measure a policy. Events that go to the worker end as they did: accepted, or passed on to the reasoner."""
    at_reasoner = ~to_worker | cases.passed_on
    quality = np.where(at_reasoner, cases.reasoner, cases.good)
    return RoutingPolicy(name, float(quality.mean()), float(_usd(cases, to_worker).mean()), float(at_reasoner.mean()))


def _usd(cases: _HeldOut, to_worker: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return each case's cost, of shape (n,). A case that the worker passes on is paid twice."""
    at_reasoner = ~to_worker | cases.passed_on
    return np.where(to_worker, cases.worker_usd, 0.0) + np.where(at_reasoner, cases.reasoner_usd, 0.0)


def _held_out(cases: Sequence[Case], unseen: Sequence[Case]) -> _HeldOut:
    """Gather held-out cases. `unseen` gives the reasoner's usual accuracy and cost."""
    known = [one.reasoner_correct for one in unseen if one.reasoner_correct is not None]
    usual = float(np.mean(known)) if known else 1.0
    usual_usd = {name: _known_mean(unseen, name) for name in {one.handler for one in cases}}
    right = [usual if one.reasoner_correct is None else float(one.reasoner_correct) for one in cases]
    return _HeldOut(
        good=np.array([answered_well(one) for one in cases]),
        passed_on=np.array([not one.accepted for one in cases]),
        reasoner=np.array(right),
        worker_usd=np.array([_cost_of(one, usual_usd) for one in cases]),
        reasoner_usd=_mean([one.reasoner_cost_usd for one in unseen]),
    )


def _cost_of(case: Case, usual: Mapping[str, float]) -> float:
    """Return the cost of a worker's call; if unknown, as of a failed call, the worker's mean."""
    return usual[case.handler] if case.cost_usd is None else float(case.cost_usd)


def _known_mean(cases: Sequence[Case], handler: str) -> float:
    known = [float(one.cost_usd) for one in cases if one.handler == handler and one.cost_usd is not None]
    return float(np.mean(known)) if known else 0.0


def _mean(amounts: Sequence[Decimal | None]) -> float:
    known = [float(amount) for amount in amounts if amount]
    if not known:
        what = "no call of the reasoner has a known price, so nothing can be compared."
        raise ConfigError(what, "Set priced_as on its model, and let some events reach it.")
    return float(np.mean(known))
