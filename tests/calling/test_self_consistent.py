"""Several samples of one task: what most of them say, and what they all cost."""

from __future__ import annotations

import dataclasses
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from streams.calling.request import CallOutcome, OutOfBudget, Reply
from streams.calling.self_consistent import SELF_CONSISTENCY
from streams.calling.task import Task
from streams.core.answer_comparison import Agree, Comparison
from streams.core.fingerprint import call_id, digest
from streams.core.messages import Score
from tests.harness.confidence import PRICE, with_money
from tests.harness.stages import (
    FakeBackend,
    Office,
    backend,
    event,
    model_error,
    office,
    refusal,
    request,
    said,
)

EXACT = Comparison()


@pytest.fixture
def here(tmp_path: Path) -> Office:
    return office(tmp_path)


async def sampled(here: Office, one: FakeBackend, samples: int, agree: Agree = EXACT, of: str = "e1") -> CallOutcome:
    done = await here.caller(one, samples, agree).call(request(one, of))
    assert isinstance(done, CallOutcome)
    return done


async def said_by(here: Office, *values: Any, agree: Agree = EXACT) -> CallOutcome:
    """Return the outcome of one sample for each value; a turn is taken as it is."""
    turns = [value if isinstance(value, Reply) else said(value) for value in values]
    return await sampled(here, backend(here, turns), len(turns), agree)


def share(done: CallOutcome) -> float | None:
    found = [score.probability for score in done.attempt.sources if score.label == SELF_CONSISTENCY]
    return found[0] if found else None


async def test_each_sample_is_asked_for_by_its_number(here: Office) -> None:
    one = backend(here, [said()])
    await sampled(here, one, 4)
    assert sorted(one.samples) == [0, 1, 2, 3]


async def test_the_first_sample_is_the_plain_task_and_each_further_one_a_task_of_its_own(here: Office) -> None:
    one = backend(here, [said()])
    plain = request(one)
    calls = sorted((await sampled(here, one, 3)).calls, key=lambda call: call.sample)
    assert [call.sample for call in calls] == [0, 1, 2]
    assert [call.fingerprint for call in calls] == [
        plain.task_fingerprint,
        digest(plain.task_fingerprint, 1),
        digest(plain.task_fingerprint, 2),
    ]
    assert [call.call_id for call in calls] == [
        call_id("live", "e1", "worker", "answer", 1, n, fingerprint=call.fingerprint) for n, call in enumerate(calls)
    ]
    assert set(here.answers.kept) == {call.fingerprint for call in calls}


async def test_what_was_asked_plainly_before_serves_as_the_first_sample(here: Office) -> None:
    one = backend(here, [said()])
    await here.ask(one)
    await sampled(here, one, 3)
    assert one.samples == [0, 1, 2]


async def test_one_sample_is_asked_plainly(here: Office) -> None:
    one, other = backend(here, [said("a", 0.9)]), backend(here, [said("a", 0.9)], cache="off")
    assert await sampled(here, one, 1) == await here.ask(other)
    assert share(await sampled(here, one, 1)) is None


@pytest.mark.parametrize(
    ("values", "answer", "speaker", "confidence"),
    [
        ("abbab", '"b"', 1, 0.6),
        ("aaa", '"a"', 0, 1.0),
        ("abba", '"a"', 0, 0.5),
        ("abc", '"a"', 0, 1 / 3),
        ("bcaa", '"a"', 2, 0.5),
    ],
)
async def test_the_earliest_answer_of_the_largest_group_is_taken_and_the_groups_share_is_the_confidence(
    here: Office, values: str, answer: str, speaker: int, confidence: float
) -> None:
    done = await said_by(here, *values)
    assert (done.attempt.answer, share(done)) == (answer, confidence)
    assert done.attempt.call_id == next(call.call_id for call in done.calls if call.sample == speaker)


async def test_answers_agree_by_the_handlers_own_comparison(here: Office) -> None:
    answers = ("it is 72", "71", "72.0")
    assert share(await said_by(here, *answers)) == pytest.approx(1 / 3)
    done = await said_by(office(here.pipeline.path.parent), *answers, agree=Comparison("numeric"))
    assert done.attempt.answer == '"it is 72"'
    assert share(done) == pytest.approx(2 / 3)


async def test_an_answer_that_agrees_with_nothing_counts_for_itself(here: Office) -> None:
    done = await said_by(here, "none", "no number", agree=Comparison("numeric"))
    assert (done.attempt.answer, share(done)) == ('"none"', 0.5)


async def test_the_speaker_is_never_outside_its_own_group(here: Office) -> None:
    """Near enough is not transitive: 1 and 3 are both near 2, and not near each other."""
    done = await said_by(here, 10, 11, 12, 50, agree=Comparison("numeric", tolerance=0.1))
    assert (done.attempt.answer, share(done)) == ("11", 0.75)


async def test_what_the_speakers_reply_says_of_itself_is_kept(here: Office) -> None:
    done = await said_by(here, said("b", 0.1), said("a", 0.2), said("a", 0.3))
    assert done.attempt.sources == (
        Score(label="verbalized", probability=0.2),
        Score(label=SELF_CONSISTENCY, probability=2 / 3),
    )


