"""A task that has time waits for a batch, and comes back with its reply or to be asked at once."""

from __future__ import annotations

import dataclasses
import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from streams.calling.chain import LimitedBackend, chain
from streams.calling.prompted import PromptedModel
from streams.core.messages import BatchReply, Call, Deferred, Message, Result, Verdict
from streams.core.pricing import PriceList
from streams.core.topics import topic_of
from streams.models.providers.batches import reply_of, reply_text
from streams.models.providers.protocol import ModelReply, Token
from streams.stages.work import work
from tests.harness.confidence import FakeBudget
from tests.harness.fakes.model import FakeModel
from tests.harness.stages import PIPELINE, START, Office, event, office, the, verdict, with_records

BATCHED = PIPELINE.replace("[workers.answer]", '[workers.answer]\nbatch = "1h"\ntimeout = "1m"')
BUDGETED = BATCHED.replace(
    "[models.m]", "[budgets.worker]\nusd_per_day = 1\n\n[models.m]\npriced_as = 'claude-haiku-4-5'"
)
USED: dict[str, Any] = {"model": "m-1", "input_tokens": 1000, "output_tokens": 100, "response_id": "msg-1"}
SAID = ModelReply(text=json.dumps({"answer": {"reply": "yes"}}), stop_reason="end_turn", **USED)
FULL, HALF = Decimal("0.0015"), Decimal("0.00075")


class Desk:
    """WORK with a worker whose model is asked through the live chain."""

    def __init__(self, directory: Path, budget: FakeBudget | None = None, text: str = BATCHED) -> None:
        plain = office(directory, text)
        priced = {
            name: dataclasses.replace(one, batch=Decimal("0.5")) for name, one in plain.records.prices.prices.items()
        }
        prices = PriceList(plain.records.prices.as_of, priced)
        self.office: Office = with_records(plain, prices=prices)
        self.model = FakeModel(SAID)
        self.services = dataclasses.replace(self.office.services, batches=True, budget=budget)
        handler = self.office.pipeline.workers["answer"]
        assert handler.prompting is not None
        callee = self.office.backends["answer"].callee
        one = PromptedModel(callee=callee, prompting=handler.prompting, language_model=self.model)
        self.version = handler.version
        self.caller = chain(LimitedBackend(backend=one), self.services)

    async def work(self, task: Verdict) -> list[Message]:
        callers = {"answer": self.caller}
        return await work(task, START, self.office.pipeline, callers, self.office.records, {}, None)

    def batched(self, task: Verdict, end: Any = "answered", said: ModelReply | None = SAID, **more: Any) -> Verdict:
        usual: dict[str, Any] = {
            "handler_version": self.version,
            "batch_id": "msgbatch_1",
            "reply": reply_text(said) if said else None,
            "queued_at": START,
            "asked_at": START + timedelta(minutes=15),
            "ended_at": START + timedelta(minutes=40),
        }
        return dataclasses.replace(task, batch_reply=BatchReply(end=end, **usual | more))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def task(event_id: str = "e1", minutes: float | None = None, text: str = "How long?") -> Verdict:
    of = event(event_id, text)
    if minutes is not None:
        of = dataclasses.replace(of, deadline=START + timedelta(minutes=minutes))
    return verdict(of, "answer", "question")


@pytest.mark.parametrize("minutes", [None, 67.0, 500.0])
async def test_a_task_with_time_waits_and_no_call_is_made(desk: Desk, minutes: float | None) -> None:
    (deferred,) = await desk.work(task(minutes=minutes))
    assert isinstance(deferred, Deferred)
    assert (deferred.cause, deferred.verdict, topic_of(deferred).name) == (
        "batch", task(minutes=minutes), "deferred-batch",
    )  # fmt: skip
    assert desk.model.requests == []


@pytest.mark.parametrize("minutes", [2.0, 66.9])
async def test_a_task_whose_deadline_is_nearer_is_asked_at_once(desk: Desk, minutes: float) -> None:
    call = the(Call, await desk.work(task(minutes=minutes)))
    assert (call.cost_usd, call.batch_id) == (FULL, None)


