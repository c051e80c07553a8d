"""A router from prior cases: who answered which events well, and whether routing by that would have been better.

The comparison is made on cases the router has not seen, with what is known of them: the worker's own result, and the
reasoner's where it was asked. Where it was not, its answer counts as right as often as it was elsewhere.
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
from streams.evaluation.cases import Case, set_aside
from streams.models.router import Router, worth
from streams.models.verifier import Example, Verifier
from streams.models.verifier_training import train_verifier

TRAINED_SHARE = 0.7
"""Of the cases; the others are held out."""
FEWEST_HELD_OUT = 30
ALLOWED_LOSS = 0.005
"""Of quality against the table, in return for its saving."""
_SHARES = np.arange(0.0, 1.0, 0.02)
"""Shares sent past the workers that are tried."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How a way of routing did on the held-out cases: the share answered well, and US dollars an event."""

    name: str
    quality: float
    usd: float
    reasoner_share: float


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A router and the comparison it was admitted, or not admitted, by."""

    router: Router
    policies: tuple[Policy, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _HeldOut:
    """Held-out cases as arrays (n,)."""

    good: NDArray[np.bool_]
    passed_on: NDArray[np.bool_]
    reasoner: NDArray[np.float64]
    """The chance that the reasoner's answer is right."""
    worker_usd: NDArray[np.float64]
    reasoner_usd: float


def answered_well(case: Case) -> bool:
    """Whether a worker answered an event well, as far as anything is known: by the label, by the reasoner, else by
    having been accepted without objection."""
    if case.correct is not None:
        return case.correct
    if case.agrees is not None:
        return case.agrees
    return case.accepted


def reasoner_outcomes(cases: Sequence[Case]) -> list[bool] | None:
    """Whether the reasoner was right on each case; None unless that is known of all."""
    known = [case.reasoner_correct for case in cases if case.reasoner_correct is not None]
    return known if len(known) == len(cases) else None


def train_router(
    cases: Sequence[Case], nothing: Sequence[Example], reasoner: str, *, date: str, seed: int = 0
) -> Trained:
    """Train on a part of the cases and compare on the rest. `nothing` are events that needed no handler.

    Raises ConfigError when there are too few cases to train on or to compare on.
    """
    learnt, held_out = set_aside(cases, "router", TRAINED_SHARE)
    if len(held_out) < FEWEST_HELD_OUT:
        what = f"{len(cases)} prior cases are too few: {len(held_out)} would be held out, {FEWEST_HELD_OUT} are needed."
        raise ConfigError(what, "Let the pipeline run longer, or take an earlier --since.", "cases")
    workers = sorted({one.handler for one in learnt})
    verifiers = {f"workers.{name}": _of_worker(name, learnt, date, seed) for name in workers}
    if len(nothing) >= FEWEST_HELD_OUT:
        examples = [*nothing, *map(_example, learnt)]
        truth = [True] * len(nothing) + [False] * len(learnt)
        verifiers[NONE] = train_verifier(examples, truth, seed=seed, date=date)
    router = Router(verifiers, reasoner, 0.5, admitted=False, comparison={}, date=date)
    return _compared(router, held_out)


def _of_worker(name: str, learnt: Sequence[Case], date: str, seed: int) -> Verifier:
    own = [case for case in learnt if case.handler == name]
    try:
        good, thought = list(map(answered_well, own)), reasoner_outcomes(own)
        return train_verifier(list(map(_example, own)), good, thought, seed=seed, date=date)
    except ConfigError as error:
        raise ConfigError(f"of the worker {name}: {error.what}", error.remedy, "cases") from error


def _example(case: Case) -> Example:
    return Example(text=case.whole.text, data=case.whole.data, answer=None)


def _compared(router: Router, cases: Sequence[Case]) -> Trained:
    held_out = _held_out(cases)
    own = np.array([_own_score(router, one) for one in cases])
    table = _policy("table", held_out, np.ones(len(cases), dtype=bool))
    thresholds = np.quantile(own, _SHARES)
    tried = [(float(value), _policy("router", held_out, own >= value)) for value in thresholds]
    good = [(value, one) for value, one in tried if one.quality >= table.quality - ALLOWED_LOSS]
    threshold, best = min(good or tried, key=lambda one: (one[1].usd, -one[1].quality))
    policies = (
        table,
        best,
        Policy("always worker", float(held_out.good.mean()), float(held_out.worker_usd.mean()), 0.0),
        Policy("always reasoner", float(held_out.reasoner.mean()), held_out.reasoner_usd, 1.0),
    )
    admitted = bool(good) and (best.usd, -best.quality) < (table.usd, -table.quality)
    figures: Mapping[str, Any] = {"held_out": len(cases), "policies": [asdict(one) for one in policies]}
    return Trained(replace(router, threshold=threshold, admitted=admitted, comparison=figures), policies)


def _own_score(router: Router, case: Case) -> float:
    """The score of the worker that the table chose."""
    target = f"workers.{case.handler}"
    return float(worth(target, router.verifiers[target], [_example(case)])[0])


def _policy(name: str, cases: _HeldOut, to_worker: NDArray[np.bool_]) -> Policy:
    """Events that go to the worker fare as they did: accepted, or passed on to the reasoner and paid twice."""
    at_reasoner = ~to_worker | cases.passed_on
    quality = np.where(at_reasoner, cases.reasoner, cases.good)
    usd = np.where(to_worker, cases.worker_usd, 0.0) + np.where(at_reasoner, cases.reasoner_usd, 0.0)
    return Policy(name, float(quality.mean()), float(usd.mean()), float(at_reasoner.mean()))


def _held_out(cases: Sequence[Case]) -> _HeldOut:
    known = [one.reasoner_correct for one in cases if one.reasoner_correct is not None]
    usual = float(np.mean(known)) if known else 1.0
    right = [usual if one.reasoner_correct is None else float(one.reasoner_correct) for one in cases]
    return _HeldOut(
        good=np.array([answered_well(one) for one in cases]),
        passed_on=np.array([not one.accepted for one in cases]),
        reasoner=np.array(right),
        worker_usd=np.array([float(one.cost_usd or Decimal(0)) for one in cases]),
        reasoner_usd=_mean([one.reasoner_cost_usd for one in cases]),
    )


def _mean(amounts: Sequence[Decimal | None]) -> float:
    known = [float(amount) for amount in amounts if amount]
    if not known:
        what = "no call of the reasoner has a known price, so nothing can be compared."
        raise ConfigError(what, "Set priced_as on its model, and let some events reach it.", "cases")
    return float(np.mean(known))
