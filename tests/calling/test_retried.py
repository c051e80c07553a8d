"""The tries of a handler: what is allowed, what it waits for, and what is written of a try without a call."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from streams.calling.request import ATTEMPTS_A_ROUND, CallOutcome, OutOfBudget, Reply
from streams.calling.task import Task
from streams.core.breaker import BreakerPolicy
from streams.core.errors import ConfigError, HandlerError, ModelError
from streams.core.fingerprint import call_id
from streams.core.rate import RateLimit
from tests.harness.confidence import PRICE, with_money
from tests.harness.stages import (
    START,
    FakeBackend,
    Office,
    Turn,
    backend,
    model_error,
    office,
    request,
    said,
    with_limits,
)


@pytest.fixture
def here(tmp_path: Path) -> Office:
    return office(tmp_path)


async def asked(here: Office, one: FakeBackend, event_id: str = "e1", left: float | None = None) -> CallOutcome:
    deadline = None if left is None else here.clock.at + timedelta(seconds=left)
    done = await here.call(one, dataclasses.replace(request(one, event_id), deadline=deadline))
    assert isinstance(done, CallOutcome)
    return done


def failing(here: Office, errors: int, **policy: Any) -> FakeBackend:
    turns: list[Turn] = [model_error()] * errors
    return backend(here, [*turns, said()], **policy)


# ---- The rate limit ----


async def test_waiting_for_the_rate_limit_is_queueing_and_not_calling(here: Office) -> None:
    one = backend(here, cache="off")
    with_limits(here, one, RateLimit.of(6, None, None))
    first, second = await asked(here, one), await asked(here, one)
    assert (first.calls[0].queue_seconds, first.calls[0].duration_seconds) == (0.0, 0.0)
    assert second.calls[0].queue_seconds == pytest.approx(10)
    assert second.calls[0].duration_seconds == 0.0
    assert second.calls[0].started_at == START + timedelta(seconds=10)


async def test_the_tokens_of_a_call_are_counted_and_the_next_one_waits(here: Office) -> None:
    one = backend(here, cache="off")
    with_limits(here, one, RateLimit.of(None, 6_000, 600))  # a call takes 1,000 and 100: as much as both buckets hold
    for _ in range(3):
        await asked(here, one)
    assert here.clock.timer() == pytest.approx(10, abs=1)


async def test_one_calls_rate_limit_holds_back_another_calls_first_try(here: Office) -> None:
    one, other = backend(here, [model_error("rate_limited", after=20)], retries=0), backend(here)
    other.limits = with_limits(here, one)
    await asked(here, one)
    done = await asked(here, other, "e2")
    assert done.calls[0].queue_seconds == pytest.approx(20)


@dataclass
class Unrenderable(FakeBackend):
    """Its prompt cannot be made of the task."""

    def size(self, task: Task) -> int:  # noqa: ARG002
        """Fails as the call does."""
        raise HandlerError("prompt", "The prompt cannot be rendered.")


async def test_a_prompt_that_cannot_be_measured_is_a_failed_try(here: Office) -> None:
    plain = backend(here, [HandlerError("prompt", "The prompt cannot be rendered.")])
    one = Unrenderable(plain.handler, plain.script)
    with_limits(here, one, RateLimit.of(None, 6_000, None))
    done = await asked(here, one)
    assert (done.attempt.status, done.calls[0].error_type) == ("failed", "handler_error")


async def test_a_call_that_was_never_sent_does_not_show_that_the_model_answers(here: Office) -> None:
    one = backend(here, [HandlerError("prompt", "The prompt cannot be rendered.")])
    limits = with_limits(here, one, RateLimit.of(6, None, None))
    for number in range(3):
        await asked(here, one, f"e{number}")
    assert not limits.answered(one.handler.name, 60)
    assert here.clock.timer() == 0, "it uses up no limit"


# ---- Defects ----


@dataclass
class Defective(FakeBackend):
    """One of its calls raises an error that is not a failure of the model."""

    good: int = 1
    """Calls that come before that one."""
    error: Exception = field(default_factory=lambda: ZeroDivisionError("sk-planted"))

    async def ask(self, task: Task, sample: int = 0, within: float = math.inf) -> Reply:
        """The next turn of the script."""
        if len(self.asked) == self.good:
            self.asked.append(task)
            raise self.error
        return await super().ask(task, sample, within)


async def test_a_call_that_ends_in_an_unforeseen_error_is_a_failed_try_with_a_row_and_one_log_entry(
    here: Office, caplog: pytest.LogCaptureFixture
) -> None:
    one = Defective(failing(here, 0, retries=2).handler, [model_error(), said()])
    limits = with_limits(here, one)
    done = await asked(here, one)
    assert [call.error_type for call in done.calls] == ["overloaded", "bad_reply", None]
    assert [call.decision for call in done.calls[:2]] == ["retried", "retried"]
    assert done.attempt.status == "answered"
    assert "ZeroDivisionError" in (done.calls[1].error or "")
    assert "planted" not in (done.calls[1].error or "")
    assert limits.breaker.state == "closed"
    assert [record.exc_info is not None for record in caplog.records] == [True]


async def test_after_nothing_but_unforeseen_errors_the_fallback_is_asked(here: Office) -> None:
    one = Defective(failing(here, 0, retries=0, cache="off").handler, [said()])
    one.fallback = backend(here, [said("no")], cache="off")
    await asked(here, one)
    done = await asked(here, one)
    assert [call.error_type for call in done.calls] == ["bad_reply", None]
    assert done.attempt.answer == '"no"'


# ---- The retry budget ----


async def test_when_the_budget_is_spent_a_failed_try_is_not_repeated(here: Office) -> None:
    one = failing(here, 100, retries=2, cache="off")
    with_limits(here, one, share=0.0)
    done = await asked(here, one)
    assert (len(one.asked), done.attempt.status, done.calls[-1].decision) == (1, "failed", "failed")


async def test_over_many_failures_retries_are_the_share_that_was_set(here: Office) -> None:
    one = failing(here, 10_000, retries=2, cache="off")
    with_limits(here, one, share=0.25).breaker.policy = BreakerPolicy(least=10_000)
    for _ in range(400):
        await asked(here, one)
    retried = len(one.asked) - 400
    assert retried <= 0.25 * len(one.asked) + 10 + here.clock.timer() / 6
    assert retried >= 0.25 * len(one.asked) - 1


# ---- The circuit breaker ----


async def test_a_try_that_finds_the_breaker_open_is_a_row_that_cost_nothing(here: Office) -> None:
    one = failing(here, 3, retries=0, cache="off")
    with_limits(here, one)
    for _ in range(3):
        await asked(here, one)
    done = await asked(here, one)
    assert len(one.asked) == 3
    (call,) = done.calls
    assert (call.status, call.error_type, call.decision) == ("failed", "circuit_open", "failed")
    assert (call.cost_usd, call.input_tokens, call.output_tokens) == (Decimal(0), 0, 0)
    assert (call.prompt, call.response, call.duration_seconds, call.response_id) == ("", None, None, None)
    assert call.response_model is None


async def test_it_is_tried_again_after_the_rest_and_that_takes_nothing_of_the_budget(here: Office) -> None:
    one = failing(here, 3, retries=2, cache="off")
    limits = with_limits(here, one)
    done = await asked(here, one)
    assert [call.error_type for call in done.calls] == ["overloaded"] * 3
    balance = limits.retries.balance
    again = await asked(here, one)
    assert [call.error_type for call in again.calls] == ["circuit_open", None]
    assert limits.retries.balance >= balance
    assert here.clock.slept[-1] == 2.0 + 0.5


async def test_a_call_that_the_operator_has_to_fix_leaves_the_trial_to_the_next(here: Office) -> None:
    handler, error = failing(here, 0, retries=0, cache="off").handler, ConfigError("It cannot be asked.")
    one = Defective(handler, [*[model_error()] * 4, said()], good=3, error=error)
    with_limits(here, one)
    for _ in range(3):
        await asked(here, one)
    here.clock.passes(2)
    with pytest.raises(ConfigError):
        await asked(here, one)
    assert (await asked(here, one)).attempt.status == "answered"


# ---- The deadline ----


async def test_a_call_is_given_no_more_time_than_is_left(here: Office) -> None:
    one = backend(here)
    await asked(here, one, left=7.5)
    assert one.within == [7.5]


async def test_without_a_deadline_a_call_has_its_own_time(here: Office) -> None:
    one = backend(here)
    await asked(here, one)
    assert one.within == [math.inf]


@pytest.mark.parametrize("limited", [True, False])
async def test_after_the_deadline_no_call_is_made_and_the_row_says_so(here: Office, limited: bool) -> None:
    one = backend(here)
    if limited:
        with_limits(here, one)
    done = await asked(here, one, left=0)
    assert one.asked == []
    (call,) = done.calls
    assert (call.status, call.error_type, call.cost_usd, call.input_tokens) == ("failed", "deadline", Decimal(0), 0)
    assert (call.duration_seconds, done.attempt.error_type) == (None, "deadline")


async def test_a_retry_that_could_not_begin_in_time_is_not_waited_for(here: Office) -> None:
    one = failing(here, 1, retries=2)
    done = await asked(here, one, left=0.4)
    assert (len(one.asked), here.clock.slept, done.attempt.error_type) == (1, [], "overloaded")


async def test_a_retry_that_can_begin_in_time_is_made(here: Office) -> None:
    one = failing(here, 1, retries=2)
    done = await asked(here, one, left=0.6)
    assert (len(one.asked), done.attempt.status) == (2, "answered")
    assert one.within == pytest.approx([0.6, 0.1])


async def test_what_is_stored_is_served_after_the_deadline_too(here: Office) -> None:
    one = backend(here)
    first = await asked(here, one)
    assert await asked(here, one, left=-5) == first
    assert (await asked(here, one, "e2", left=-5)).calls[0].cache_hit


async def test_a_task_that_is_late_spends_nothing_of_the_days_money(here: Office) -> None:
    budget = with_money(here, PRICE)
    await asked(here, backend(here), left=0)
    assert sum(budget.spent.values()) == 0


# ---- The numbers of tries ----


async def test_the_tries_of_later_rounds_have_ids_of_their_own(here: Office) -> None:
    ids = list[str]()
    for number in range(3):
        one = failing(here, 2, retries=2, cache="off")
        done = await here.call(one, dataclasses.replace(request(one), round=number))
        assert isinstance(done, CallOutcome)
        assert [call.attempt for call in done.calls] == [number * ATTEMPTS_A_ROUND + n for n in (1, 2, 3)]
        assert done.attempt.call_id == done.calls[-1].call_id
        ids += [call.call_id for call in done.calls]
    assert len(set(ids)) == 9
    task = request(failing(here, 0)).fingerprint
    assert ids[3] == call_id("live", "e1", "worker", "answer", ATTEMPTS_A_ROUND + 1, fingerprint=task)


async def test_a_hit_in_a_later_round_does_not_take_the_id_of_an_earlier_failure(here: Office) -> None:
    one = backend(here, [model_error(), said()], retries=0)
    failed = await asked(here, one)
    await asked(here, one, "e2")
    later = await here.call(one, dataclasses.replace(request(one), round=1))
    assert isinstance(later, CallOutcome)
    (hit,) = later.calls
    assert hit.cache_hit
    assert hit.call_id == later.attempt.call_id != failed.calls[0].call_id
    assert hit.attempt == ATTEMPTS_A_ROUND + 1


async def test_money_that_runs_out_between_two_tries_leaves_those_made(here: Office) -> None:
    class Spending(FakeBackend):
        async def ask(self, task: Task, sample: int = 0, within: float = math.inf) -> Reply:
            budget.spend(PRICE, here.clock.now())
            return await super().ask(task, sample, within)

    budget = with_money(here, PRICE)
    one = Spending(failing(here, 1).handler, [model_error(), said()])
    with_limits(here, one)
    out = await here.call(one, request(one))
    assert isinstance(out, OutOfBudget)
    assert [(call.attempt, call.decision) for call in out.calls] == [(1, "retried")]


def test_a_round_has_more_numbers_than_a_handler_can_use(here: Office) -> None:
    spec = here.pipeline.workers["answer"].spec
    most = type(spec).model_fields["retries"].metadata
    assert max(getattr(rule, "le", 0) for rule in most) + 1 + 1 <= ATTEMPTS_A_ROUND


async def test_a_providers_wish_to_wait_is_honoured_for_a_minute_at_most(here: Office) -> None:
    errors: list[ModelError] = [model_error("overloaded", after=3600)]
    await asked(here, backend(here, [*errors, said()]))
    assert here.clock.slept == [60.0]
