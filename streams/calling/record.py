"""The audit record of each call, made of the request and the reply."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any

from streams.calling.caller import Backend, Callee
from streams.calling.request import CallOutcome, CallRequest, Reply, past_deadline
from streams.core.errors import IMAGE_FAULTS, NOT_CALLED, EscalonError, HandlerError, ModelError
from streams.core.escalation import Threshold, combined
from streams.core.messages import Attempt, Call, Decision, StoredAnswer
from streams.core.pricing import Price, PriceList, cost
from streams.core.process_fault import raise_process_fault
from streams.core.redaction.fields import redacted
from streams.core.redaction.policy import RedactionPolicy
from streams.core.reply_contract import MAX_ERROR, MAX_REASON, encodable
from streams.pipeline.handlers import Handler

MOST_ATTEMPTS = 65_535
"""The highest attempt number that the audit holds; further ones have this number, and ids of their own."""
_WITHOUT_CALL = NOT_CALLED | IMAGE_FAULTS
_setters = {name: getattr(Call, name).__set__ for name in Call.__dataclass_fields__}
_values = attrgetter(*_setters)
log = logging.getLogger("escalon.calling")


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecords:
    """Makes outcomes and their audit records."""

    pipeline_hash: str
    prices: PriceList
    now: Callable[[], datetime]
    timer: Callable[[], float]
    """Monotonic seconds."""
    redaction: RedactionPolicy | None = None
    """Hides what records must not hold; None keeps everything."""

    def redact(self, call: Call) -> Call:
        """Return a call as it may be stored and published."""
        return call if self.redaction is None else redacted(call, self.redaction)

    def outcome(
        self, request: CallRequest, callee: Callee, reply: Reply, started_at: datetime, seconds: float | None
    ) -> CallOutcome:
        """Return the outcome of one attempt. Its record is redacted; the attempt keeps the true answer."""
        attempt = _attempt(request, callee.handler, reply)
        call = self._call(request, callee, reply, attempt, started_at, seconds)
        return CallOutcome(attempt=attempt, calls=(self.redact(call),), reply=reply)

    def not_called(self, request: CallRequest, callee: Callee, error: ModelError) -> CallOutcome:
        """Return the outcome of an attempt for which no call was made."""
        return self.outcome(request, callee, Reply.failed(error), self.now(), None)

    def decided(
        self, outcome: CallOutcome, decision: Decision, reason: str, threshold: Threshold | None = None
    ) -> tuple[Call, ...]:
        """Return the calls of an outcome, the last one with what was decided on its account."""
        last = _changed(
            outcome.calls[-1],
            sources=outcome.attempt.sources,
            raw_confidence=outcome.attempt.raw_confidence,
            confidence=outcome.attempt.confidence,
            error=outcome.attempt.error,
            decision=decision,
            decision_reason=reason,
            threshold=threshold.threshold if threshold else None,
            calibration=threshold.calibration if threshold else None,
        )
        return tuple(map(self.redact, (*outcome.calls[:-1], last)))

    def hit(self, stored: StoredAnswer, request: CallRequest, handler: Handler, **fields: Any) -> CallOutcome:
        """Return a stored answer as a call of this event's own, at cost 0, with the saving noted.

        `fields` of the call replace those of a hit.
        """
        first, now = stored.calls[-1], self.now()
        attempt = dataclasses.replace(stored.attempt, handler=handler.name, call_id=request.call_id(handler))
        own: dict[str, Any] = {"first_token_seconds": None, "duration_seconds": 0.0, "reused_from": None}
        call = _changed(
            first,
            origin=request.origin,
            handler=handler.name,
            call_id=attempt.call_id,
            parent_call_id=request.parent_call_id,
            pipeline=self.pipeline_hash,
            cost_usd=Decimal(0),
            saved_usd=first.saved_usd if first.cache_hit else first.cost_usd,
            cache_hit=True,
            input_tokens=0,
            output_tokens=0,
            cache_read_tokens=None,
            cache_write_tokens=None,
            started_at=now,
            queue_seconds=_queue_seconds(request, now),
            response_id=None,
            attempt=min(MOST_ATTEMPTS, request.attempt_number),
            **(own | fields),
        )
        return CallOutcome(attempt=attempt, calls=(call,))

    def price_of(self, callee: Callee) -> Price | None:
        """Return the price of a callee's calls; None where it has none."""
        return self.prices.find(callee.priced_as) if callee.priced_as else None

    def _call(
        self, request: CallRequest, callee: Callee, reply: Reply, attempt: Attempt, began: datetime, took: float | None
    ) -> Call:
        return Call(
            origin=request.origin,
            call_id=attempt.call_id,
            parent_call_id=request.parent_call_id,
            tier=attempt.tier,
            handler=attempt.handler,
            handler_version=callee.handler.version,
            pipeline=self.pipeline_hash,
            operation=callee.operation,
            provider=callee.provider,
            request_model=callee.model,
            system_prompt=reply.system,
            prompt=reply.prompt,
            response=reply.response,
            cost_usd=self._cost(callee, reply),
            priced_as=callee.priced_as,
            started_at=began,
            queue_seconds=_queue_seconds(request, began),
            duration_seconds=took,
            status=attempt.status,
            refusal_class=attempt.refusal_class,
            refusal_reason=attempt.refusal_reason,
            sources=attempt.sources,
            raw_confidence=attempt.raw_confidence,
            confidence=attempt.confidence,
            decision="failed" if attempt.status == "failed" else "found",
            attempt=min(MOST_ATTEMPTS, request.attempt_number),
            error_type=attempt.error_type,
            error=_error(attempt, reply),
            sample=request.sample,
            fingerprint=request.fingerprint,
            batch_id=reply.batch_id,
            **_said(reply, attempt),
        )

    def _cost(self, callee: Callee, reply: Reply) -> Decimal | None:
        if callee.free or reply.reading.error_type in _WITHOUT_CALL:
            return Decimal(0)
        price, said = self.price_of(callee), reply.model_reply
        if price is None or said is None:
            return None
        if said.unbilled:
            return Decimal(0)
        if reply.batch_id is not None and (price := price.in_batch()) is None:
            return None
        return cost(price, said.input_tokens, said.output_tokens, *cache_tokens(callee, reply))


