"""The provider's books show what was paid for twice, and what was in flight at a kill."""

from __future__ import annotations

from collections import Counter

from tests.harness.faults.provider import Books, Kill, Sale
from tests.harness.faults.traffic import KINDS, traffic

A, B = ("haiku", "a"), ("haiku", "b")


def test_a_call_sold_before_is_paid_for_again() -> None:
    books = Books([Sale(A, "w", 1.0), Sale(B, "w", 2.0), Sale(A, "x", 3.0)])
    assert [one.began for one in books.paid_again()] == [3.0]


def test_a_call_of_the_killed_worker_is_in_flight_until_its_answer_is_stored() -> None:
    books = Books([Sale(A, "w", 1.0, 2.0), Sale(B, "w", 1.5), Sale(("haiku", "c"), "x", 1.5)])
    assert books.in_flight([Kill("w", 3.0, 4.0)], {A: 2.1}) == 1
    assert books.in_flight([Kill("w", 3.0, 4.0)], {A: 3.1}) == 2
    assert books.in_flight([Kill("w", 1.2, 1.4)], {}) == 1


def test_a_call_that_reaches_the_provider_after_the_kill_was_in_flight_too() -> None:
    books = Books([Sale(A, "w", 3.1), Sale(B, "w", 5.2)])
    assert books.in_flight([Kill("w", 3.0, 5.0)], {}) == 1


def test_a_call_lost_with_one_kill_is_not_in_flight_at_the_next() -> None:
    books = Books([Sale(A, "w", 1.0), Sale(B, "w", 4.0)])
    assert books.in_flight([Kill("w", 3.0, 3.5), Kill("w", 5.0, 5.5)], {}) == 2


def test_the_same_seed_makes_the_same_traffic_of_every_kind() -> None:
    events = list(traffic(7, 500))
    assert events == list(traffic(7, 500))
    assert events != list(traffic(8, 500))
    assert {ends for _, _, ends in KINDS.values()} == {one.ends for one in events}
    again = Counter(one.id for one in events)
    assert len(again) == 500
    assert 0 < sum(count == 2 for count in again.values()) < 50
