"""Nothing that is not done lies before what is committed."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from streams.runtime.partition import Partition


def read(start: int | None, *offsets: int) -> Partition:
    """Return a partition of which these offsets were read."""
    partition = Partition("events", 0, start)
    for offset in offsets:
        partition.read(offset)
    return partition


def handle(partition: Partition, *offsets: int | None) -> None:
    """Handle records; None for one that must come again."""
    for offset in offsets:
        assert partition.begin()
        partition.end(offset)


def test_before_the_first_read_a_partition_is_where_it_was_committed() -> None:
    assert read(5).committable() == 5
    assert read(None).committable() is None


def test_a_record_in_flight_is_not_passed_over_even_alone_at_the_head() -> None:
    partition = read(5, 5, 6, 7)
    handle(partition, 6, 7)
    assert partition.committable() == 5
    handle(partition, 5)
    assert partition.committable() == 8


def test_a_record_that_was_not_begun_or_must_come_again_is_not_passed_over() -> None:
    partition = read(None, 5, 6, 7)
    handle(partition, 7)
    assert partition.committable() == 5
    handle(partition, None, 6)
    assert (partition.committable(), partition.in_flight()) == (5, 0)


def test_offsets_without_a_record_hold_nothing_up() -> None:
    partition = read(5, 5, 9)
    handle(partition, 5)
    assert partition.committable() == 9
    handle(partition, 9)
    assert partition.committable() == 10


def test_what_reading_has_passed_without_a_record_holds_nothing_up() -> None:
    partition = read(None)
    partition.passed(3)
    assert partition.committable() == 3
    partition.read(5)
    partition.passed(9)
    assert partition.committable() == 5
    handle(partition, 5)
    assert partition.committable() == 9
    partition.passed(4)  # an end that was reported before more was read
    assert partition.committable() == 9


def test_a_partition_that_is_given_up_begins_nothing_and_ends_what_it_has_begun() -> None:
    partition = read(5, 5, 6)
    assert partition.begin()
    partition.open = False
    assert not partition.begin()
    assert partition.in_flight() == 1
    partition.end(5)
    assert (partition.in_flight(), partition.committable()) == (0, 6)


async def test_the_wait_ends_with_the_last_record_in_flight() -> None:
    partition = read(5, 5, 6)
    await partition.idle()
    partition.begin()
    partition.begin()
    waiting = asyncio.create_task(partition.idle())
    partition.end(6)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done()
    partition.end(None)
    await waiting


@given(st.sets(st.integers(0, 40), min_size=1), st.data())
def test_every_record_before_what_is_committed_is_done(offsets: set[int], data: st.DataObject) -> None:
    partition, done = read(None, *sorted(offsets)), data.draw(st.sets(st.sampled_from(sorted(offsets))))
    for offset in data.draw(st.permutations(sorted(done))):
        handle(partition, offset)
    committable = partition.committable()
    assert committable is not None
    assert {offset for offset in offsets if offset < committable} <= done
    assert committable in offsets - done or committable == max(offsets) + 1
