"""The provider's books show what was paid for twice, and what was in flight at a handover."""

from __future__ import annotations

from collections import Counter

from tests.harness.faults.provider import Books, Sale
from tests.harness.faults.traffic import KINDS, traffic

A, B, C = ("haiku", "a"), ("haiku", "b"), ("haiku", "c")


def test_a_call_sold_before_is_paid_for_again() -> None:
    books = Books([Sale(A, "w", 1.0), Sale(B, "w", 2.0), Sale(A, "x", 3.0), Sale(A, "x", 4.0)])
    assert [(before.began, again.began) for before, again in books.paid_again()] == [(1.0, 3.0), (3.0, 4.0)]


def test_a_call_is_in_flight_at_a_handover_until_its_answer_is_stored() -> None:
    books = Books([Sale(A, "w", 1.0, 2.0), Sale(B, "w", 1.5), Sale(C, "x", 3.5)])
    assert books.in_flight({"haiku": [3.0]}, {A: 2.1, C: 3.6}) == 1
    assert books.in_flight({"haiku": [3.0]}, {A: 3.1, C: 3.6}) == 2
    assert books.in_flight({"haiku": []}, {}) == 0


def test_a_call_lost_at_one_handover_is_not_in_flight_at_the_next() -> None:
    assert Books([Sale(A, "w", 1.0), Sale(B, "w", 4.0)]).in_flight({"haiku": [3.0, 5.0]}, {}) == 2


def test_an_answer_that_its_next_owner_could_read_is_not_paid_for_again() -> None:
    books = Books([Sale(A, "w", 1.0), Sale(A, "x", 4.0)])
    assert books.stored_again({"haiku": [3.0]}, {A: 3.1}) == 0
    assert books.stored_again({"haiku": [3.0]}, {A: 2.9}) == 1
    assert books.stored_again({"haiku": [0.5, 3.0, 3.5]}, {A: 3.1}) == 0


def test_a_worker_has_its_own_answers_and_may_not_know_yet_that_its_partition_has_moved() -> None:
    same, other = Books([Sale(A, "w", 1.0), Sale(A, "w", 4.0)]), Books([Sale(A, "w", 1.0), Sale(A, "x", 4.0)])
    assert [one.stored_again({"haiku": [0.5, 4.5]}, {A: 5.0}) for one in (same, other)] == [1, 0]


def test_the_same_seed_makes_the_same_traffic_of_every_kind() -> None:
    events = list(traffic(7, 500))
    assert events == list(traffic(7, 500))
    assert events != list(traffic(8, 500))
    assert {ends for _, _, ends in KINDS.values()} == {one.ends for one in events}
    again = Counter(one.id for one in events)
    assert len(again) == 500
    assert 0 < sum(count == 2 for count in again.values()) < 50
