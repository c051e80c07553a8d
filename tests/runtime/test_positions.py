"""A client's position that the broker has put elsewhere is remembered, and one that this program chose is not."""

from __future__ import annotations

from typing import Any

from aiokafka import TopicPartition
from aiokafka.consumer import subscription_state
from aiokafka.consumer.fetcher import OffsetResetStrategy

from streams.runtime.positions import PartitionState, remember_moves

EARLIEST = OffsetResetStrategy.EARLIEST


async def state(position: int) -> Any:
    made = PartitionState(None)
    made.await_reset(EARLIEST)
    made.reset_to(position)
    return made


async def test_a_position_that_was_found_at_first_is_not_a_move() -> None:
    assert (await state(5)).take_move() is None


async def test_a_move_is_remembered_once_whether_on_or_back() -> None:
    for given in (0, 9):
        one = await state(5)
        one.await_reset(EARLIEST)
        one.reset_to(given)
        assert (one.take_move(), one.take_move()) == ((5, given), None)


async def test_of_two_moves_the_first_position_and_the_last_one_count() -> None:
    one = await state(5)
    for given in (7, 9):
        one.await_reset(EARLIEST)
        one.reset_to(given)
    assert one.take_move() == (5, 9)


async def test_to_where_the_program_seeks_is_not_a_move() -> None:
    one = await state(5)
    one.await_reset(EARLIEST)
    one.seek(3)
    assert one.take_move() is None


async def test_every_client_of_this_process_remembers_them() -> None:
    remember_moves()
    here = TopicPartition("events", 0)
    assert isinstance(subscription_state.Assignment([here]).state_value(here), PartitionState)