async def test_a_stored_answer_serves_without_a_batch(desk: Desk) -> None:
    await desk.work(task("e0", minutes=2))
    call = the(Call, await desk.work(task("e1")))
    assert call.cache_hit


async def test_without_money_a_task_waits_for_the_next_day_and_for_no_batch(tmp_path: Path) -> None:
    deferred = the(Deferred, await Desk(tmp_path, FakeBudget(Decimal(0)), BUDGETED).work(task()))
    assert deferred.cause == "budget"


async def test_the_reply_of_a_batch_is_audited_at_half_price_with_its_own_times(desk: Desk) -> None:
    messages = await desk.work(desk.batched(task()))
    call = the(Call, messages)
    assert json.loads(the(Result, messages).answer or "") == {"reply": "yes"}
    assert (call.cost_usd, call.batch_id, call.response_id) == (HALF, "msgbatch_1", "msg-1")
    assert call.started_at == START + timedelta(minutes=15)
    assert (call.queue_seconds, call.duration_seconds) == (900, 1500)
    assert "How long?" in call.prompt
    assert desk.model.requests == []


async def test_a_task_that_comes_twice_has_one_record(desk: Desk) -> None:
    first = await desk.work(desk.batched(task()))
    assert await desk.work(desk.batched(task())) == first
    assert the(Call, await desk.work(desk.batched(task(), "passed", None))) == the(Call, first)


async def test_a_paid_reply_is_audited_although_another_event_was_answered_alike(desk: Desk) -> None:
    await desk.work(task("e0", minutes=2))
    call = the(Call, await desk.work(desk.batched(task("e1"))))
    assert (call.cache_hit, call.cost_usd) == (False, HALF)


async def test_a_batch_without_a_reply_is_asked_by_the_ordinary_api(desk: Desk) -> None:
    call = the(Call, await desk.work(desk.batched(task(), "passed", None)))
    assert (call.cost_usd, call.batch_id) == (FULL, None)


async def test_a_request_that_failed_in_its_batch_is_asked_again_and_both_are_audited(desk: Desk) -> None:
    failed = desk.batched(task(), "failed", None, error_type="server_error", error="It broke.", retryable=True)
    first, second = (one for one in await desk.work(failed) if isinstance(one, Call))
    assert (first.batch_id, first.error_type, first.decision) == ("msgbatch_1", "server_error", "retried")
    assert (second.batch_id, second.status, second.cost_usd) == (None, "answered", FULL)
    assert first.call_id != second.call_id


async def test_the_reply_to_an_earlier_version_is_paid_and_not_used(desk: Desk) -> None:
    first, second = (
        one for one in await desk.work(desk.batched(task(), handler_version="old")) if isinstance(one, Call)
    )
    assert (first.cost_usd, first.status) == (HALF, "failed")
    assert "earlier version of this handler (old)" in (first.error or "")
    assert second.cost_usd == FULL


async def test_the_money_of_a_batch_is_counted_when_it_returns_even_if_none_is_left(tmp_path: Path) -> None:
    budget = FakeBudget(Decimal("0.0001"))
    desk = Desk(tmp_path, budget, BUDGETED)
    await desk.work(desk.batched(task()))
    assert the(Call, await desk.work(desk.batched(task("e2", text="When?")))).cost_usd == HALF
    assert [*budget.spent.values()] == [2 * HALF]


async def test_a_refusal_before_any_output_costs_nothing_in_a_batch_either(desk: Desk) -> None:
    refused = ModelReply(text="", stop_reason="refusal", refusal="no", unbilled=True, **USED)
    call = next(one for one in await desk.work(desk.batched(task(), said=refused)) if isinstance(one, Call))
    assert (call.status, call.cost_usd, call.batch_id) == ("refused", Decimal(0), "msgbatch_1")


def test_a_reply_comes_back_as_it_was_and_later_fields_are_ignored() -> None:
    reply = dataclasses.replace(SAID, tokens=(Token("yes", -0.1),), thinking_tokens=3)
    assert reply_of(reply_text(reply)) == reply
    assert reply_of(json.dumps(json.loads(reply_text(reply)) | {"later": 1})) == reply
