"""Another run's answers serve a replay, at no cost and with their price."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

from streams.calling.request import CallOutcome, CallRequest
from streams.calling.task import task_of
from streams.core.fingerprint import task_fingerprint
from streams.core.messages import Event
from streams.replay.counted import Counted, ReplaySpending, WouldAskError, refuse
from streams.replay.replayed import ReplayedAnswers
from tests.builders import START, event
from tests.harness.stages import FakePrior, Office, office, refusal, replays, said

PAID = Decimal("0.0015")  # 1,000 tokens in at 1 a million, 100 out at 5


def request(here: Office, of: Event, handler: str = "answer", run: str = "live") -> CallRequest:
    task = task_of(of, ("text",))
    fingerprint = task_fingerprint(here.backends[handler].handler.version, task.input())
    return CallRequest(task=task, origin=replace(of.origin, run=run), task_fingerprint=fingerprint, received_at=START)


def at(of: Event, hours: float) -> Event:
    """The event, some hours later."""
    return replace(of, origin=replace(of.origin, event_time=START + timedelta(hours=hours)))


def prior_of(here: Office) -> FakePrior:
    assert isinstance(here.services.answers, ReplayedAnswers)
    assert isinstance(here.services.answers.prior, FakePrior)
    return here.services.answers.prior


async def asked(here: Office, of: Event, handler: str = "answer", run: str = "live") -> CallOutcome:
    done = await here.call(here.backends[handler], request(here, of, handler, run))
    assert isinstance(done, CallOutcome)
    return done


async def after_live(directory: Path, *, handler: str = "answer") -> Office:
    """An office that replays, where the live run was asked about event e1 a year ago."""
    live = office(directory, answer=said("yes", 0.9))
    await asked(live, event("e1"), handler)
    here = office(directory)
    here.clock.passes(timedelta(days=365).total_seconds())
    key = request(live, event("e1"), handler).fingerprint
    (stored,) = live.answers.kept.values() if live.answers.kept else (None,)
    replays(here, {key: stored} if stored else {})
    return here


async def test_an_old_answer_of_this_event_is_reused_with_what_it_cost_and_how_long_it_took(tmp_path: Path) -> None:
    here = await after_live(tmp_path)
    done = await asked(here, event("e1"), run="candidate")
    assert here.backends["answer"].asked == []
    assert done.attempt.answer == '"yes"'
    (call,) = done.calls
    assert (call.reused_from, call.cache_hit, call.cost_usd, call.saved_usd) == ("live", True, Decimal(0), PAID)
    assert call.origin.run == "candidate"
    assert call.call_id == done.attempt.call_id


async def test_another_event_with_the_same_task_would_have_been_a_hit_live(tmp_path: Path) -> None:
    here = await after_live(tmp_path)
    (call,) = (await asked(here, event("e2"), run="candidate")).calls
    assert (call.reused_from, call.cache_hit, call.cost_usd) == (None, True, Decimal(0))
    (paid,) = (await asked(here, event("e1"), run="candidate")).calls
    assert paid.reused_from == "live", "whichever comes first, the event that paid live is the one that would pay"


async def test_a_hit_on_a_reused_answer_is_not_a_reuse(tmp_path: Path) -> None:
    here = await after_live(tmp_path)
    await asked(here, event("e1"), run="candidate")
    (call,) = (await asked(here, event("e2"), run="candidate")).calls
    assert (call.reused_from, call.saved_usd) == (None, PAID)


async def test_an_event_that_came_when_the_answer_had_expired_would_have_been_paid_for(tmp_path: Path) -> None:
    here = await after_live(tmp_path)  # the worker's answers are fresh for an hour
    hours = {"e2": 0.9, "e3": 1.5, "e4": 2.4, "e5": -1.5}
    events = {name: at(event(name), hour) for name, hour in hours.items()}
    calls = {name: (await asked(here, one, run="candidate")).calls[0] for name, one in events.items()}
    assert {name: call.reused_from for name, call in calls.items()} == {
        "e2": None,  # a hit on e1
        "e3": "live",  # e1's has expired, so it would have bought its own
        "e4": None,  # a hit on e3
        "e5": "candidate",  # long before the others
    }
    assert {call.cost_usd for call in calls.values()} == {Decimal(0)}
    assert here.backends["answer"].asked == []


async def test_what_broke_for_another_event_is_tried_again(tmp_path: Path) -> None:
    here = await after_live(tmp_path)
    prior = prior_of(here)
    for key, stored in prior.kept.items():
        prior.kept[key] = replace(stored, attempt=replace(stored.attempt, status="invalid"))
    await asked(here, event("e2"), run="candidate")
    assert len(here.backends["answer"].asked) == 1
    (own,) = (await asked(here, event("e1"), run="candidate")).calls
    assert own.reused_from == "live", "its own ended so live as well"


async def test_where_nothing_is_known_the_model_is_asked_and_its_answer_is_the_runs_own(tmp_path: Path) -> None:
    here = await after_live(tmp_path)
    here.backends["answer"].script = [refusal()]
    (call,) = (await asked(here, event("e1", "another text"), run="candidate")).calls
    assert (call.reused_from, call.cache_hit, call.cost_usd) == (None, False, PAID)
    again = await asked(here, event("e1", "another text"), run="candidate")
    assert again.calls == (call,), "asked again about the same event, the record is the same"
    assert len(here.backends["answer"].asked) == 1


@pytest.mark.parametrize("handler", ["resolve", "file"])
async def test_the_cache_policy_does_not_keep_a_replay_from_what_is_known(tmp_path: Path, handler: str) -> None:
    here = await after_live(tmp_path, handler="answer")
    (stored,) = prior_of(here).kept.values()
    key = request(here, event("e1"), handler).fingerprint
    replays(here, {key: stored})
    (call,) = (await asked(here, event("e1"), handler, run="candidate")).calls
    assert call.reused_from == "live"
    assert here.backends[handler].asked == []


async def test_live_a_handler_without_a_cache_is_always_asked(tmp_path: Path) -> None:
    here = office(tmp_path)
    await asked(here, event("e1"), "file")
    await asked(here, event("e1"), "file")
    assert len(here.backends["file"].asked) == 2


async def test_plain_code_without_a_cache_runs_again_in_a_replay(tmp_path: Path) -> None:
    here = office(tmp_path)
    replays(here, {})
    here.backends["rules"].free = True
    for _ in range(2):
        await asked(here, event("e1"), "rules", run="candidate")
    assert (len(here.backends["rules"].asked), here.answers.kept) == (2, {})


async def test_each_call_that_may_cost_something_is_counted_and_plain_code_is_not(tmp_path: Path) -> None:
    here, spending = await after_live(tmp_path), ReplaySpending()
    here.services = replace(here.services, watch=partial(Counted, before=lambda one, _: spending.count(one)))
    here.backends["rules"].free = True
    for one in (event("e1"), event("e1", "another text")):
        await asked(here, one, run="candidate")
    await asked(here, event("e1"), "rules", run="candidate")
    assert spending.asked == {"worker.answer": 1}


async def test_a_rehearsal_is_served_what_is_known_and_makes_no_call(tmp_path: Path) -> None:
    here = await after_live(tmp_path)
    here.services = replace(here.services, watch=partial(Counted, before=refuse))
    assert (await asked(here, event("e1"), run="candidate")).calls[0].reused_from == "live"
    with pytest.raises(WouldAskError, match="answer would be asked again"):
        await asked(here, event("e1", "another text"), run="candidate")
    assert (here.backends["answer"].asked, here.services.in_flight) == ([], {})
