"""Known events of LISTEN: redeliveries pass, another event under a known id does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from streams.core.errors import UnreadableError
from streams.runtime.confirm import PENDING, PendingDeliveries
from streams.runtime.seen_events import KnownEvents
from tests.builders import event
from tests.harness.fakes.faust import FakeTable

FIRST = replace(event().origin, event_id="row-7", content_digest="a" * 32)
AGAIN, OTHER = replace(FIRST, offset=90), replace(FIRST, offset=91, content_digest="b" * 32)


@pytest.fixture
def pending() -> Iterator[PendingDeliveries]:
    pending = PendingDeliveries()
    token = PENDING.set(pending)
    yield pending
    PENDING.reset(token)


def test_the_same_event_again_passes_and_another_one_is_refused_with_the_place_of_the_first() -> None:
    known = KnownEvents(FakeTable())
    known.check(FIRST)
    known.check(AGAIN)
    with pytest.raises(UnreadableError, match=f"events {FIRST.partition}/{FIRST.offset}") as caught:
        known.check(OTHER)
    assert caught.value.reason == "id_conflict"
    known.check(AGAIN)


def test_a_replay_knows_nothing_of_live_events() -> None:
    known = KnownEvents(FakeTable())
    known.check(FIRST)
    known.check(replace(OTHER, run="replay-1"))


@pytest.mark.parametrize("handled", [1, 2])
def test_an_event_that_becomes_a_dead_letter_leaves_its_id_to_the_corrected_one(
    pending: PendingDeliveries, handled: int
) -> None:
    known = KnownEvents(FakeTable())
    for _ in range(handled):  # delivered again after a crash
        known.check(FIRST)
    pending.withdraw()
    known.check(OTHER)


def test_a_redelivery_that_becomes_a_dead_letter_does_not_take_the_id_from_the_first(
    pending: PendingDeliveries,
) -> None:
    table = FakeTable()
    PENDING.set(PendingDeliveries())
    KnownEvents(table).check(FIRST)
    PENDING.set(pending)
    KnownEvents(table).check(AGAIN)
    pending.withdraw()
    with pytest.raises(UnreadableError):
        KnownEvents(table).check(OTHER)
