from __future__ import annotations

from datetime import timedelta
from itertools import count

import pytest

from streams.evaluation.tiers.attempts import TierAttempt, TieredEvent
from streams.evaluation.tiers.workers import ReasonerAgreement, worker_qualities
from tests.builders import START, attempt

_numbers = count()


def answered(*, chance: float | None, delivered: bool = True, agrees: bool | None = None, **more: str) -> TieredEvent:
    """A worker's answer to a task of its own, and whether the reasoner's agrees, if it was asked."""
    number = next(_numbers)
    usual = {"pipeline": "new", "task_id": f"t{number}"}
    worker = TierAttempt(
        event_id=f"e{number}", event_time=START + timedelta(minutes=number), tier="worker", handler="answer",
        handler_version="v", intent="order", attempt=attempt(call_id=f"c{number}"), delivered=delivered, chance=chance,
        usd=None, right={}, **usual | more,
    )  # fmt: skip
    return TieredEvent(worker=worker, reasoner=None, agrees=agrees)


def agreement(*events: list[TieredEvent]) -> ReasonerAgreement:
    (found,) = worker_qualities([one for some in events for one in some])
    return found.whole.agreement


def test_answers_explored_with_a_lower_chance_stand_for_more() -> None:
    often = [answered(chance=0.5, agrees=True) for _ in range(5)] + [answered(chance=0.5) for _ in range(5)]
    seldom = [answered(chance=0.1, agrees=False) for _ in range(4)] + [answered(chance=0.1) for _ in range(36)]
    found = agreement(often, seldom)
    assert (found.accepted.hits, found.accepted.n) == (5, 9)
    assert found.accepted.value == pytest.approx((10 * 1 + 40 * 0) / 50)


def test_all_answers_cover_the_pipelines_that_explored_alone() -> None:
    old = [answered(chance=None, pipeline="old") for _ in range(90)]
    old += [answered(chance=1.0, delivered=False, agrees=False, pipeline="old") for _ in range(10)]
    new = [answered(chance=0.5, agrees=True) for _ in range(8)]
    new += [answered(chance=1.0, delivered=False, agrees=False) for _ in range(2)]
    found = agreement(old, new)
    assert (found.escalated.hits, found.escalated.n) == (0, 12)
    assert found.all.value == pytest.approx(8 / 10)
    assert (found.covered, found.answers) == (10, 110)


def test_without_exploration_nothing_is_known_about_all_answers() -> None:
    found = agreement([answered(chance=None)], [answered(chance=1.0, delivered=False, agrees=True)])
    assert (found.escalated.n, found.accepted.n, found.all.n, found.covered) == (1, 0, 0, 0)


def test_a_task_counts_by_its_oldest_event_even_if_a_later_one_was_explored() -> None:
    first = [answered(chance=0.5, task_id="same"), answered(chance=0.5, agrees=True)]
    later = [answered(chance=0.5, agrees=False, task_id="same")]
    found = agreement(first, later)
    assert (found.accepted.hits, found.accepted.n, found.answers) == (1, 1, 2)
