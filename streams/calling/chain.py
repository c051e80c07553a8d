"""The chain of wrappers around a call. Only this module knows their order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

from streams.calling.batched import ForBatch, FromBatch
from streams.calling.budgeted import Budget, Budgeted
from streams.calling.cached import Cached, Coalesced, InFlight, KnownAnswers
from streams.calling.caller import Backend, Caller
from streams.calling.fallback import Fallback
from streams.calling.limited import Bounded, Limited, ModelLimits
from streams.calling.prompted import PromptedModel
from streams.calling.record import Audited, CallRecords
from streams.calling.retried import Retried
from streams.calling.self_consistent import SelfConsistent
from streams.core.answer_comparison import Agree, Comparison

EXACT = Comparison()
Layer = Callable[[Caller], Caller]
"""Puts a wrapper around a caller."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallServices:
    """The parts that all calls of a tier share. A replay has its own rules for stored answers, and counts calls."""

    answers: KnownAnswers
    records: CallRecords
    sleep: Callable[[float], Awaitable[None]]
    jitter: Callable[[], float]
    """A random number from 0 to 1."""
    budget: Budget | None = None
    """None: the tier has none."""
    watch: Layer | None = None
    """A further wrapper around each call that may cost something."""
    in_flight: InFlight = field(default_factory=dict)
    batches: bool = False
    """True if calls may wait for a batch."""
    in_batch: Callable[[PromptedModel], Layer | None] | None = None
    """Returns the wrapper in which a model's calls wait for a batch, as a replay's do; a fallback's do not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitedBackend:
    """A backend, and what limits its calls in this process."""

    backend: Backend
    limits: ModelLimits | None = None
    """None for plain code."""
    slots: tuple[asyncio.Semaphore, ...] = ()
    """Of the handler, then of its model."""


def chain(
    to: LimitedBackend,
    services: CallServices,
    *,
    samples: int = 1,
    agree: Agree = EXACT,
    other: Caller | None = None,
    stored: bool = True,
) -> Caller:
    """Return the caller of a handler: the wrappers from the outermost to the innermost, then the backend.

    `other` is its fallback, whose own chain is not `stored`: its answers are stored with the handler's.
    """
    callee, records, answers, budget = to.backend.callee, services.records, services.answers, services.budget
    stored, paid = stored and answers.covers(callee), not callee.free
    known, in_batch = answers if callee.handler.spec.cache != "off" else None, services.in_batch
    budgeted = partial(Budgeted, budget=budget, records=records, size=to.backend.size) if budget is not None else None
    model = to.backend if isinstance(to.backend, PromptedModel) else None
    return _wrapped(
        partial(SelfConsistent, samples=samples, agree=agree, records=records) if samples > 1 else None,
        partial(Cached, answers=answers, fallback=other.callee if other else None) if stored else None,
        partial(Coalesced, answers=answers, in_flight=services.in_flight, now=records.now) if stored else None,
        partial(ForBatch, budget=budget, now=records.now) if services.batches and callee.handler.batch else None,
        in_batch(model) if in_batch and model and stored else None,
        partial(Fallback, other=other, answers=known) if other else None,
        partial(
            Retried,
            limits=to.limits,
            has_fallback=other is not None,
            now=records.now,
            sleep=services.sleep,
            jitter=services.jitter,
        ),
        partial(FromBatch, model=model, records=records, budgeted=budgeted) if model and waits(to, services) else None,
        partial(Bounded, slots=to.slots) if to.slots else None,
        partial(Limited, limits=to.limits, records=records, size=to.backend.size) if to.limits else None,
        budgeted if paid else None,
        services.watch if paid else None,
        around=Audited(to.backend, records),
    )


def waits(to: LimitedBackend, services: CallServices) -> bool:
    """True if a batch may have answered a model's call."""
    return to.backend.callee.handler.waits or services.in_batch is not None


def _wrapped(*layers: Layer | None, around: Caller) -> Caller:
    for layer in reversed(layers):
        around = around if layer is None else layer(around)
    return around
