"""A partition is read from where it must be: committed offsets, deleted records, and topics that were created again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from streams.runtime import group
from tests.harness.fakes.kafka_client import FakeClient
from tests.harness.group_member import joined, polled, until

HERE, THERE = ("verdicts", 0), ("verdicts", 1)


@pytest.mark.parametrize("committed", [{}, {HERE: 0}])
async def test_where_nothing_is_committed_reading_begins_at_the_beginning(committed: Any) -> None:
    client = FakeClient({HERE: [0, 1]}, offsets=committed)
    async with joined(client) as owner:
        await client.assign(HERE)
        await until(lambda: owner.offsets(HERE) == [0, 1])


@pytest.mark.parametrize(("committed", "skipped"), [({}, False), ({HERE: 3}, True), ({HERE: 0}, True)])
async def test_deleted_records_hold_nothing_up_and_are_reported_where_something_was_committed(
    committed: Any, skipped: bool, caplog: pytest.LogCaptureFixture
) -> None:
    client = FakeClient({HERE: [7, 8]}, offsets=dict(committed))
    async with joined(client) as owner:
        await client.assign(HERE)
        await until(lambda: owner.offsets(HERE) == [7, 8])
    expected = f"verdicts/0: the offsets {committed.get(HERE)} to 6 were deleted before they were read"
    assert (expected in caplog.text, "deleted" in caplog.text) == (skipped, skipped)


async def test_where_nothing_was_committed_records_that_go_before_the_first_read_are_not_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = FakeClient({HERE: [0]})
    async with joined(client) as owner:
        owner.may_take.clear()
        await client.assign(HERE)
        client.log[HERE] = [7]
        owner.may_take.set()
        await until(lambda: owner.offsets(HERE) == [7])
    assert "deleted" not in caplog.text


async def test_a_broker_that_does_not_give_committed_offsets_is_not_one_where_nothing_is_committed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(group, "PATIENCE_SECONDS", 0.01)
    client = FakeClient({HERE: [0, 1]}, offsets={HERE: 1}, silent=True)
    async with joined(client) as owner:
        assigned = asyncio.create_task(client.assign(HERE))
        await asyncio.sleep(0.05)
        assert not assigned.done()
        client.silent = False
        await assigned
        await until(lambda: owner.offsets(HERE) == [1])


async def test_a_member_stops_while_the_broker_does_not_give_committed_offsets() -> None:
    client = FakeClient({HERE: [0]}, silent=True)
    async with joined(client) as owner:
        assigned = asyncio.create_task(client.assign(HERE))
        await asyncio.sleep(0.05)
    await assigned
    assert (owner.read, owner.ending) == ([], None)


@pytest.mark.parametrize("log", [[0, 1], []])
async def test_offsets_that_no_reader_gets_are_passed_over_once_all_before_them_is_done(log: list[int]) -> None:
    client = FakeClient({HERE: log}, ends={HERE: 7})
    async with joined(client) as owner:
        await client.assign(HERE)
        await until(lambda: owner.offsets(HERE) == log)
        owner.finish(*log[:1])
        await polled(client, 50)
        assert client.offsets.get(HERE) in ([1] if log else [None, 7])
        owner.finish(*log[1:])
        await until(lambda: client.offsets == {HERE: 7})


async def test_where_the_log_is_shorter_reading_begins_again_once_what_is_in_flight_is_done() -> None:
    client = FakeClient({HERE: [0, 1, 2]}, offsets={HERE: 1})
    async with joined(client) as owner:
        await client.assign(HERE)
        await until(lambda: owner.offsets(HERE) == [1, 2])
        owner.finish(1)
        await until(lambda: client.offsets == {HERE: 2})
        client.log[HERE] = [0, 1]
        await until(lambda: HERE in client.paused)
        await polled(client, 20)
        assert owner.offsets(HERE) == [1, 2], "an offset would name two messages"
        owner.finish(2)
        await until(lambda: owner.offsets(HERE) == [1, 2, 0, 1])
        await until(lambda: client.offsets == {HERE: 0})
        owner.finish(0, 1)
        await until(lambda: client.offsets == {HERE: 2})


async def test_an_offset_that_the_broker_refuses_for_a_moment_does_not_begin_the_partition_again() -> None:
    client = FakeClient({HERE: [0, 1]}, offsets={HERE: 2})
    async with joined(client) as owner:
        await client.assign(HERE)
        client.log[HERE] = [0]  # a leader that is behind
        client.get_watermark_offsets = lambda *_, **__: (0, 2)  # type: ignore[method-assign]
        await polled(client)
        client.log[HERE] = [0, 1, 2]
        await until(lambda: owner.offsets(HERE) == [2])


async def test_a_topic_that_was_created_again_is_read_from_its_beginning_also_if_it_is_as_long_as_the_old_one() -> None:
    client = FakeClient({HERE: [0, 1]}, ids={"verdicts": "old"})
    async with joined(client) as owner:
        await client.assign(HERE)
        await until(lambda: len(owner.read) == 2)
        owner.finish(0, 1)
        await until(lambda: (client.offsets, client.metadata) == ({HERE: 2}, {HERE: "old"}))
        await owner.member.check_topics()
        client.silent, client.ids, client.log[HERE] = True, {"verdicts": "new"}, [0, 1, 2]
        await owner.member.check_topics()
        await until(lambda: owner.offsets(HERE) == [0, 1, 2])
        client.silent = False
        await owner.member.check_topics()
        await polled(client)
        assert owner.offsets(HERE) == [0, 1, 2], "2 is in flight"
        owner.finish(2)
        await until(lambda: owner.offsets(HERE) == [0, 1, 2, 0, 1, 2])
        await until(lambda: (client.offsets, client.metadata) == ({HERE: 0}, {HERE: "new"}))
        await owner.member.check_topics()
        await polled(client)
        assert len(owner.read) == 6


async def test_each_partition_of_a_topic_that_was_created_again_begins_again_once() -> None:
    client = FakeClient({HERE: [0, 1, 2], THERE: [0]}, ids={"verdicts": "old"})
    async with joined(client) as owner:
        await client.assign(HERE, THERE)
        await until(lambda: len(owner.read) == 4)
        for at, (_, offset) in enumerate(owner.read):
            owner.finish(offset, at=at)
        client.ids, client.log = {"verdicts": "new"}, {HERE: [0, 1], THERE: [0]}
        await until(lambda: owner.offsets(HERE) == [0, 1, 2, 0, 1])
        assert owner.offsets(THERE) == [0], "its offset is in the new log too"
        await owner.member.check_topics()
        await until(lambda: owner.offsets(THERE) == [0, 0])
        for at in (4, 5, 6):
            owner.finish(owner.read[at][1], at=at)
        await owner.member.check_topics()
        await polled(client)
        assert (owner.offsets(HERE), owner.offsets(THERE)) == ([0, 1, 2, 0, 1], [0, 0])


async def test_an_offset_committed_for_an_earlier_topic_of_the_name_does_not_count() -> None:
    client = FakeClient({HERE: [0, 1]}, offsets={HERE: 1}, metadata={HERE: "old"}, ids={"verdicts": "new"})
    async with joined(client) as owner:
        await client.assign(HERE)
        await until(lambda: owner.offsets(HERE) == [0, 1])


async def test_a_partition_that_is_revoked_while_it_is_to_begin_again_begins_nowhere() -> None:
    client = FakeClient({HERE: [0, 1, 2]}, ids={"verdicts": "old"})
    async with joined(client) as owner:
        await client.assign(HERE)
        await until(lambda: len(owner.read) == 3)
        owner.finish(0)
        await until(lambda: client.offsets == {HERE: 1})
        client.ids = {"verdicts": "new"}
        await owner.member.check_topics()
        client.offsets.clear()
        await client.revoke(HERE)
        assert client.offsets == {}, "nothing is committed that counts in the log that is gone"
        await client.assign(HERE)
        await until(lambda: owner.offsets(HERE) == [0, 1, 2, 0, 1, 2])
        owner.finish(1, 2, at=0)
        await polled(client, 20)
        assert (len(owner.read), client.paused) == (6, set())


async def test_two_reasons_to_begin_again_are_one() -> None:
    client = FakeClient({HERE: [0, 1]}, ids={"verdicts": "old"})
    async with joined(client) as owner:
        await client.assign(HERE)
        await until(lambda: len(owner.read) == 2)
        owner.finish(0, 1)
        (one,) = {one for one, _ in owner.read}
        for _ in range(2):
            owner.member._begin_again(one, 0, "new")
        await until(lambda: owner.offsets(HERE) == [0, 1, 0, 1])
        await polled(client)
        assert client.paused == set()
