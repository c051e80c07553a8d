"""Errors of the client's work in its group are heard. The coordinators are aiokafka's, without a broker."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import GroupLoadInProgressError, KafkaError, NotCoordinatorForGroupError
from aiokafka.protocol.commit import OffsetFetchResponse_v1, OffsetFetchResponse_v3

from streams.adapters.kafka import KafkaConfig
from streams.runtime.app import ProcessConfig, faust_app
from streams.runtime.group import ConsumerThread, raise_offset_errors

HERE = TopicPartition("verdicts", 0)
COMMITTED = [("verdicts", [(0, 17, "", 0)])]


@pytest.mark.parametrize("ended", ["coordination", "fetches", "leaders", None])
async def test_an_error_in_the_group_ends_the_process_also_while_nothing_is_fetched(
    ended: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.runtime.consumer.WATCH_SECONDS", 0.01)
    consumer: Any = faust_app("work", KafkaConfig(servers="127.0.0.1:1"), ProcessConfig(directory=tmp_path)).consumer
    thread = consumer._thread
    assert isinstance(thread, ConsumerThread)
    thread.thread_loop.close()

    async def call(method: Callable[[], Awaitable[None]]) -> None:
        await method()

    monkeypatch.setattr(thread, "call_thread", call)
    loop = asyncio.get_running_loop()
    tasks: dict[str, asyncio.Future[None]] = {
        name: loop.create_future() for name in ("coordination", "fetches", "leaders")
    }
    group = SimpleNamespace(_coordination_task=tasks["coordination"], _error_consumed_fut=None, _pending_exception=None)
    group.check_errors = partial(GroupCoordinator.check_errors, group)
    thread._method_queue, thread._consumer = (
        object(),
        SimpleNamespace(
            _coordinator=group,
            _fetcher=SimpleNamespace(_fetch_task=tasks["fetches"]),
            _client=SimpleNamespace(_sync_task=tasks["leaders"]),
        ),
    )
    watching = asyncio.create_task(consumer._watch_the_group.fun(consumer))
    await asyncio.sleep(0.05)
    assert not watching.done(), "there is no error yet"
    error = KafkaError("the assignor failed")
    if ended is not None:
        tasks[ended].set_exception(error)
    else:
        group._pending_exception = error
    with pytest.raises(KafkaError, match="the assignor failed"):
        async with asyncio.timeout(10):
            await watching


def coordinator_that_hears(*responses: Any) -> Any:
    """A coordinator to which the broker answers this, one after the other."""
    left = list(responses)

    async def send(_: Any) -> Any:
        return left.pop(0)

    async def known() -> None:
        pass

    deaths: list[None] = []
    made = SimpleNamespace(group_id="escalon-work", _retry_backoff_ms=1, ensure_coordinator_known=known, deaths=deaths)
    made._send_req, made.coordinator_dead = send, lambda: deaths.append(None)
    made._do_fetch_commit_offsets = partial(GroupCoordinator._do_fetch_commit_offsets, made)
    raise_offset_errors(made)
    return made


@pytest.mark.parametrize(("error", "deaths"), [(GroupLoadInProgressError, 0), (NotCoordinatorForGroupError, 1)])
async def test_an_answer_that_is_an_error_as_a_whole_is_not_taken_for_nothing_committed(
    error: type[KafkaError], deaths: int
) -> None:
    refused, answered = OffsetFetchResponse_v3(0, [], error.errno), OffsetFetchResponse_v3(0, COMMITTED, 0)
    coordinator = coordinator_that_hears(refused, refused, answered)
    found = await GroupCoordinator.fetch_committed_offsets(coordinator, [HERE])
    assert found[HERE].offset == 17
    assert len(coordinator.deaths) == 2 * deaths


async def test_an_older_brokers_answer_has_no_such_error() -> None:
    coordinator = coordinator_that_hears(OffsetFetchResponse_v1(COMMITTED))
    assert (await GroupCoordinator.fetch_committed_offsets(coordinator, [HERE]))[HERE].offset == 17
