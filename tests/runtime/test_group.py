"""A group's member delivers and commits each record once, in every order of events around a rebalance."""

from __future__ import annotations

import asyncio
import time

import pytest
from confluent_kafka import KafkaError, TopicPartition

from streams.runtime import group
from tests.harness.fakes.kafka_client import FakeClient
from tests.harness.group_member import joined, polled, until

HERE, THERE = ("verdicts", 0), ("verdicts", 1)


async def test_records_from_the_committed_offset_are_read_once_and_committed_once_all_before_them_are_done() -> None:
    client = FakeClient({HERE: [0, 1, 2, 3]}, offsets={HERE: 1})
    async with joined(client) as owner:
        await client.assign(HERE)
        await until(lambda: owner.offsets(HERE) == [1, 2, 3])
        owner.finish(2, 3)
        await polled(client, 50)
        assert client.offsets == {HERE: 1}
        owner.finish(1)
        await until(lambda: client.offsets == {HERE: 4})
        assert owner.saved > 0, "tables first"
    assert owner.offsets(HERE) == [1, 2, 3]


async def test_a_partition_is_read_only_once_its_tables_are_there() -> None:
    client = FakeClient({HERE: [0]})
    async with joined(client) as owner:
        owner.may_take.clear()
        await client.assign(HERE)
        await polled(client)
        assert owner.read == []
        owner.may_take.set()
        await until(lambda: owner.offsets(HERE) == [0])


async def test_one_that_is_revoked_before_its_tables_are_there_is_not_read() -> None:
    client = FakeClient({HERE: [0], THERE: [0]})
    async with joined(client) as owner:
        owner.may_take.clear()
        await client.assign(HERE, THERE)
        await client.revoke(HERE)
        owner.may_take.set()
        await until(lambda: owner.offsets(THERE) == [0])
        assert (owner.given_up, client.paused) == ([(HERE, False)], {HERE})


async def test_partitions_that_cannot_be_taken_end_the_process() -> None:
    client = FakeClient({HERE: [0]})
    async with joined(client) as owner:
        owner.failure = KeyError("a defect")
        await client.assign(HERE)
        await until(lambda: "a defect" in str(owner.ending))


async def test_what_is_done_when_a_partition_is_revoked_is_committed_and_what_is_not_comes_again() -> None:
    client = FakeClient({HERE: [0, 1, 2]})
    async with joined(client) as owner:
        await client.assign(HERE)
        await until(lambda: len(owner.read) == 3)
        owner.finish(0, 2)
        await client.revoke(HERE)
        assert (client.offsets, owner.given_up) == ({HERE: 1}, [(HERE, False)])
        await client.assign(HERE)
        await until(lambda: owner.offsets(HERE) == [0, 1, 2, 1, 2])


async def test_a_revoked_partition_waits_for_what_is_in_flight() -> None:
    client = FakeClient({HERE: [0]})
    async with joined(client, drain_seconds=20) as owner:
        await client.assign(HERE)
        await until(lambda: owner.read)
        revoked = asyncio.create_task(client.revoke(HERE))
        await asyncio.sleep(0.05)
        assert (revoked.done(), owner.given_up) == (False, [])
        owner.finish(0)
        await revoked
        assert client.offsets == {HERE: 1}


async def test_what_was_begun_in_an_earlier_assignment_ends_nothing_in_the_next_one() -> None:
    client = FakeClient({HERE: [0]})
    async with joined(client) as owner:
        await client.assign(HERE)
        await until(lambda: owner.read)
        await client.revoke(HERE)
        await client.assign(HERE)
        await until(lambda: owner.offsets(HERE) == [0, 0])
        owner.finish(0, at=0)
        await polled(client, 50)
        assert client.offsets == {HERE: 0}
        owner.finish(0)
        await until(lambda: client.offsets == {HERE: 1})


async def test_of_lost_partitions_nothing_is_waited_for_or_committed() -> None:
    client = FakeClient({HERE: [0, 1]})
    async with joined(client) as owner:
        await client.assign(HERE)
        await until(lambda: len(owner.read) == 2)

        def lose() -> None:
            owner.finish(0)
            client._lost(client, [TopicPartition(*HERE)])

        await client.during_a_poll(lose)
        assert (client.offsets, owner.given_up) == ({}, [(HERE, True)])


