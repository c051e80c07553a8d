"""Ask one handler about one task: from the store, from a call in flight, or by calls, in the end its fallback's.

Every way ends in an attempt and the audit records of the calls behind it. An answer is stored under the version of the
model that gave it, so a fallback's answer is never taken for the handler's own.
"""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import timedelta

from streams.core.errors import PROVIDER_FAULTS
from streams.core.messages import StoredAnswer
from streams.stages.blame import RECENT
from streams.stages.calls import hit_of, same_call
from streams.stages.ports import Desk
from streams.stages.question import Consultation, OutOfBudget, Question
from streams.stages.reuse import known_answer, serving
from streams.stages.tries import call_until_done


async def consult(question: Question, desk: Desk) -> Consultation | OutOfBudget:
    """Ask, at the least cost that the handler's cache policy allows. What is stored is served without any budget."""
    cached = question.asker.handler.spec.cache != "off"
    if desk.prior is not None and (cached or not question.asker.free):
        known = known_answer(question, desk) or serving(await _landed(question, desk), question, desk)
        return known or await _call_in_flight(question, desk)
    if not cached:
        return (await _call(question, desk))[1]
    served = _served(desk.answers.get(question.key), question, desk) or _own_by_fallback(question, desk)
    if served is None:
        served = _served(await _landed(question, desk), question, desk)
    return served or await _call_in_flight(question, desk)


def _own_by_fallback(question: Question, desk: Desk) -> Consultation | None:
    """What the fallback has answered to this very question; to other events' it serves only where it is asked."""
    second = question.second()
    answer = desk.answers.get(second.key) if second is not None else None
    return Consultation(answer.attempt, answer.calls) if answer is not None and same_call(answer, question) else None


def _served(answer: StoredAnswer | None, question: Question, desk: Desk) -> Consultation | None:
    """What an answer that is there already says to this question; None when it must be asked anew."""
    if answer is not None and same_call(answer, question):
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
        asked, done = await _call(question, desk)
        if isinstance(done, OutOfBudget):
            return done
        answer = StoredAnswer(attempt=done.attempt, calls=done.calls, stored_at=desk.now())
        flight.set_result(answer)  # before it is stored: where that fails, nobody shall pay for it again
        if done.attempt.status != "failed":
            desk.answers.put(asked.key, answer)
        return done
    finally:
        flight.cancel()  # of no effect once it has landed
        if mine:
            del desk.flights[question.key]


async def _call(question: Question, desk: Desk) -> tuple[Question, Consultation | OutOfBudget]:
    """Call the handler's own model; where its provider fails, the fallback. Returns the question that was answered."""
    done = await call_until_done(question, desk)
    second = question.second(len(done.calls))
    if isinstance(done, OutOfBudget) or second is None or not _for_the_fallback(question, done):
        return question, done
    failed = (*done.calls[:-1], dataclasses.replace(done.calls[-1], decision="retried"))
    more = _known_by_fallback(second, desk) or await call_until_done(second, desk)
    if isinstance(more, OutOfBudget):
        return second, OutOfBudget((*failed, *more.calls))
    return second, Consultation(more.attempt, (*failed, *more.calls))


def _for_the_fallback(question: Question, done: Consultation) -> bool:
    """Whether the handler's own model failed without having said anything about the question."""
    error_type, lane = done.attempt.error_type, question.asker.lane
    if error_type == "bad_request" and lane is not None:
        return not lane.answers(question.asker.handler.name, RECENT)
    return error_type in PROVIDER_FAULTS


def _known_by_fallback(second: Question, desk: Desk) -> Consultation | None:
    """What the fallback has answered to the same task before."""
    if second.asker.handler.spec.cache == "off":
        return None
    if desk.prior is not None:
        return known_answer(second, desk)
    return _served(desk.answers.get(second.key), second, desk)


def _serves_others(stored: StoredAnswer, question: Question, desk: Desk) -> bool:
    """Answers and refusals of another event serve while they are fresh; what broke is tried anew."""
    spec = question.asker.handler.spec
    fresh = desk.now() - stored.stored_at < timedelta(seconds=spec.cache_ttl)
    return spec.cache == "shared" and fresh and stored.attempt.status in ("answered", "refused")
