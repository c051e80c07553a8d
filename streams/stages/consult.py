"""Ask one handler about one task: from the store, from a call in flight, or by calls with retries.

Every way ends in an attempt and the audit records of the calls behind it.
"""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import timedelta

from streams.core.errors import HandlerError, ModelError
from streams.core.messages import Attempt, Call, StoredAnswer
from streams.stages.calls import attempt_of, hit_of, record_of
from streams.stages.ports import Desk, Said
from streams.stages.question import Consultation, OutOfBudget, Question

FIRST_BACKOFF, LONGEST_BACKOFF = 0.5, 30.0


async def consult(question: Question, desk: Desk) -> Consultation | OutOfBudget:
    """Ask, at the least cost that the handler's cache policy allows. What is stored is served without any budget."""
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
        return hit_of(answer, question, desk)
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


async def _call_in_flight(question: Question, desk: Desk) -> Consultation | OutOfBudget:
    """Call, letting identical tasks that come meanwhile wait for this answer."""
    flight: asyncio.Future[StoredAnswer] = asyncio.get_running_loop().create_future()
    mine = desk.flights.setdefault(question.key, flight) is flight
    try:
        done = await _call_until_done(question, desk)
        if isinstance(done, OutOfBudget):
            return done
        answer = StoredAnswer(attempt=done.attempt, calls=done.calls, stored_at=desk.now())
        if done.attempt.status != "failed":
            desk.answers.put(question.key, answer)
        flight.set_result(answer)
        return done
    finally:
        flight.cancel()  # of no effect once it has landed
        if mine:
            del desk.flights[question.key]


async def _call_until_done(question: Question, desk: Desk) -> Consultation | OutOfBudget:
    """Call, and again while it fails in a way that may pass and retries are left."""
    calls: list[Call] = []
    tries = question.asker.handler.spec.retries + 1
    for number in range(1, tries + 1):
        tried = await _call(question, desk, number)
        if tried is None:
            return OutOfBudget(tuple(calls))
        attempt, call, error = tried
        again = error is not None and error.retryable and number < tries
        calls.append(dataclasses.replace(call, decision="retried") if again else call)
        if error is None or not again:
            break
        backoff = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2 ** (number - 1)) * (0.5 + desk.jitter() / 2)
        await desk.sleep(max(backoff, min(error.retry_after or 0.0, LONGEST_BACKOFF * 2)))
    return Consultation(attempt, tuple(calls))


async def _call(question: Question, desk: Desk, number: int) -> tuple[Attempt, Call, ModelError | None] | None:
    """One try, its audit record, and the model's error if there was one; None when there is no money for it."""
    purse = None if question.asker.free else desk.purse
    async with question.asker.slot():
        started_at, started = desk.now(), desk.timer()
        if purse is not None and not purse.may_spend(started_at):
            return None
        try:
            said = await question.asker.ask(question.task, question.sample)
        except (ModelError, HandlerError) as failure:
            said = Said.failed(failure)
    duration = desk.timer() - started
    attempt = attempt_of(question, said, number)
    call = record_of(question, desk, said, attempt, started_at)
    if purse is not None and call.cost_usd is not None:
        purse.spend(call.cost_usd, started_at)
    return attempt, dataclasses.replace(call, attempt=number, duration_seconds=duration), said.error


def _same_call(stored: StoredAnswer, question: Question) -> bool:
    first, origin = stored.calls[-1], question.origin
    asked = (origin.run, origin.event_id, question.asker.handler.name)
    return (first.origin.run, first.origin.event_id, first.handler) == asked


def _serves_others(stored: StoredAnswer, question: Question, desk: Desk) -> bool:
    """Answers and refusals of another event serve while they are fresh; what broke is tried anew."""
    spec = question.asker.handler.spec
    fresh = desk.now() - stored.stored_at < timedelta(seconds=spec.cache_ttl)
    return spec.cache == "shared" and fresh and stored.attempt.status in ("answered", "refused")