@pytest.mark.parametrize(
    ("turns", "status"),
    [
        ([said("a"), refusal(), refusal()], "refused"),
        ([refusal(), said("a"), said("b")], "answered"),
        ([refusal(), said("a")], "answered"),
        ([refusal(), refusal()], "refused"),
    ],
)
async def test_where_fewer_than_half_have_an_answer_the_task_is_refused(
    here: Office, turns: list[Reply], status: str
) -> None:
    done = await said_by(here, *turns)
    assert done.attempt.status == status
    if status == "refused":
        first = next(n for n, turn in enumerate(turns) if turn.reading.status == "refused")
        assert done.attempt.call_id == next(call.call_id for call in done.calls if call.sample == first)
        assert share(done) is None


async def test_a_refusal_takes_its_share_of_the_confidence(here: Office) -> None:
    assert share(await said_by(here, "a", refusal(), "a", "b")) == 0.5


async def test_every_call_is_recorded_the_deciding_one_last(here: Office) -> None:
    done = await said_by(here, *"abb")
    assert [(call.sample, call.decision) for call in done.calls] == [(0, "sampled"), (2, "sampled"), (1, "found")]
    assert done.calls[-1].call_id == done.attempt.call_id
    decided = here.records.decided(done, "accepted", "enough")
    assert [call.decision for call in decided] == ["sampled", "sampled", "accepted"]
    assert decided[-1].sources == done.attempt.sources
    assert sum(call.cost_usd or 0 for call in decided) == 3 * PRICE


async def test_the_tries_of_each_sample_are_recorded_too(here: Office) -> None:
    done = await sampled(here, backend(here, [model_error(), said("a"), said("a")], cache="off"), 2)
    assert [(call.sample, call.attempt, call.decision) for call in done.calls] == [
        (1, 1, "sampled"),
        (0, 1, "retried"),
        (0, 2, "found"),
    ]


async def test_the_same_event_delivered_again_gives_the_same_records_without_a_call(here: Office) -> None:
    one = backend(here, [said("a"), said("b"), said("b")])
    first = await sampled(here, one, 3)
    here.clock.passes(3600)
    assert await sampled(here, one, 3) == first
    assert len(one.asked) == 3


async def test_another_events_identical_task_is_served_every_sample_from_the_store(here: Office) -> None:
    one = backend(here, [said("a"), said("b"), said("b")])
    first = await sampled(here, one, 3)
    hit = await sampled(here, one, 3, of="e2")
    assert len(one.asked) == 3
    assert all(call.cache_hit and call.cost_usd == 0 for call in hit.calls)
    assert (hit.attempt.answer, hit.attempt.sources) == (first.attempt.answer, first.attempt.sources)
    assert {call.call_id for call in hit.calls} == {
        call_id("live", "e2", "worker", "answer", 1, call.sample, fingerprint=call.fingerprint) for call in hit.calls
    }
    assert {call.sample for call in hit.calls} == {0, 1, 2}


async def test_more_samples_later_cost_only_what_is_new(here: Office) -> None:
    one = backend(here, [said("a")])
    await sampled(here, one, 2)
    await sampled(here, one, 5, of="e2")
    assert one.samples == [0, 1, 2, 3, 4]


async def test_when_the_money_runs_out_the_calls_made_are_kept_and_not_paid_again(here: Office) -> None:
    budget, one = with_money(here, 2 * PRICE), backend(here, [said("a")])
    out = await here.caller(one, 4).call(request(one))
    assert isinstance(out, OutOfBudget)
    assert [(call.sample, call.decision) for call in out.calls] == [(0, "sampled"), (1, "sampled")]
    assert list(budget.spent.values()) == [2 * PRICE]
    budget.usd_per_day = Decimal(1)
    done = await sampled(here, one, 4)
    assert (one.samples, share(done)) == ([0, 1, 2, 3], 1.0)
    assert {call.call_id for call in out.calls} < {call.call_id for call in done.calls}


async def test_a_sample_that_runs_out_of_money_between_its_tries_leaves_its_tries(here: Office) -> None:
    budget, one = with_money(here, PRICE), backend(here, [model_error(), said("a")])
    asked = dataclasses.replace(request(one), origin=event("e9").origin)
    budget.spend(PRICE - Decimal("1e-12"), here.clock.now())

    async def spends(task: Task, sample: int = 0, within: float = math.inf) -> Reply:
        budget.spend(PRICE, here.clock.now())
        return await FakeBackend.ask(one, task, sample, within)

    one.ask = spends  # type: ignore[method-assign]
    out = await here.caller(one, 2).call(asked)
    assert isinstance(out, OutOfBudget)
    assert [(call.sample, call.decision) for call in out.calls] == [(0, "retried")]


def test_a_request_without_a_sample_keeps_its_fingerprint(here: Office) -> None:
    plain = request(backend(here, [said()]))
    assert plain.fingerprint == plain.task_fingerprint
    assert len({dataclasses.replace(plain, sample=n).fingerprint for n in range(50)}) == 50