@dataclass(frozen=True, slots=True)
class Audited:
    """Makes one attempt and its audit record; the innermost caller."""

    backend: Backend
    records: CallRecords

    @property
    def callee(self) -> Callee:
        """The backend's."""
        return self.backend.callee

    async def call(self, request: CallRequest) -> CallOutcome:
        """Make one attempt, unless the deadline has passed."""
        started_at, started = self.records.now(), self.records.timer()
        left = request.seconds_left(started_at)
        if left <= 0:
            return self.records.not_called(request, self.callee, past_deadline())
        reply = await self._ask(request, left)
        return self.records.outcome(request, self.callee, reply, started_at, self.records.timer() - started)

    async def _ask(self, request: CallRequest, left: float) -> Reply:
        try:
            return await self.backend.ask(request.task, request.sample, left)
        except (ModelError, HandlerError) as failure:
            return Reply.failed(failure)
        except EscalonError:  # the operator's to fix, or the end of a replay
            raise
        except Exception as defect:
            raise_process_fault(defect)
            log.exception("a call of %s for %s raised an unforeseen error", self.callee.model, self.callee.handler.name)
            return Reply.failed(_unforeseen(self.callee, defect))


def _attempt(request: CallRequest, handler: Handler, reply: Reply) -> Attempt:
    """Return the attempt, its confidence as raw as it came."""
    reading = reply.reading
    raw = combined(reply.sources, "mean")
    return Attempt(
        tier=handler.tier,
        handler=handler.name,
        status=reading.status,
        answer=reading.answer,
        refusal_class=reading.refusal_class,
        refusal_reason=reading.refusal_reason,
        sources=reply.sources,
        raw_confidence=raw,
        confidence=raw,
        error_type=reading.error_type,
        error=reading.error,
        call_id=request.call_id(handler),
    )


def _said(reply: Reply, attempt: Attempt) -> dict[str, Any]:
    """Return what the model's reply says of the call; without one, that no tokens were taken where no call was made."""
    said = reply.model_reply
    if said is None:
        return {"input_tokens": 0, "output_tokens": 0} if attempt.error_type in _WITHOUT_CALL else {}
    return {
        "response_model": said.model,
        "input_tokens": said.input_tokens,
        "output_tokens": said.output_tokens,
        "cache_read_tokens": said.cache_read_tokens,
        "cache_write_tokens": said.cache_write_tokens,
        "first_token_seconds": said.first_token_seconds,
        "finish_reason": said.stop_reason,
        "response_id": said.response_id,
    }


def _changed(call: Call, **fields: Any) -> Call:
    """Return a call with some fields changed, as dataclasses.replace does in twice the time."""
    changed = object.__new__(Call)
    for put, value in zip(_setters.values(), _values(call), strict=True):
        put(changed, value)
    for name, value in fields.items():
        _setters[name](changed, value)
    return changed


def _error(attempt: Attempt, reply: Reply) -> str | None:
    """Return the error, with the id of the request, which the provider's support asks for."""
    if attempt.error is None or reply.error is None or reply.error.request_id is None:
        return attempt.error
    request = f" (request {encodable(reply.error.request_id[:MAX_REASON])})"
    return attempt.error[: MAX_ERROR - len(request)] + request


def _queue_seconds(request: CallRequest, until: datetime) -> float:
    """Return the seconds since the message's timestamp; never under 0, for clocks of two machines may disagree."""
    return max(0.0, (until - request.received_at).total_seconds())


def _unforeseen(callee: Callee, defect: Exception) -> ModelError:
    """Return an unforeseen error as a failed attempt's; its words may hold anything, so only the log repeats them."""
    what = f"A call of {callee.model} ended in an unforeseen error ({type(defect).__name__})."
    return ModelError("bad_reply", what, "The log of the tier has the traceback; report it.", retryable=True)


def cache_tokens(callee: Callee, reply: Reply) -> tuple[int | None, int | None]:
    """Return the tokens read from and written to the prompt cache, as they are billed.

    Claude caches only what it is asked to, the system prompt: without one, a count that is left out is 0. Else it is
    unknown. A server that caches unasked counts written tokens only where it bills them apart.
    """
    if not callee.bills_cache:
        return 0, 0
    said, asked = reply.model_reply, bool(reply.system)
    read, written = (said.cache_read_tokens, said.cache_write_tokens) if said else (None, None)
    if read is None and not (asked or callee.caches_unasked):
        read = 0
    if written is None and (callee.caches_unasked or not asked):
        written = 0
    return read, written
