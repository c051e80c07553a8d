"""The fate of a task when the day's budget is spent."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from streams.core.errors import UnreadableError
from streams.core.messages import Deferred, Escalation, Verdict
from streams.stages.escalate import escalate
from streams.stages.over_budget import accepted, defer, spent, unaffordable
from tests.harness.stages import (
    Office,
    Turn,
    event,
    office,
    refusal,
    said,
    the,
    verdict,
)

MIDNIGHT = datetime(2026, 11, 2, tzinfo=UTC)


@pytest.fixture
def here(tmp_path: Path) -> Office:
    return office(tmp_path)


async def escalated(here: Office, turn: Turn) -> Escalation:
    here.backends["extract"].script = [turn]
    return the(Escalation, await here.work(verdict(event())))


# ---- What becomes of the task ----


def test_a_deferral_without_a_task_cannot_be_read() -> None:
    with pytest.raises(UnreadableError, match="neither a verdict nor an escalation"):
        _ = Deferred(cause="budget", not_before=MIDNIGHT, reason="budget").task


async def test_a_task_waits_for_the_next_day_and_counts_how_often_it_has(here: Office) -> None:
    first = defer(verdict(event()), "worker", here.records)
    assert (first.not_before, first.task.budget_deferrals, first.escalation) == (MIDNIGHT, 1, None)
    assert first.verdict == dataclasses.replace(verdict(event()), budget_deferrals=1)
    here.clock.at = MIDNIGHT
    again = defer(first.task, "worker", here.records)
    assert (again.not_before, again.task.budget_deferrals) == (MIDNIGHT + timedelta(days=1), 2)


async def test_a_reasoners_task_waits_with_all_that_came_before(here: Office) -> None:
    escalation = await escalated(here, refusal())
    waiting = defer(escalation, "reasoner", here.records)
    assert waiting.verdict is None
    assert waiting.escalation == dataclasses.replace(escalation, budget_deferrals=1)


def test_the_reason_names_the_tier_and_the_day(here: Office) -> None:
    here.clock.at = datetime(2026, 11, 1, 23, 59, tzinfo=UTC)
    for reason in (spent("reasoner", here.records), defer(verdict(event()), "reasoner", here.records).reason):
        assert reason == "budget: this partition's share of the reasoners' money for 2026-11-01 is spent"


@pytest.mark.parametrize("tier", ["worker", "reasoner"])
async def test_a_task_that_fails_without_money_says_so_last(here: Office, tier: Any) -> None:
    task: Verdict | Escalation = verdict(event()) if tier == "worker" else await escalated(here, refusal())
    result = unaffordable(task, tier, here.records, ("refused: no",))
    assert (result.state, result.tier, result.answer, result.call_id) == ("failed", tier, None, None)
    assert (result.origin, result.handler, result.intent) == (event().origin, task.handler, "order")
    assert result.reasons == ("refused: no", spent(tier, here.records))


async def test_a_workers_answer_that_is_accepted_after_all_is_its_own_and_marked(here: Office) -> None:
    escalation = await escalated(here, said({"number": 7}, 0.1))
    result = accepted(escalation, here.records, ("unsure: 0.1",))
    assert result is not None
    assert escalation.attempt is not None
    assert (result.state, result.tier, result.handler) == ("answered", "worker", "extract")
    assert (result.answer, result.call_id) == ('{"number": 7}', escalation.attempt.call_id)
    assert result.reasons == ("unsure: 0.1", f"{spent('reasoner', here.records)}; the worker's answer is accepted")


async def test_where_the_worker_gave_no_answer_there_is_none_to_accept(here: Office) -> None:
    assert accepted(await escalated(here, refusal()), here.records, ()) is None
    resolve = here.pipeline.reasoners["resolve"]
    direct = escalate(verdict(event(), "resolve", action="reason"), resolve, here.records, "routed", "order", None)
    assert accepted(direct, here.records, ()) is None
