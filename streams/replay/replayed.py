"""The rules by which a replay takes answers of the run before it, and of itself.

Live, an answer is bought by the first event with its task, and serves others from the store as long as it is fresh. A
replay buys nothing twice, but says of each event which of the two it would have been: a call that would have been paid
again is a reuse, with the price it had, and one that the store would have served is a hit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from streams.calling.cached import REUSABLE, AnswerStore, as_stored, key_of, same_event, serves_others
from streams.calling.caller import Callee
from streams.calling.record import CallRecords
from streams.calling.request import CallOutcome, CallRequest
from streams.core.messages import Origin, StoredAnswer
from streams.pipeline.handlers import Handler


class PriorAnswers(Protocol):
    """The answers of another run: a replay does not repeat a call that did not change."""

    def find(self, fingerprint: str, origin: Origin) -> StoredAnswer | None:
        """Return the answer to a task: this event's own, else that of the event nearest before it, else after it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayedAnswers:
    """A replay's rules: answers serve at any age and under any cache policy. Is a KnownAnswers."""

    store: AnswerStore
    prior: PriorAnswers
    records: CallRecords

    def covers(self, callee: Callee) -> bool:
        """True unless it is plain code whose cache the pipeline file turns off."""
        return callee.handler.spec.cache != "off" or not callee.free

    def find(self, request: CallRequest, callee: Callee, fallback: Callee | None = None) -> CallOutcome | None:
        """Return the answer that this replay, or the run before it, has; first the event's own, which may be its
        fallback's."""
        own = self._stored(request, callee)
        prior = self.prior.find(request.fingerprint, request.origin)
        found = self._of_this_event(own, prior, request, callee)
        if found is None and fallback is not None:
            second = request.to(fallback.handler)
            before = self.prior.find(second.fingerprint, request.origin)
            found = self._of_this_event(self._stored(second, fallback), before, second, fallback)
        for answer in (own, prior):
            if found is None and answer is not None:
                found = self.serve(answer, request, callee)
        return found

    def serve(self, stored: StoredAnswer, request: CallRequest, callee: Callee) -> CallOutcome | None:
        """Return another event's answer as a cache hit or a reuse; None if the stored attempt failed."""
        if stored.attempt.status not in REUSABLE:
            return None
        # The events' own times say if the store would have served it live; the replay's clock does not.
        age = abs(request.origin.event_time - stored.calls[-1].origin.event_time)
        if serves_others(stored, callee, age):
            return self.records.hit(stored, request, callee.handler)
        outcome = self._reuse(stored, request, callee.handler)
        # Live this event would have bought the answer for those that come after it.
        self.keep(outcome, request, callee)
        return outcome

    def keep(self, outcome: CallOutcome, request: CallRequest, callee: Callee) -> None:
        """Store an answer of this replay."""
        key = key_of(outcome.calls[-1].fingerprint, request, callee.handler)
        self.store.put(key, as_stored(outcome, self.records.now()))

    def _stored(self, request: CallRequest, callee: Callee) -> StoredAnswer | None:
        return self.store.get(key_of(request.fingerprint, request, callee.handler))

    def _of_this_event(
        self, own: StoredAnswer | None, prior: StoredAnswer | None, request: CallRequest, callee: Callee
    ) -> CallOutcome | None:
        if own is not None and same_event(own, request, callee):
            return CallOutcome(attempt=own.attempt, calls=own.calls)
        if prior is not None and prior.calls[-1].origin.event_id == request.origin.event_id:
            return self._reuse(prior, request, callee.handler)
        return None

    def _reuse(self, stored: StoredAnswer, request: CallRequest, handler: Handler) -> CallOutcome:
        """Return the answer that another run paid for, with what it cost and how long it took then."""
        first = stored.calls[-1]
        return self.records.hit(
            stored,
            request,
            handler,
            reused_from=first.origin.run,
            first_token_seconds=first.first_token_seconds,
            duration_seconds=first.duration_seconds,
        )
