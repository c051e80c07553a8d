"""Ask one handler about one task: from the store, from a call in flight, or by calls with retries.

Every way ends in an attempt and the audit records of the calls behind it.
"""

from __future__ import annotations

import asyncio
import dataclasses
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from streams.core.errors import HandlerError, ModelError
from streams.core.fingerprint import call_id, digest
from streams.core.messages import Attempt, Call, Decision, Origin, StoredAnswer
from streams.core.pricing import cost
from streams.stages.ports import Asker, Desk, Said
from streams.stages.task import Task

FIRST_BACKOFF, LONGEST_BACKOFF = 0.5, 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One task for one handler, about one event."""

    asker: Asker
    task: Task
    origin: Origin
    fingerprint: str
    received_at: datetime
    """The timestamp of the message that brought it."""
    parent_call_id: str | None = None

    @property
    def key(self) -> str:
        """What its answer is stored under: one key for identical tasks, or one for this event alone."""
        if self.asker.handler.spec.cache == "shared":
            return self.fingerprint
        return digest(self.fingerprint, self.origin.run, self.origin.event_id)


@dataclass(frozen=True, slots=True)
class Consultation:
    """How it ended. The last call is the one the attempt came of."""

    attempt: Attempt
    calls: tuple[Call, ...]

    def decided(self, decision: Decision, reason: str, threshold: float | None = None) -> tuple[Call, ...]:
        """The calls, the last one stamped with what was decided on its account."""
        last = dataclasses.replace(self.calls[-1], decision=decision, decision_reason=reason, threshold=threshold)
        return (*self.calls[:-1], last)


async def consult(question: Question, desk: Desk) -> Consultation:
    """Ask, at the least cost that the handler's cache policy allows."""
    if question.asker.handler.spec.cache == "off":
        return await _call_until_done(question, desk)
    served = _served(desk.answers.get(question.key), question, desk)
    if served is None:
        served = _served(await _landed(question, desk), question, desk)
    return served or await _call_in_flight(question, desk)


def _served(answer: StoredAnswer | None, question: Question, desk: Desk) -> Consultation | None:
    """What an answer that is there already says to this question; None when it must be asked anew."""
    if answer is not None and _same_call(answer, question):
        return Consultation(answer.attempt, answer.calls)
    if answer is not None and _serves_others(answer, question, desk):
        return _hit(answer, question, desk)
    return None


async def _landed(question: Question, desk: Desk) -> StoredAnswer | None:
    """The answer of an identical task in flight, once it is there; None when there is none.

    Where one broke off, the first that waited asks anew and the others wait for that.
    """
    while (flight := desk.flights.get(question.key)) is not None:
        await asyncio.wait([flight])
        if not flight.cancelled():
            return flight.result()
    return None


async def _call_in_flight(question: Question, desk: Desk) -> Consultation:
    """Call, letting identical tasks that come meanwhile wait for this answer."""
    flight: asyncio.Future[StoredAnswer] = asyncio.get_running_loop().create_future()
    mine = desk.flights.setdefault(question.key, flight) is flight
    try:
        done = await _call_until_done(question, desk)
        answer = StoredAnswer(attempt=done.attempt, calls=done.calls, stored_at=desk.now())
        if done.attempt.status != "failed":
            desk.answers.put(question.key, answer)
        flight.set_result(answer)
        return done
    finally:
        flight.cancel()  # of no effect once it has landed
        if mine:
            del desk.flights[question.key]


async def _call_until_done(question: Question, desk: Desk) -> Consultation:
    """Call, and again while it fails in a way that may pass and retries are left."""
    calls: list[Call] = []
    tries = question.asker.handler.spec.retries + 1
    for number in range(1, tries + 1):
        attempt, call, error = await _call(question, desk, number)
        again = error is not None and error.retryable and number < tries
        calls.append(dataclasses.replace(call, decision="retried") if again else call)
        if error is None or not again:
            break
        backoff = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2 ** (number - 1)) * (0.5 + desk.jitter() / 2)
        await desk.sleep(max(backoff, min(error.retry_after or 0.0, LONGEST_BACKOFF * 2)))
    return Consultation(attempt, tuple(calls))


async def _call(question: Question, desk: Desk, number: int) -> tuple[Attempt, Call, ModelError | None]:
    """One try, its audit record, and the model's error if there was one."""
    async with question.asker.slot():
        started_at, started = desk.now(), desk.timer()
        try:
            said = await question.asker.ask(question.task)
        except (ModelError, HandlerError) as failure:
            said = Said.failed(failure)
    duration = desk.timer() - started
    attempt = _attempt(question, said, number)
    call = dataclasses.replace(
        _record(question, desk, said, attempt, started_at), attempt=number, duration_seconds=duration
    )
    return attempt, call, said.error


