"""The tries of one handler at one question: each is a call and a row of its own, until one is answered."""

from __future__ import annotations

import dataclasses
import itertools
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass

from streams.core.errors import NOT_CALLED, EscalonError, HandlerError, ModelError
from streams.core.messages import Attempt, Call
from streams.core.process_fault import raise_process_fault
from streams.stages.calls import MOST_ATTEMPTS, attempt_of, limited, record_of
from streams.stages.charge import charge
from streams.stages.lane import LONGEST_HOLD, past_deadline
from streams.stages.ports import Asker, Desk, Said
from streams.stages.question import Consultation, OutOfBudget, Question

FIRST_BACKOFF, LONGEST_BACKOFF = 0.5, 30.0
log = logging.getLogger("escalon.tries")


@dataclass(frozen=True, slots=True)
class _Try:
    """One try, its audit record, and the model's error if there was one."""

    attempt: Attempt
    call: Call
    error: ModelError | None


async def call_until_done(question: Question, desk: Desk) -> Consultation | OutOfBudget:
    """Call, and again while it fails in a way that may pass and a further try is allowed."""
    calls: list[Call] = []
    for number in itertools.count(1):
        tried = await _try(question, desk, number)
        if tried is None:
            break
        pause = _pause(question, desk, tried.error, number)
        if pause is None:
            return Consultation(tried.attempt, (*calls, tried.call))
        calls.append(dataclasses.replace(tried.call, decision="retried"))
        await desk.sleep(pause)
    return OutOfBudget(tuple(calls))


def _pause(question: Question, desk: Desk, error: ModelError | None, number: int) -> float | None:
    """Seconds until the next try; None when there is to be none."""
    if error is None or not error.retryable or number > question.asker.handler.spec.retries:
        return None
    called = error.error_type not in NOT_CALLED
    if not called and question.asker.fallback is not None:
        return None
    backoff = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2 ** (number - 1)) * (0.5 + desk.jitter() / 2)
    # A breaker's rest ends for all at once, so each waits its own back-off on top.
    wished = min(error.retry_after or 0.0, LONGEST_HOLD)
    pause = max(backoff, wished) if called else wished + backoff
    if pause >= _left(question, desk)():
        return None
    # A try for which no call was made has cost the provider nothing, so the next one is not its repetition.
    lane = question.asker.lane
    return pause if lane is None or not called or lane.may_retry() else None


async def _try(question: Question, desk: Desk, number: int) -> _Try | None:
    """One try; None when there is no money for it."""
    purse = None if question.asker.free else desk.purse
    async with question.asker.slot():
        measured = _size(question)
        refused = await _admitted(question, desk, measured)
        started_at, started = desk.now(), desk.timer()
        if refused is None and purse is not None and not purse.may_spend(started_at):
            return None
        said = Said.failed(refused) if refused is not None else await _ask(question, desk, measured)
    duration = None if refused is not None else desk.timer() - started
    attempt = attempt_of(question, said, number)
    call = record_of(question, desk, said, attempt, started_at)
    if purse is not None and (usd := charge(call, question.asker, question.task, said, desk)):
        purse.spend(usd, started_at)
    call = dataclasses.replace(call, attempt=min(MOST_ATTEMPTS, question.number(number)), duration_seconds=duration)
    return _Try(attempt, call, said.error)


def _size(question: Question) -> int:
    """About how many input tokens the call takes, where they are limited: telling it means rendering the prompt."""
    lane = question.asker.lane
    if lane is None or lane.limit.input_tokens is None:
        return 0
    try:
        return question.asker.size(question.task)
    except HandlerError:  # the call will fail of it, and that is a try with a row of its own
        return 0


async def _admitted(question: Question, desk: Desk, measured: int) -> ModelError | None:
    """Wait until the call may be made; the error where it may not. All of it is queueing, not calling."""
    lane, left = question.asker.lane, _left(question, desk)
    if lane is not None:
        return await lane.admit(lane.expected(question.asker.handler.name, measured), left)
    return past_deadline() if left() <= 0 else None


async def _ask(question: Question, desk: Desk, measured: int) -> Said:
    """One call, past the model's lane if it has one."""
    asker, lane, left = question.asker, question.asker.lane, _left(question, desk)()
    name = asker.handler.name
    given = None if lane is None else lane.enter(lane.expected(name, measured), name, measured)
    said = None
    try:
        said = await asker.ask(question.task, question.sample, left)
    except (ModelError, HandlerError) as failure:
        said = Said.failed(failure)
    except EscalonError:  # the operator's to mend, or the end of a replay
        raise
    except Exception as defect:
        raise_process_fault(defect)
        log.exception("asking %s for %s broke", asker.model, asker.handler.name)
        said = Said.failed(_broken(asker, defect))
    finally:
        if lane is not None and given is not None:
            if said is None or _never_sent(said):
                lane.abandon(given)
            else:
                lane.leave(given, said.error, limited(asker, said))
    return said


def _never_sent(said: Said) -> bool:
    """Whether it failed before the model was asked, as where the prompt cannot be made of the task."""
    return said.error is None and said.reading.status == "failed"


def _broken(asker: Asker, defect: Exception) -> ModelError:
    """A try that ended in an error nobody foresaw; its words may hold anything, so only the log repeats them."""
    what = f"Asking {asker.model} broke ({type(defect).__name__})."
    return ModelError("bad_reply", what, "The log of the tier has the traceback; report it.", retryable=True)


def _left(question: Question, desk: Desk) -> Callable[[], float]:
    """The seconds until the event's deadline, whenever it is asked."""
    deadline = question.deadline
    return lambda: math.inf if deadline is None else (deadline - desk.now()).total_seconds()
