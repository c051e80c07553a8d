"""Messages in flight are finished and committed before partitions are given up."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from faust.tables.recovery import ServiceStopped
from faust.types import TP
from mode.utils.queues import FlowControlQueue

from streams.adapters.kafka import KafkaConfig
from streams.runtime.app import ProcessConfig, faust_app
from streams.runtime.drain import Drain, DrainingApp, FlowControl


async def test_nothing_in_flight_is_not_waited_for() -> None:
    assert await Drain(60).wait() == 0


async def test_the_wait_ends_with_the_last_message_in_flight() -> None:
    drain, done, may_end = Drain(60), list[str](), asyncio.Event()

    async def handle(name: str) -> None:
        with drain.handling():
            await may_end.wait()
            done.append(name)

    tasks = [asyncio.create_task(handle(name)) for name in ("a", "b")]
    waiting = asyncio.create_task(drain.wait())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done()
    may_end.set()
    assert await waiting == 0
    assert sorted(done) == ["a", "b"]
    await asyncio.gather(*tasks)


async def test_a_message_an_agent_had_taken_but_not_begun_with_is_waited_for() -> None:
    drain, done = Drain(60), list[int]()

    async def begin() -> None:
        with drain.handling():
            await asyncio.sleep(0)
            done.append(1)

    task = asyncio.create_task(begin())  # it has not run yet
    assert await drain.wait() == 0
    assert done == [1]
    await task


async def test_what_lasts_too_long_is_handed_back_and_counted() -> None:
    drain = Drain(0.01)
    with drain.handling(), drain.handling():
        assert await drain.wait() == 2


async def test_a_message_that_is_cut_off_leaves_the_count() -> None:
    drain = Drain(60)

    async def handle() -> None:
        with drain.handling():
            await asyncio.Event().wait()

    task = asyncio.create_task(handle())
    await asyncio.sleep(0)
    task.cancel()
    assert await drain.wait() == 0


class Steps:
    """A consumer that notes what is asked of it."""

    def __init__(self) -> None:
        self.taken: list[str] = []

    async def maybe_wait_for_commit_to_finish(self) -> None:
        """A commit that was under way has ended."""
        self.taken.append("an earlier commit over")

    async def commit(self) -> None:
        """Kafka has the offsets."""
        self.taken.append("committed")


class BareApp(DrainingApp):
    """The app without Faust's own start."""

    def __init__(self, commit_seconds: float = 60.0) -> None:
        self.drain = Drain(60, commit_seconds)


async def test_offsets_are_committed_after_the_messages_in_flight_and_what_they_caused() -> None:
    steps, app = Steps(), BareApp()

    async def handle() -> None:
        with app.drain.handling():
            await asyncio.sleep(0)
            steps.taken.append("handled")

    task = asyncio.create_task(handle())
    await app._consumer_wait_empty(steps, None)
    assert steps.taken == ["handled", "an earlier commit over", "committed"]
    await task


async def test_a_commit_that_does_not_end_is_not_waited_for_indefinitely(monkeypatch: pytest.MonkeyPatch) -> None:
    steps, app = Steps(), BareApp(commit_seconds=0.01)
    monkeypatch.setattr(steps, "commit", asyncio.Event().wait)
    await app._consumer_wait_empty(steps, None)
    assert steps.taken == ["an earlier commit over"]


async def test_a_rebalance_during_a_stop_waits_for_what_is_in_flight_and_commits_it(tmp_path: Path) -> None:
    app: Any = faust_app("work", KafkaConfig(servers="127.0.0.1:1"), ProcessConfig(directory=tmp_path))
    app._consumer = steps = Steps()
    app._stopped.set()
    await app._on_partitions_revoked({TP("verdicts", 0)})
    assert steps.taken == ["an earlier commit over", "committed"]
    await app._on_partitions_assigned({TP("verdicts", 0)}, 2)


async def test_a_recovery_waits_for_a_broker_that_is_unavailable_and_ends_with_the_process(tmp_path: Path) -> None:
    recovery: Any = faust_app(
        "work", KafkaConfig(servers="127.0.0.1:1"), ProcessConfig(directory=tmp_path)
    ).tables.recovery
    away = asyncio.Event()
    waiting = asyncio.create_task(recovery._wait(away.wait(), timeout=0.001))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    away.set()
    await waiting
    recovery._stopped.set()
    with pytest.raises(ServiceStopped):
        await recovery._wait(asyncio.Event().wait())


async def test_a_gate_opened_once_more_throws_away_nothing_that_has_come_in_meanwhile() -> None:
    gate = FlowControl()
    queue: Any = FlowControlQueue(flow_control=gate, clear_on_resume=True)
    queue.put_nowait("stale")
    gate.resume()
    assert queue.empty()
    queue.put_nowait("new")
    gate.resume()
    assert queue.get_nowait() == "new"
    gate.suspend()
    assert not gate.is_active()
