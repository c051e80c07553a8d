"""A handler's fallback model: when it is asked, what it costs, whom its answers serve."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from streams.calibration.calibrators import Temperature
from streams.calling.confidence import ConfidenceScorer
from streams.calling.request import CallOutcome, OutOfBudget
from streams.calling.threshold import ThresholdPolicy
from streams.core.errors import PROVIDER_FAULTS
from streams.core.fingerprint import call_id
from streams.core.messages import Call, Escalation, Result
from tests.harness.confidence import PRICE, FakeWatches, calibration, with_money
from tests.harness.stages import (
    PIPELINE,
    FakeBackend,
    Office,
    Turn,
    broken_schema,
    event,
    model_error,
    office,
    refusal,
    replays,
    request,
    said,
    the,
    verdict,
    with_limits,
    with_spec,
)

SPARE = '[models.spare]\nprovider = "recorded"\nmodel = "spare"\ncassette = "none.jsonl"\n\n[listeners.rules]'
WITH_FALLBACK = PIPELINE.replace("[listeners.rules]", SPARE).replace(
    'task = "answer"\nmodel = "m"', 'task = "answer"\nmodel = "m"\nfallback = "spare"\nretries = 1'
)


@pytest.fixture
def here(tmp_path: Path) -> Office:
    return office(tmp_path, WITH_FALLBACK)


def pair(here: Office, own: Sequence[Turn] | Turn, spare: Turn | None = None, **policy: object) -> FakeBackend:
    """The worker's backend with the fallback's behind it, which is of the same policy but for its retries."""
    handler = with_spec(here.pipeline.workers["answer"], **policy)
    assert handler.fallback is not None
    second = FakeBackend(
        with_spec(handler.fallback, **{**policy, "retries": 0}), [spare or said("spare's", 0.9)], model="spare"
    )
    turns = own if isinstance(own, Sequence) else [own]
    return FakeBackend(handler, turns, fallback=second)


def spare_of(one: FakeBackend) -> FakeBackend:
    assert isinstance(one.fallback, FakeBackend)
    return one.fallback


async def asked(here: Office, one: FakeBackend, event_id: str = "e1") -> CallOutcome:
    done = await here.ask(one, event_id)
    assert isinstance(done, CallOutcome)
    return done


@pytest.mark.parametrize("error_type", sorted(PROVIDER_FAULTS - {"circuit_open"}))
async def test_after_its_retries_the_fallback_is_asked_once_under_the_next_number(
    here: Office, error_type: str
) -> None:
    one = pair(here, model_error(error_type))
    done = await asked(here, one)
    assert (len(one.asked), len(spare_of(one).asked)) == (2, 1)
    assert done.attempt.answer == '"spare\'s"'
    found = [(call.attempt, call.request_model, call.status, call.decision) for call in done.calls]
    assert found == [(1, "m", "failed", "retried"), (2, "m", "failed", "retried"), (3, "spare", "answered", "found")]
    assert [call.call_id for call in done.calls] == [
        call_id("live", "e1", "worker", "answer", n, fingerprint=call.fingerprint)
        for n, call in enumerate(done.calls, 1)
    ]
    assert [call.cost_usd for call in done.calls] == [None, None, PRICE]


async def test_the_fallback_itself_is_not_retried(here: Office) -> None:
    one = pair(here, model_error("timeout"), model_error("overloaded"))
    done = await asked(here, one)
    assert len(spare_of(one).asked) == 1
    assert (done.attempt.status, done.attempt.error_type) == ("failed", "overloaded")
    assert [call.decision for call in done.calls] == ["retried", "retried", "failed"]
    assert here.answers.kept == {}


@pytest.mark.parametrize("turn", [said(), refusal(), broken_schema(), model_error("bad_request", retryable=False)])
async def test_what_is_not_the_providers_fault_is_not_the_fallbacks_business(here: Office, turn: Turn) -> None:
    one = pair(here, turn)
    await asked(here, one)
    assert spare_of(one).asked == []


async def test_while_the_breaker_is_open_the_fallback_is_asked_at_once(here: Office) -> None:
    one = pair(here, model_error(), cache="off")
    limits = with_limits(here, one)
    while limits.breaker.state != "open":
        await asked(here, one)
    before, slept = len(one.asked), len(here.clock.slept)
    done = await asked(here, one)
    assert (len(one.asked), len(here.clock.slept)) == (before, slept)
    assert [call.error_type for call in done.calls] == ["circuit_open", None]
    assert done.attempt.status == "answered"


# ---- Whom its answers serve ----


async def test_the_same_event_delivered_again_is_not_paid_again(here: Office) -> None:
    one = pair(here, model_error())
    first = await asked(here, one)
    one.script = [said("the own model's")]
    assert await asked(here, one) == first
    assert len(spare_of(one).asked) == 1


async def test_another_event_asks_the_own_model_first_and_is_not_served_the_fallbacks_answer(here: Office) -> None:
    one = pair(here, model_error())
    await asked(here, one)
    one.script = [said("the own model's")]
    other = await asked(here, one, "e2")
    assert other.attempt.answer == '"the own model\'s"'
    assert not other.calls[0].cache_hit


async def test_where_it_fails_again_the_fallbacks_stored_answer_serves_under_the_next_number(here: Office) -> None:
    one = pair(here, model_error())
    await asked(here, one)
    other = await asked(here, one, "e2")
    assert len(spare_of(one).asked) == 1
    assert [(call.attempt, call.cache_hit) for call in other.calls] == [(1, False), (2, False), (3, True)]
    assert (other.calls[-1].cost_usd, other.calls[-1].saved_usd) == (Decimal(0), PRICE)
    served = other.calls[-1]
    own_id = call_id("live", "e2", "worker", "answer", 3, fingerprint=served.fingerprint)
    assert other.attempt.call_id == served.call_id == own_id


async def test_the_versions_and_fingerprints_of_both_differ_and_the_own_one_is_as_without_a_fallback(
    here: Office, tmp_path: Path
) -> None:
    worker = here.pipeline.workers["answer"]
    assert worker.fallback is not None
    plain = office(tmp_path, WITH_FALLBACK.replace('\nfallback = "spare"', "")).pipeline.workers["answer"]
    assert worker.version == plain.version != worker.fallback.version
    done = await asked(here, pair(here, model_error()))
    assert [call.handler_version for call in done.calls] == [*[worker.version] * 2, worker.fallback.version]
    assert len({call.fingerprint for call in done.calls}) == 2


async def test_money_that_runs_out_before_the_fallback_leaves_the_tries_of_before(here: Office) -> None:
    with_money(here, PRICE)
    one = pair(here, model_error(), cache="off")
    await asked(here, one)
    assert isinstance(await here.call(one, request(one, "e2")), OutOfBudget)


# ---- In a replay ----


async def test_an_unchanged_replay_is_given_the_fallbacks_answer_again_and_pays_nothing(
    here: Office, tmp_path: Path
) -> None:
    live = await asked(here, pair(here, model_error()))
    replay = office(tmp_path, WITH_FALLBACK)
    replays(replay, {one.calls[-1].fingerprint: one for one in here.answers.kept.values()})
    one = pair(replay, said("the own model's"))
    asking = request(one)
    done = await replay.call(one, dataclasses.replace(asking, origin=dataclasses.replace(asking.origin, run="r")))
    assert isinstance(done, CallOutcome)
    assert (one.asked, spare_of(one).asked) == ([], [])
    assert done.attempt.answer == live.attempt.answer
    assert (done.calls[0].reused_from, done.calls[0].saved_usd) == ("live", PRICE)


async def test_another_event_of_a_replay_is_not_given_it(here: Office, tmp_path: Path) -> None:
    await asked(here, pair(here, model_error()))
    replay = office(tmp_path, WITH_FALLBACK)
    replays(replay, {one.calls[-1].fingerprint: one for one in here.answers.kept.values()})
    one = pair(replay, said("the own model's"))
    assert (await asked(replay, one, "e2")).attempt.answer == '"the own model\'s"'


# ---- What a worker makes of it ----


def calibrated(here: Office, fallback: float | None) -> ThresholdPolicy:
    """Give the office's worker a calibration that accepts all of the own model's answers."""
    worker = here.pipeline.workers["answer"]
    assert worker.confidence is not None
    artifact = calibration(Temperature(1.0), handler="answer", threshold=0.1, raw_threshold=0.1)
    config = dataclasses.replace(
        worker.confidence, artifact=artifact, threshold=0.1, fallback=fallback, sources=("verbalized",)
    )
    workers = {**here.pipeline.workers, "answer": dataclasses.replace(worker, confidence=config)}
    here.pipeline = dataclasses.replace(here.pipeline, workers=workers)
    policy = ThresholdPolicy(configs={"answer": config}, watches=FakeWatches(), partitions=1, report=lambda *_: None)
    scorer = ConfidenceScorer(config=config, verify=None, functions={}, timeout=1)
    here.thresholds, here.scorers = policy, {"answer": scorer}
    return policy


async def worked(here: Office, one: FakeBackend) -> list[object]:
    here.backends["answer"] = one
    return list(await here.work(verdict(event(), "answer")))


async def test_a_worker_without_a_calibration_takes_the_fallbacks_answer_as_its_own(here: Office) -> None:
    messages = await worked(here, pair(here, model_error()))
    assert the(Result, messages).answer == '"spare\'s"'
    assert [one.decision for one in messages if isinstance(one, Call)] == ["retried", "retried", "accepted"]


@pytest.mark.parametrize(
    ("fallback", "accepted"), [(None, False), (1.0, False), (0.95, False), (0.9, True), (0.5, True)]
)
async def test_a_calibration_says_nothing_of_the_fallbacks_answers(
    here: Office, fallback: float | None, accepted: bool
) -> None:
    calibrated(here, fallback)
    messages = await worked(here, pair(here, model_error(), said("spare's", 0.9)))
    last = [one for one in messages if isinstance(one, Call)][-1]
    assert (last.decision == "accepted") is accepted
    assert (last.calibration, last.confidence) == (None, 0.9)
    assert "its fallback model answered" in last.decision_reason
    assert any(isinstance(one, Escalation) for one in messages) is not accepted


async def test_the_own_models_answer_is_held_to_the_calibration_as_before(here: Office) -> None:
    policy = calibrated(here, None)
    messages = await worked(here, pair(here, said("own", 0.9)))
    assert the(Call, messages).calibration is not None
    assert isinstance(policy.watches, FakeWatches)
    assert len(policy.watches.kept) == 1


async def test_the_fallbacks_scores_are_not_held_against_the_calibrations(here: Office) -> None:
    policy = calibrated(here, 0.5)
    await worked(here, pair(here, model_error()))
    assert isinstance(policy.watches, FakeWatches)
    assert policy.watches.kept == {}
