"""Answers that exist already: from the store, or from an identical task's call in flight.

An answer is stored under the version of the model that gave it, so a fallback's answer is never taken for the
handler's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from streams.calling.caller import Callee, CallWrapper
from streams.calling.record import CallRecords
from streams.calling.request import CallOutcome, CallRequest, OutOfBudget
from streams.core.fingerprint import digest
from streams.core.messages import StoredAnswer
from streams.pipeline.handlers import Handler

REUSABLE = ("answered", "refused")
"""Statuses of an attempt that may serve other events; an event with the task of one that broke is asked again."""
InFlight = dict[str, asyncio.Future[StoredAnswer]]
"""Tasks being asked right now, by the key of their answer; at most as many as a tier handles at once."""


class AnswerStore(Protocol):
    """Answers by the key of their task."""

    def get(self, fingerprint: str) -> StoredAnswer | None:
        """Return what is stored, however old."""
        ...

    def put(self, fingerprint: str, answer: StoredAnswer) -> None:
        """Store an answer; the next `get` must return it."""
        ...


class KnownAnswers(Protocol):
    """The rules by which an existing answer serves a request. The live tiers and a replay have different ones."""

    def covers(self, callee: Callee) -> bool:
        """True if answers of a callee are kept at all."""
        ...

    def find(self, request: CallRequest, callee: Callee, fallback: Callee | None = None) -> CallOutcome | None:
        """Return the answer that the callee, or about this very event its fallback, has given; None to ask again."""
        ...

    def serve(self, stored: StoredAnswer, request: CallRequest, callee: Callee) -> CallOutcome | None:
        """Return an answer as one to this request; None if it may not serve it."""
        ...

    def keep(self, outcome: CallOutcome, request: CallRequest, callee: Callee) -> None:
        """Store an answer that was made now."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Cached(CallWrapper):
    """Serves a request from the store where it can, without any budget, and stores new answers."""

    answers: KnownAnswers
    fallback: Callee | None = None
    """The callee whose answer to this very event counts as the handler's."""

    async def call(self, request: CallRequest) -> CallOutcome | OutOfBudget:
        """Return the stored answer, or make one and store it. A failure is not stored."""
        known = self.answers.find(request, self.callee, self.fallback)
        if known is not None and not (_is_paid(request) and known.calls[-1].cache_hit):
            return known
        outcome = await self.caller.call(request)
        if isinstance(outcome, CallOutcome) and not outcome.shared and outcome.attempt.status != "failed":
            self.answers.keep(outcome, request, self.callee)
        return outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Coalesced(CallWrapper):
    """Single flight: identical tasks that arrive while one is being asked wait for its answer."""

    answers: KnownAnswers
    in_flight: InFlight
    now: Callable[[], datetime]

    async def call(self, request: CallRequest) -> CallOutcome | OutOfBudget:
        """Return the answer of the call in flight where it may serve, else call.

        Where a call was cut off, the first that waited calls and the others wait for that.
        """
        key = key_of(request.fingerprint, request, self.callee.handler)
        while (flight := self.in_flight.get(key)) is not None and not _is_paid(request):
            await asyncio.wait([flight])
            if not flight.cancelled():
                served = self.answers.serve(flight.result(), request, self.callee)
                if served is not None:
                    return CallOutcome(attempt=served.attempt, calls=served.calls, shared=True)
                break
        return await self._call(key, request)

    async def _call(self, key: str, request: CallRequest) -> CallOutcome | OutOfBudget:
        flight: asyncio.Future[StoredAnswer] = asyncio.get_running_loop().create_future()
        mine = self.in_flight.setdefault(key, flight) is flight
        try:
            outcome = await self.caller.call(request)
            if isinstance(outcome, CallOutcome):  # before it is stored: if that fails, no other event pays for it again
                flight.set_result(as_stored(outcome, self.now()))
            return outcome
        finally:
            flight.cancel()  # without effect once it has a result
            if mine:
                del self.in_flight[key]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnswers:
    """The live rules: an event's own answer as it was, and another event's while it is fresh. Is a KnownAnswers."""

    store: AnswerStore
    records: CallRecords

    def covers(self, callee: Callee) -> bool:
        """True unless the pipeline file turns the cache off."""
        return callee.handler.spec.cache != "off"

    def find(self, request: CallRequest, callee: Callee, fallback: Callee | None = None) -> CallOutcome | None:
        """Return the stored answer; the fallback's only if this very event was given it."""
        answer = self.store.get(key_of(request.fingerprint, request, callee.handler))
        served = None if answer is None else self.serve(answer, request, callee)
        if served is not None or fallback is None:
            return served
        answer = self.store.get(key_of(request.to(fallback.handler).fingerprint, request, fallback.handler))
        return _unchanged(answer) if answer is not None and same_event(answer, request, fallback) else None

    def serve(self, stored: StoredAnswer, request: CallRequest, callee: Callee) -> CallOutcome | None:
        """Return this event's own answer unchanged, and another event's as a cache hit."""
        if same_event(stored, request, callee):
            return _unchanged(stored)
        if serves_others(stored, callee, self.records.now() - stored.stored_at):
            return self.records.hit(stored, request, callee.handler)
        return None

    def keep(self, outcome: CallOutcome, request: CallRequest, callee: Callee) -> None:
        """Store the answer under the version of the model that gave it."""
        key = key_of(outcome.calls[-1].fingerprint, request, callee.handler)
        self.store.put(key, as_stored(outcome, self.records.now()))


def key_of(fingerprint: str, request: CallRequest, handler: Handler) -> str:
    """Return the key of an answer: one for all identical tasks, or one for this event alone."""
    if handler.spec.cache == "shared":
        return fingerprint
    return digest(fingerprint, request.origin.run, request.origin.event_id)


def serves_others(stored: StoredAnswer, callee: Callee, age: timedelta) -> bool:
    """True if an answer may serve other events than its own."""
    spec = callee.handler.spec
    return spec.cache == "shared" and stored.attempt.status in REUSABLE and age < timedelta(seconds=spec.cache_ttl)


def same_event(stored: StoredAnswer, request: CallRequest, callee: Callee) -> bool:
    """True if an answer was given to this handler about this very event of this run."""
    first, origin = stored.calls[-1], request.origin
    asked = (origin.run, origin.event_id, callee.handler.name)
    return (first.origin.run, first.origin.event_id, first.handler) == asked


def _is_paid(request: CallRequest) -> bool:
    """True if a batch has answered it: that call is audited, so another event's answer does not take its place."""
    return request.batched is not None and request.batched.end == "answered"


def as_stored(outcome: CallOutcome, at: datetime) -> StoredAnswer:
    """Return an outcome as it is stored."""
    return StoredAnswer(attempt=outcome.attempt, calls=outcome.calls, stored_at=at)


def _unchanged(answer: StoredAnswer) -> CallOutcome:
    return CallOutcome(attempt=answer.attempt, calls=answer.calls)
