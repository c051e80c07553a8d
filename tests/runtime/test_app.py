"""A tier's app on a broker: the group's member feeds its agents, and stops before them."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.adapters.kafka import KafkaConfig
from streams.core.errors import ProcessError
from streams.embedded.broker import Tansu
from streams.embedded.supervisor import Supervisor
from streams.runtime import faust_app
from streams.telemetry.health import HEALTH
from tests.harness.fakes.transactions import send
from tests.harness.running_tier import RunningTier

pytestmark = [pytest.mark.embedded, pytest.mark.slow]  # the broker lets the first member wait for others


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaConfig]:
    """A broker in memory."""
    with Supervisor(tmp_path_factory.mktemp("logs")) as supervisor:
        yield KafkaConfig(servers=Tansu().start(supervisor))


@pytest.fixture
def tier(kafka: KafkaConfig, tmp_path: Path) -> RunningTier:
    return RunningTier(kafka, tmp_path / "tables")


def values(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


async def test_what_is_on_the_topic_and_what_comes_is_handled_and_committed(tier: RunningTier) -> None:
    send(tier.kafka, tier.topic, values(3))
    async with tier.running():
        await tier.until(lambda: len(tier.taken) == 3)
        await tier.until(lambda: tier.committed() == 3)  # while it runs
        send(tier.kafka, tier.topic, [b"later"])
        await tier.until(lambda: len(tier.taken) == 4)
    assert tier.taken == [*values(3), b"later"]
    assert tier.committed() == 4
    async with tier.running():
        send(tier.kafka, tier.topic, [b"last"])
        await tier.until(lambda: len(tier.taken) > 4)
    assert tier.taken[4:] == [b"last"]


async def test_a_stop_waits_for_what_is_in_flight_and_starts_nothing_more(tier: RunningTier) -> None:
    send(tier.kafka, tier.topic, values(9))
    tier.goes.clear()
    async with tier.running():
        await tier.until(lambda: len(tier.taken) == 4)
        asyncio.get_running_loop().call_later(0.3, tier.goes.set)
    assert (tier.taken, tier.cut_off, tier.committed()) == (values(4), [], 4)


async def test_what_lasts_longer_than_a_drain_is_cut_off_before_clients_are_closed_and_comes_again(
    tier: RunningTier,
) -> None:
    tier.drain_seconds, at_end = 0.1, list[int]()
    send(tier.kafka, tier.topic, values(2))
    tier.goes.clear()
    async with tier.running() as app:

        async def close() -> None:
            at_end.append(len(tier.cut_off))

        app.at_end = close
        await tier.until(lambda: len(tier.taken) == 2)
    assert at_end == [2]
    assert tier.committed() < 1
    tier.goes.set()
    async with tier.running():
        await tier.until(lambda: tier.taken == values(2) * 2)


async def test_a_table_outlives_its_process_and_its_disk(tier: RunningTier, tmp_path: Path) -> None:
    tier.remembers = True
    send(tier.kafka, tier.topic, values(2))
    async with tier.running():
        await tier.until(lambda: len(tier.taken) == 2)
    for directory in (tier.directory, tmp_path / "elsewhere"):
        tier.directory, ready = directory, asyncio.Event()
        async with tier.running() as app:

            async def announce(ready: asyncio.Event = ready) -> None:
                ready.set()

            app.on_ready = announce
            await asyncio.wait_for(ready.wait(), 30)
            (table,) = app.stage_tables
            assert dict(table.items()) == {b"0": b"1", b"1": b"1"}


async def test_a_process_that_ends_by_itself_says_why_is_unhealthy_and_stops_once_as_on_sigterm(
    tier: RunningTier, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stops = list[float]()
    monkeypatch.setattr(faust_app, "stop_this_process", stops.append)
    first = ProcessError("The disk is full.")
    async with tier.running() as app:
        app.end(first)
        app.end(ProcessError("A consequence."))
        send(tier.kafka, tier.topic, values(2))
        await asyncio.sleep(1)
    try:
        assert (app.ending, HEALTH.trouble, tier.taken) == (first, "The disk is full.", [])
        assert stops == [tier.drain_seconds + faust_app.LEAVE_SECONDS]
        assert "The disk is full. This process ends. Nothing is lost" in caplog.text
        assert tier.committed() < 1
        late = tier.app()
        await late.stop()
        late.end(first)
        assert len(stops) == 1, "it stops already"
    finally:
        HEALTH.mark_healthy()


def test_a_process_that_ends_by_itself_has_limited_time(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = list[int]()
    monkeypatch.setattr("os.kill", lambda _, number: sent.append(number))
    faust_app.stop_this_process(59.2)
    assert (sent, signal.alarm(0)) == ([signal.SIGTERM], 60)


async def test_a_process_that_ends_does_not_wait_for_tables(tier: RunningTier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faust_app, "stop_this_process", lambda _: None)
    tier.remembers = True
    app = tier.app()
    (table,) = app.stage_tables
    broken = tier.directory / "taken-0.db"
    broken.write_text("a file where RocksDB has a directory")
    ready = list[int]()

    async def announce() -> None:
        ready.append(1)

    app.on_ready = announce
    await app.start()
    try:
        await tier.until(lambda: app.ending)
        assert "The table taken cannot be opened" in str(app.ending)
    finally:
        await app.stop()
        HEALTH.mark_healthy()
    assert (ready, table.store.holds(0)) == ([], False)


def test_an_apps_files_are_in_its_directory_and_it_serves_no_pages(tier: RunningTier) -> None:
    conf = tier.app().conf
    assert conf.id == f"escalon-{tier.prefix}listen"
    assert (conf.web_enabled, Path(conf.datadir), tier.directory.is_dir()) == (False, tier.directory, True)