def _queued(question: Question, until: datetime) -> float:
    """Seconds from the message's timestamp; clocks of two machines may disagree, so never under 0."""
    return max(0.0, (until - question.received_at).total_seconds())


def _attempt(question: Question, said: Said, number: int) -> Attempt:
    reading, handler, origin = said.reading, question.asker.handler, question.origin
    return Attempt(
        tier=handler.tier,
        handler=handler.name,
        status=reading.status,
        answer=reading.answer,
        refusal_class=reading.refusal_class,
        refusal_reason=reading.refusal_reason,
        raw_confidence=said.raw_confidence,
        confidence=said.raw_confidence,
        error_type=reading.error_type,
        error=reading.error,
        call_id=call_id(origin.run, origin.event_id, handler.tier, handler.name, number),
    )


def _record(question: Question, desk: Desk, said: Said, attempt: Attempt, started_at: datetime) -> Call:
    asker, reply = question.asker, said.reply
    return Call(
        origin=question.origin,
        call_id=attempt.call_id,
        parent_call_id=question.parent_call_id,
        tier=attempt.tier,
        handler=attempt.handler,
        handler_version=asker.handler.version,
        pipeline=desk.pipeline_hash,
        operation=asker.operation,
        provider=asker.provider,
        request_model=asker.model,
        response_model=reply.model if reply else None,
        system_prompt=said.system,
        prompt=said.prompt,
        response=said.response,
        input_tokens=reply.input_tokens if reply else None,
        output_tokens=reply.output_tokens if reply else None,
        cache_read_tokens=reply.cache_read_tokens if reply else None,
        cache_write_tokens=reply.cache_write_tokens if reply else None,
        cost_usd=_cost(asker, said, desk),
        priced_as=asker.priced_as,
        started_at=started_at,
        queue_seconds=_queued(question, started_at),
        first_token_seconds=reply.first_token_seconds if reply else None,
        finish_reason=reply.stop_reason if reply else None,
        status=attempt.status,
        refusal_class=attempt.refusal_class,
        refusal_reason=attempt.refusal_reason,
        raw_confidence=attempt.raw_confidence,
        confidence=attempt.confidence,
        decision="failed" if attempt.status == "failed" else "found",
        error_type=attempt.error_type,
        error=attempt.error,
        response_id=said.error.request_id if said.error else reply.request_id if reply else None,
        fingerprint=question.fingerprint,
    )


def _cost(asker: Asker, said: Said, desk: Desk) -> Decimal | None:
    if asker.free:
        return Decimal(0)
    price = desk.prices.find(asker.priced_as) if asker.priced_as else None
    reply = said.reply
    if price is None or reply is None:
        return None
    read, written = (reply.cache_read_tokens, reply.cache_write_tokens) if asker.bills_cache else (0, 0)
    return cost(price, reply.input_tokens, reply.output_tokens, read, written)


def _same_call(stored: StoredAnswer, question: Question) -> bool:
    first, origin = stored.calls[-1], question.origin
    asked = (origin.run, origin.event_id, question.asker.handler.name)
    return (first.origin.run, first.origin.event_id, first.handler) == asked


def _serves_others(stored: StoredAnswer, question: Question, desk: Desk) -> bool:
    """Answers and refusals of another event serve while they are fresh; what broke is tried anew."""
    spec = question.asker.handler.spec
    fresh = desk.now() - stored.stored_at < timedelta(seconds=spec.cache_ttl)
    return spec.cache == "shared" and fresh and stored.attempt.status in ("answered", "refused")


def _hit(stored: StoredAnswer, question: Question, desk: Desk) -> Consultation:
    """The stored answer as a call of this event's own, at cost 0, with the saving noted."""
    origin, first, now, handler = question.origin, stored.calls[-1], desk.now(), question.asker.handler.name
    attempt = dataclasses.replace(
        stored.attempt, handler=handler, call_id=call_id(origin.run, origin.event_id, first.tier, handler, 1)
    )
    call = dataclasses.replace(
        first,
        origin=origin,
        handler=handler,
        call_id=attempt.call_id,
        parent_call_id=question.parent_call_id,
        pipeline=desk.pipeline_hash,
        cost_usd=Decimal(0),
        saved_usd=first.saved_usd if first.cache_hit else first.cost_usd,
        cache_hit=True,
        input_tokens=0,
        output_tokens=0,
        cache_read_tokens=None,
        cache_write_tokens=None,
        started_at=now,
        queue_seconds=_queued(question, now),
        first_token_seconds=None,
        duration_seconds=0.0,
        response_id=None,
        attempt=1,
    )
    return Consultation(attempt, (call,))
