"""The promise of batches: at any step that the process ends at, no event is lost and none is paid for twice."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import timedelta

import pytest

from streams.core.errors import ModelError
from tests.builders import START
from tests.harness.batch_world import Arrival, World, world

DAY = timedelta(hours=30)


def events(seed: int, number: int, hours: float = 2.0) -> list[Arrival]:
    """Events within some hours, with deadlines from two minutes to two hours."""
    chance = random.Random(seed)
    found = []
    for one in range(number):
        at = START + timedelta(hours=chance.uniform(0, hours))
        deadline = at + timedelta(minutes=chance.uniform(2, 120))
        found.append(Arrival(f"e{one}", at, deadline, f"prompt {one}"))
    return found


def check(of: World, arrivals: Sequence[Arrival]) -> None:
    assert sorted(of.answers) == sorted(one.event_id for one in arrivals)
    assert of.late == []
    assert {prompt: times for prompt, times in of.paid().items() if times > 1} == {}
    assert of.intents == {}
    assert of.committed == len(of.topic)
    assert of.cents * 2 == of.full_cents


@pytest.mark.parametrize("certain", [False, True], ids=["listed by size", "listed by intent"])
@pytest.mark.parametrize("seed", [1, 2, 3, None])
def test_500_events_and_20_kills(seed: int | None, certain: bool) -> None:
    seed = random.randrange(10**9) if seed is None else seed
    print(f"seed {seed}")  # noqa: T201
    arrivals = events(seed, 500)
    calm = world(seed, certain=certain)
    calm.run(arrivals, DAY)
    check(calm, arrivals)
    chance = random.Random(seed)
    kills = {number: chance.random() < 0.5 for number in chance.sample(range(calm.kills.steps * 6 // 10), 20)}
    of = world(seed, kills, certain=certain)
    of.run(arrivals, DAY)
    assert of.kills.killed == 20
    check(of, arrivals)
    assert sum(answer == "batch" for answer in of.answers.values()) > 100


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_kill_at_each_step(after: bool) -> None:
    arrivals = events(7, 12, hours=0.3)
    number = 0
    while True:
        of = world(number, {number: after}, trouble=0.4)
        of.run(arrivals, DAY)
        check(of, arrivals)
        if not of.kills.killed:
            break
        number += 1
    assert number > 40


def test_identical_tasks_are_paid_for_once_through_kills() -> None:
    for seed in range(20):
        chance = random.Random(seed)
        arrivals = [
            Arrival(f"e{one}", START + timedelta(seconds=60 * one), START + timedelta(hours=2), f"prompt {one % 5}")
            for one in range(40)
        ]
        of = world(seed, {number: chance.random() < 0.5 for number in chance.sample(range(60), 6)}, shared=True)
        of.run(arrivals, DAY)
        assert len(of.answers) == 40
        assert of.late == []
        assert max(of.paid().values()) == 1


@pytest.mark.parametrize("kind", ["unauthorized", "rate_limited", "bad_request"])
def test_where_no_batch_can_be_created_every_event_is_asked_in_time(kind: str) -> None:
    def refuse(*_: object) -> None:
        raise ModelError(kind, "No.", retryable=False, unbilled=True)

    arrivals, of = events(5, 30), world(5)
    of.api.create = refuse  # type: ignore[assignment, method-assign]
    of.run(arrivals, DAY)
    assert {*of.answers.values()} == {"ordinary"}
    assert (len(of.answers), of.late, max(of.paid().values())) == (30, [], 1)


def test_a_provider_that_ends_no_batch_costs_no_event_its_deadline() -> None:
    arrivals, of = events(6, 30), world(6, trouble=0.0)
    of.api.slowness = 1000.0
    of.run(arrivals, DAY)
    assert {*of.answers.values()} == {"ordinary"}
    assert (len(of.answers), of.late, max(of.paid().values())) == (30, [], 1)


def test_without_a_deadline_an_expired_batch_is_followed_by_another() -> None:
    of = world(3, trouble=0.0)
    of.api.slowness = 1000.0
    arrivals = [Arrival("e", START, None, "prompt")]
    of.run(arrivals, timedelta(hours=20))
    assert of.answers == {}
    of.api.slowness = 1.0
    of.run([], timedelta(hours=30))
    assert of.answers == {"e": "batch"}
    assert len(of.api.batches) == 2
