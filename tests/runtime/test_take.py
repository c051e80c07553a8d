"""A tier's process takes partitions and gives them up, with their tables."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from streams.adapters.kafka import KafkaConfig
from streams.core.tables import ANSWERS
from streams.runtime.bind import Binding
from streams.runtime.faust_app import ProcessConfig, TierApp
from streams.runtime.partition import Partition
from streams.runtime.recovery import Place
from streams.runtime.table_store import TableStore


class SlowRecovery:
    """Recovers nothing until it may, and ends when it is not wanted."""

    def __init__(self) -> None:
        self.may_end = threading.Event()
        self.runs: list[set[Place]] = []

    def run(self, stores: Mapping[Place, TableStore], wanted: Callable[[], bool]) -> bool:
        self.runs.append(set(stores))
        while not self.may_end.wait(0.002):
            if not wanted():
                return False
        return True


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("streams.runtime.faust_app.stop_this_process", lambda _: None)
    made: Any = TierApp("work", KafkaConfig(servers="127.0.0.1:1"), ProcessConfig(directory=tmp_path))
    made.answers = made.table(ANSWERS["verdicts"], 3600)
    made._recovery = SlowRecovery()

    async def handle(*_: Any) -> None:
        raise AssertionError

    made.bind([Binding(topic="verdicts", concurrency=1, handle=handle, partitions=3)], Any, Any)
    return made


def verdicts(*numbers: int) -> list[Partition]:
    return [Partition("verdicts", number, 0) for number in numbers]


def place(number: int) -> Place:
    return ANSWERS["verdicts"].changelog(""), number


async def test_a_partition_is_given_up_while_another_one_is_recovered_which_then_goes_on(app: Any) -> None:
    first, second = verdicts(0), verdicts(1)
    app._recovery.may_end.set()
    assert await app.take(first)
    app._recovery.may_end.clear()
    taking = asyncio.create_task(app.take(second))
    await asyncio.to_thread(lambda: [None for _ in iter(lambda: len(app._recovery.runs) < 2, False)])
    await asyncio.wait_for(app.give_up(first, lost=False), 20)
    assert (app.answers.store.holds(0), taking.done()) == (False, False)
    app._recovery.may_end.set()
    assert await taking
    assert app._recovery.runs == [{place(0)}, {place(1)}, {place(1)}]


async def test_partitions_that_are_revoked_during_their_recovery_are_not_recovered(app: Any) -> None:
    partitions = verdicts(0, 1)
    taking = asyncio.create_task(app.take(partitions))
    await asyncio.sleep(0.05)
    partitions[0].open = False
    await asyncio.wait_for(app.give_up(partitions[:1], lost=False), 20)
    app._recovery.may_end.set()
    assert await taking
    assert app._recovery.runs[-1] == {place(1)}
    assert (app.answers.store.holds(0), app.answers.store.holds(1)) == (False, True)


async def test_a_partition_that_the_tables_do_not_have_ends_the_process_before_its_records_are_read(app: Any) -> None:
    assert not await app.take(verdicts(1, 3))
    assert "verdicts has more than the 3 partitions" in str(app.ending)
    assert app._recovery.runs == []


async def test_a_table_that_cannot_be_written_keeps_no_offset_from_being_committed(app: Any) -> None:
    partitions = verdicts(0)
    app._recovery.may_end.set()
    await app.take(partitions)
    app.answers._confirmed[partitions[0]] = 5
    app.answers.store._open[0].close()
    await app.commit()
    assert "cannot be written" in str(app.ending)
    await app.give_up(partitions, lost=False)
