"""A tier on Apache Kafka whose topics hold more than plain records: transactions, deleted ranges, another topic."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from streams.adapters.kafka import KafkaConfig
from streams.runtime import group
from streams.telemetry.lag import LAG, lag_statistics
from streams.telemetry.metrics import REGISTRY
from tests.harness.fakes.topic_history import forget, remake
from tests.harness.fakes.transactions import abort, commit, left_open, send
from tests.harness.running_tier import TAKEN, RunningTier

pytestmark = [pytest.mark.embedded]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Check topics and report lags often, and not at all afterwards."""
    monkeypatch.setattr(group, "TOPIC_CHECK_SECONDS", 0.2)
    monkeypatch.setattr(group, "lag_statistics", partial(lag_statistics, 200))
    yield
    LAG.watch(tuple)


class Tier(RunningTier):
    """A tier with figures."""

    def figure(self, name: str) -> float | None:
        """A figure about the topic, as Prometheus is given it."""
        return next(
            (
                one.value
                for family in REGISTRY.collect()
                for one in family.samples
                if one.name == name and one.labels["topic"] == self.topic
            ),
            None,
        )


@pytest.fixture
def tier(kafka: KafkaConfig, tmp_path: Path) -> Tier:
    return Tier(kafka, tmp_path / "tables")


async def test_a_tier_takes_committed_records_alone_and_knows_what_is_left(tier: Tier) -> None:
    send(tier.kafka, tier.topic, [b"plain"])
    abort(tier.kafka, tier.topic, [b"aborted"] * 3)
    commit(tier.kafka, tier.topic, [b"committed"])
    with left_open(tier.kafka, tier.topic, [b"open"] * 2):
        send(tier.kafka, tier.topic, [b"after"])
        async with tier.running():
            await tier.until(lambda: tier.figure("escalon_consumer_lag") == 0 and len(tier.taken) == 2)
            await tier.until(lambda: tier.figure("escalon_consumer_held_back") == 3)
        assert tier.taken == [b"plain", b"committed"]
        assert tier.committed() == 7
    async with tier.running():
        await tier.until(lambda: tier.taken == [b"plain", b"committed", b"after"])
        end = abort(tier.kafka, tier.topic, [b"aborted"] * 5)
        await tier.until(lambda: tier.figure("escalon_consumer_held_back") == 0)
        await tier.until(lambda: tier.figure("escalon_consumer_lag") == 0)
    assert (tier.committed(), len(tier.taken)) == (end, 3)


async def test_what_was_deleted_before_it_was_read_is_counted_and_said(
    tier: Tier, caplog: pytest.LogCaptureFixture
) -> None:
    send(tier.kafka, tier.topic, [b"0", b"1"])
    forget(tier.kafka, tier.topic, 1)
    async with tier.running():
        await tier.until(lambda: len(tier.taken) == 1)
    assert (tier.committed(), tier.figure("escalon_skipped_total")) == (2, None), "nobody was to read the first one"
    send(tier.kafka, tier.topic, [b"2", b"3", b"4", b"5"])
    forget(tier.kafka, tier.topic, 5)
    async with tier.running():
        await tier.until(lambda: len(tier.taken) == 2)
        await tier.until(lambda: tier.figure("escalon_consumer_lag") == 0)
    assert (tier.taken, tier.figure("escalon_skipped_total")) == ([b"1", b"5"], 3)
    assert "the offsets 2 to 4 were deleted before they were read" in caplog.text


async def test_so_is_what_came_while_a_tier_was_down_that_had_found_its_topic_empty(tier: Tier) -> None:
    async with tier.running():
        await tier.until(lambda: tier.committed() == 0)
    send(tier.kafka, tier.topic, [b"0", b"1", b"2"])
    forget(tier.kafka, tier.topic, 2)
    async with tier.running():
        await tier.until(lambda: tier.taken == [b"2"])
    assert (tier.committed(), tier.figure("escalon_skipped_total")) == (3, 2)


@pytest.mark.parametrize("in_flight", [False, True])
@pytest.mark.parametrize("count", [3, 12])
async def test_a_topic_that_is_made_again_under_a_tier_is_read_from_its_beginning(
    tier: Tier, in_flight: bool, count: int
) -> None:
    send(tier.kafka, tier.topic, [b"old"] * 5)
    if in_flight:
        tier.goes.clear()
    async with tier.running():
        await tier.until(lambda: len(tier.taken) == (4 if in_flight else 5))
        if not in_flight:
            await tier.until(lambda: tier.figure("escalon_consumer_lag") == 0)
        remake(tier.kafka, tier.topic)
        new = [b"new %d" % number for number in range(count)]
        send(tier.kafka, tier.topic, new)
        tier.goes.set()
        await tier.until(lambda: set(tier.taken) == {b"old", *new})
        await tier.until(lambda: tier.committed() == count)


async def test_an_offset_that_was_committed_in_a_topic_of_the_same_name_is_passed_over(tier: Tier) -> None:
    send(tier.kafka, tier.topic, [b"new"] * 3)
    consumer = Consumer(tier.kafka.consumer(f"escalon-{tier.prefix}listen"))
    try:
        stale = TopicPartition(tier.topic, 0, 2, metadata="the id of a topic that is gone")
        consumer.commit(offsets=[stale], asynchronous=False)
    finally:
        consumer.close()
    async with tier.running():
        await tier.until(lambda: len(tier.taken) == 3)
    assert tier.committed() == 3
    async with tier.running():
        send(tier.kafka, tier.topic, [b"last"])
        await tier.until(lambda: tier.taken == [b"new"] * 3 + [b"last"])


async def test_a_topic_that_is_made_again_while_a_tier_is_down_is_read_from_its_beginning(tier: Tier) -> None:
    send(tier.kafka, tier.topic, [b"old"] * 2)
    async with tier.running():
        await tier.until(lambda: len(tier.taken) == 2)
    remake(tier.kafka, tier.topic)
    send(tier.kafka, tier.topic, [b"new"] * 4)
    async with tier.running():
        await tier.until(lambda: tier.taken == [b"old"] * 2 + [b"new"] * 4)
    assert tier.committed() == 4


async def test_tables_are_recovered_though_a_changelog_ends_in_a_transaction(tier: Tier, tmp_path: Path) -> None:
    changelog, tier.remembers = TAKEN.changelog(tier.prefix), True
    send(tier.kafka, tier.topic, [b"first"])
    async with tier.running():
        await tier.until(lambda: tier.taken == [b"first"])
    commit(tier.kafka, changelog, [b"value"], key=b"theirs")
    abort(tier.kafka, changelog, [b"aborted"] * 2, key=b"first")
    send(tier.kafka, tier.topic, [b"second"])
    elsewhere = replace(tier, directory=tmp_path / "elsewhere", taken=[])
    async with elsewhere.running() as app:
        await elsewhere.until(lambda: elsewhere.taken == [b"second"])
        (table,) = app.stage_tables
        assert dict(table.items()) == {b"first": b"1", b"second": b"1", b"theirs": b"value"}
