"""Attempts and audit records, made of what a handler said."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from decimal import Decimal

from streams.core.contract import MAX_ERROR, MAX_REASON, encodable
from streams.core.errors import NOT_CALLED
from streams.core.escalation import combined
from streams.core.fingerprint import call_id
from streams.core.messages import Attempt, Call, StoredAnswer
from streams.core.pricing import Price, cost
from streams.stages.ports import Asker, Desk, Said
from streams.stages.question import Consultation, Question

MOST_ATTEMPTS = 65_535
"""The highest number of a try that the audit holds; further ones have this number, and ids of their own."""


def _queued(question: Question, until: datetime) -> float:
    """Seconds from the message's timestamp; clocks of two machines may disagree, so never under 0."""
    return max(0.0, (until - question.received_at).total_seconds())


def attempt_of(question: Question, said: Said, number: int) -> Attempt:
    """What the `number`th try came to; its confidence is as raw as it came."""
    reading, handler, origin = said.reading, question.asker.handler, question.origin
    raw = combined(said.sources, "mean")
    return Attempt(
        tier=handler.tier,
        handler=handler.name,
        status=reading.status,
        answer=reading.answer,
        refusal_class=reading.refusal_class,
        refusal_reason=reading.refusal_reason,
        sources=said.sources,
        raw_confidence=raw,
        confidence=raw,
        error_type=reading.error_type,
        error=reading.error,
        call_id=call_id(
            origin.run,
            origin.event_id,
            handler.tier,
            handler.name,
            question.number(number),
            question.sample,
            fingerprint=question.fingerprint,
        ),
    )


def record_of(question: Question, desk: Desk, said: Said, attempt: Attempt, started_at: datetime) -> Call:
    """The audit record of a try, redacted as the pipeline asks; the attempt keeps the true answer."""
    asker, reply = question.asker, said.reply
    none_taken = 0 if attempt.error_type in NOT_CALLED else None
    call = Call(
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
        input_tokens=reply.input_tokens if reply else none_taken,
        output_tokens=reply.output_tokens if reply else none_taken,
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
        sources=attempt.sources,
        raw_confidence=attempt.raw_confidence,
        confidence=attempt.confidence,
        decision="failed" if attempt.status == "failed" else "found",
        error_type=attempt.error_type,
        error=_error(attempt, said),
        response_id=reply.response_id if reply else None,
        sample=question.sample,
        fingerprint=question.fingerprint,
    )
    return desk.recorded(call)


def _error(attempt: Attempt, said: Said) -> str | None:
    """The error, with the id of the request, which the provider's support asks for."""
    if attempt.error is None or said.error is None or said.error.request_id is None:
        return attempt.error
    request = f" (request {encodable(said.error.request_id[:MAX_REASON])})"
    return attempt.error[: MAX_ERROR - len(request)] + request


def _cost(asker: Asker, said: Said, desk: Desk) -> Decimal | None:
    if asker.free or said.reading.error_type in NOT_CALLED:
        return Decimal(0)
    price, reply = price_of(asker, desk), said.reply
    if price is None or reply is None:
        return None
    return Decimal(0) if reply.unbilled else cost(price, reply.input_tokens, reply.output_tokens, *cached(asker, said))


def price_of(asker: Asker, desk: Desk) -> Price | None:
    """The price of an asker's calls; None where it has none."""
    return desk.prices.find(asker.priced_as) if asker.priced_as else None


def cached(asker: Asker, said: Said) -> tuple[int | None, int | None]:
    """The tokens read from and written to the prompt cache, as they are billed.

    A provider caches only what it is asked to, the system prompt: without one, a count that is left out is 0. With one
    it is unknown.
    """
    if not asker.bills_cache:
        return 0, 0
    reply, absent = said.reply, None if said.system else 0
    counts = (reply.cache_read_tokens, reply.cache_write_tokens) if reply else (None, None)
    return tuple(absent if count is None else count for count in counts)  # type: ignore[return-value]


def limited(asker: Asker, said: Said) -> tuple[int | None, int | None]:
    """The input and output tokens of a call that count against its provider's limits: not what it read from its cache.

    So Anthropic's limits have it, for all models but long retired ones. Where it is not known what was read all counts.
    """
    reply = said.reply
    if reply is None or reply.input_tokens is None:
        return None, reply.output_tokens if reply else None
    read, _ = cached(asker, said)
    return max(0, reply.input_tokens - (read or 0)), reply.output_tokens


def same_call(stored: StoredAnswer, question: Question) -> bool:
    """Whether an answer was given to this very question, of this event and run."""
    first, origin = stored.calls[-1], question.origin
    asked = (origin.run, origin.event_id, question.asker.handler.name)
    return (first.origin.run, first.origin.event_id, first.handler) == asked


def hit_of(stored: StoredAnswer, question: Question, desk: Desk) -> Consultation:
    """The stored answer as a call of this event's own, at cost 0, with the saving noted."""
    origin, first, now, handler = question.origin, stored.calls[-1], desk.now(), question.asker.handler.name
    number = question.number(1)
    named = (origin.run, origin.event_id, first.tier, handler, number, question.sample)
    own_id = call_id(*named, fingerprint=question.fingerprint)
    attempt = dataclasses.replace(stored.attempt, handler=handler, call_id=own_id)
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
        attempt=min(MOST_ATTEMPTS, number),
        reused_from=None,
    )
    return Consultation(attempt, (call,))


def reuse_of(stored: StoredAnswer, question: Question, desk: Desk) -> Consultation:
    """The answer that another run paid for, with what it cost and how long it took then."""
    hit, first = hit_of(stored, question, desk), stored.calls[-1]
    call = dataclasses.replace(
        hit.calls[-1],
        reused_from=first.origin.run,
        first_token_seconds=first.first_token_seconds,
        duration_seconds=first.duration_seconds,
    )
    return Consultation(hit.attempt, (call,))