async def test_an_offset_that_was_to_be_committed_before_a_revocation_is_not_committed_after_it() -> None:
    client = FakeClient({HERE: [0]})
    async with joined(client) as owner:
        await client.assign(HERE)
        await until(lambda: owner.read)

        def meanwhile() -> None:  # the loop asks for a commit, but the client calls back first
            owner.finish(0)
            asyncio.run_coroutine_threadsafe(_until_asked(owner.member), owner.member._loop).result()
            client._revoked(client, [TopicPartition(*HERE)])
            client.offsets[HERE] = 7  # by the next owner

        await client.during_a_poll(meanwhile)
        await polled(client)
        assert client.offsets == {HERE: 7}


async def _until_asked(member: group.GroupMember) -> None:
    await until(lambda: not member._commands.empty())


@pytest.mark.parametrize("whole", [True, False])
async def test_a_commit_that_fails_is_repeated(whole: bool) -> None:
    error = KafkaError(KafkaError.COORDINATOR_LOAD_IN_PROGRESS)
    client = FakeClient({HERE: [0]}, commit_errors=[error], whole_error=whole)
    async with joined(client) as owner:
        await client.assign(HERE)
        await until(lambda: owner.read)
        owner.finish(0)
        await until(lambda: client.offsets == {HERE: 1})
        assert client.commit_errors == []


async def test_a_member_that_stops_gives_up_its_partitions_first() -> None:
    client = FakeClient({HERE: [0, 1]})
    async with joined(client) as owner:
        await client.assign(HERE)
        await until(lambda: len(owner.read) == 2)
        owner.finish(0)
    assert (client.offsets, owner.given_up) == ({HERE: 1}, [(HERE, False)])


async def test_a_suspended_process_doubts_for_a_while_that_it_has_its_partitions(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group, "TICK_SECONDS", 0.01)
    passed = 0.0
    monkeypatch.setattr(group, "monotonic", lambda: time.monotonic() + passed)
    async with joined(FakeClient({HERE: []})) as owner:
        await asyncio.sleep(0.03)
        assert owner.member.doubt_seconds() == 0.0
        passed += group.SUSPENDED_SECONDS + 0.5
        await until(lambda: "did nothing for" in caplog.text)
        assert 0.0 < owner.member.doubt_seconds() <= group.DOUBT_SECONDS
        passed += group.DOUBT_SECONDS
        assert owner.member.doubt_seconds() == 0.0


async def test_a_process_that_is_full_reads_no_more_and_stays_in_its_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group, "WINDOW", 3)
    monkeypatch.setattr(group, "PATIENCE_SECONDS", 0.05)
    client = FakeClient({HERE: [0, 1, 2], THERE: [0]})
    async with joined(client) as owner:
        await client.assign(HERE)
        await until(lambda: client.paused == {HERE})
        client.log[HERE] += [3, 4]
        await client.assign(THERE)
        await polled(client)
        owner.finish(0)
        await until(lambda: len(owner.read) >= 4)
        for at in range(1, len(owner.read)):
            owner.finish(owner.read[at][1], at=at)
        await until(lambda: (owner.offsets(HERE), owner.offsets(THERE)) == ([0, 1, 2, 3, 4], [0]))


async def test_commits_do_not_keep_a_full_process_from_polling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group, "WINDOW", 2)
    monkeypatch.setattr(group, "PATIENCE_SECONDS", 0.3)
    client = FakeClient({HERE: [*range(100)]})
    async with joined(client) as owner:
        await client.assign(HERE)
        await until(lambda: len(owner.read) == 100)
        for offset in range(90):  # slower than a record in each look for commands
            before = client.polls
            owner.finish(offset)
            await asyncio.sleep(0.02)
            if client.polls > before:
                return
    pytest.fail("it did not poll while records were done and committed")


@pytest.mark.parametrize("code", [KafkaError.GROUP_AUTHORIZATION_FAILED, KafkaError._ALL_BROKERS_DOWN])
async def test_an_error_that_does_not_pass_ends_the_process_also_while_nothing_is_read(code: int) -> None:
    client = FakeClient({HERE: []}, errors=[KafkaError(code)])
    async with joined(client) as owner:
        await until(lambda: client.errors == [])
        await (until(lambda: owner.ending) if code > 0 else polled(client))
        assert (owner.ending is not None) == (code > 0), "an unreachable broker comes back"
