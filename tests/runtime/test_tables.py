"""The stages' memory, on a table that is a dict."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from aiokafka.errors import KafkaTimeoutError, MessageSizeTooLargeError
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.adapters.codec import Codec
from streams.calibration.drift import observe, reference_of, watch
from streams.core.errors import ProcessError
from streams.core.messages import StoredAnswer
from streams.models.listeners.seen_image import SeenImage
from streams.runtime.confirm import PENDING, PendingDeliveries
from streams.runtime.tables import (
    Table,
    TableAnswers,
    TableBudget,
    TableImages,
    TableSettled,
    TableWatches,
    table,
)
from streams.stages.settle import Settled
from tests.harness.arbitrary_messages import any_message
from tests.harness.fakes.faust import FakeTable

AT = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def pending() -> Iterator[PendingDeliveries]:
    """The pending deliveries of the message that is being handled."""
    pending = PendingDeliveries()
    token = PENDING.set(pending)
    yield pending
    PENDING.reset(token)


class FakeApp:
    """Makes tables that are their options."""

    def Table(self, name: str, **options: Any) -> dict[str, Any]:  # noqa: N802  the name Faust gives it
        """The options."""
        return {"name": name} | options


def test_a_table_has_its_topics_partitions_and_forgets_in_time() -> None:
    made = table(FakeApp(), "answers", "verdicts", 6, 3600.5)
    assert (made["name"], made["partitions"], made["options"]["ttl"]) == ("answers", 6, 3600)
    assert made["key_type"] is made["value_type"] is bytes


class FakeConsumer:
    """Knows how many partitions each topic has."""

    def __init__(self, **topics: int) -> None:
        self.topics = topics

    def topic_partitions(self, topic: str) -> int:
        """0 for a topic it has not heard of."""
        return self.topics.get(topic, 0)


class Checked(Table):
    """A table that is only its check of partitions."""

    def __init__(self, consumer: FakeConsumer) -> None:
        self.app = SimpleNamespace(consumer=consumer)
        self.name = "settled"
        self._changelog_topic = SimpleNamespace(get_topic_name=lambda: "changelog")
        self._verified_source_topics_for_partitions = set[str]()


def test_a_changelog_the_consumer_has_not_heard_of_yet_is_written_to_all_the_same() -> None:
    Checked(FakeConsumer(results=4))._verify_source_topic_partitions("results")


def test_a_changelog_with_other_partitions_than_its_source_is_refused() -> None:
    Checked(FakeConsumer(results=4, changelog=4))._verify_source_topic_partitions("results")
    with pytest.raises(ProcessError, match="has 4 partitions, but the changelog"):
        Checked(FakeConsumer(results=4, changelog=3))._verify_source_topic_partitions("results")


@settings(deadline=None, max_examples=30)
@given(any_message(StoredAnswer), st.text())
def test_an_answer_comes_back_as_it_was(answer: StoredAnswer, fingerprint: str) -> None:
    answers = TableAnswers(FakeTable(), Codec())
    assert answers.get(fingerprint) is None
    answers.put(fingerprint, answer)
    assert answers.get(fingerprint) == answer


@given(st.integers(0, 2**31 - 1), st.integers(0, 2**63 - 1), st.binary())
def test_what_settled_an_event_comes_back_as_it_was(partition: int, offset: int, outcome: bytes) -> None:
    settled = TableSettled(FakeTable())
    settled.put("live", "e1", Settled(partition, offset, outcome))
    assert settled.get("live", "e1") == Settled(partition, offset, outcome)


def test_a_result_that_becomes_a_dead_letter_has_settled_nothing(pending: PendingDeliveries) -> None:
    settled = TableSettled(FakeTable())
    settled.put("live", "e1", Settled(0, 5, b"x"))
    pending.withdraw()
    assert settled.get("live", "e1") is None


def test_nor_has_one_that_is_delivered_again_and_becomes_a_dead_letter_then(pending: PendingDeliveries) -> None:
    settled = TableSettled(FakeTable())
    for _ in range(2):
        settled.put("live", "e1", Settled(0, 5, b"x"))
    pending.withdraw()
    pending.withdraw()
    assert settled.get("live", "e1") is None


def test_nothing_is_a_duplicate_of_an_image_whose_sighting_became_a_dead_letter(pending: PendingDeliveries) -> None:
    images = TableImages(FakeTable(), 10)
    add(images, 5, "e1", 1)
    pending.withdraw()
    assert near(images, 1, 0, "e2") == []
    add(images, 6, "e2", 1)
    assert near(images, 1, 0, "e3") == [("e2", 0)]


def test_each_run_settles_its_events_for_itself() -> None:
    settled = TableSettled(FakeTable())
    settled.put("live", "e1", Settled(0, 1, b"x"))
    assert settled.get("replay", "e1") is None
    assert settled.get("live", "e2") is None


def seen(event_id: str, image_hash: int) -> SeenImage:
    return SeenImage(
        event_id=event_id, image=event_id.encode().hex().ljust(64, "0"), text=0, data=0, hash=image_hash,
        thumbnail=bytes(32 * 32),
    )  # fmt: skip


def add(images: TableImages, position: int, event_id: str, image_hash: int) -> None:
    images.position = position
    images.add(seen(event_id, image_hash))


def near(images: TableImages, image_hash: int, max_distance: int, event_id: str) -> list[tuple[str, int]]:
    found = images.likeliest(seen(event_id, image_hash), max_distance)
    return [(one.seen.event_id, one.distance) for one in found]


async def test_the_images_seen_are_found_again_after_a_recovery() -> None:
    kept = FakeTable()
    images = TableImages(kept, 10)
    add(images, 5, "e1", 0xFFFF << 48)
    add(images, 6, "e2", 1)
    assert near(images, 3, 10, "e3") == [("e2", 1)]
    for again in (TableImages(kept, 10), images):
        for callback in kept.recovered:
            await callback()
        assert near(again, 0xFFFF << 48, 10, "e3") == [("e1", 0)]
        assert near(again, 1, 10, "e2") == []


def test_after_a_recovery_the_oldest_are_still_the_first_to_be_forgotten() -> None:
    kept = FakeTable()
    images = TableImages(kept, 10)
    for position, event_id in [(9, "newest"), (7, "oldest"), (8, "middle")]:
        add(images, position, event_id, 1 << position)
    again = TableImages(kept, 2)
    assert near(again, 1 << 7, 0, "x") == []
    assert near(again, 1 << 9, 0, "x") == [("newest", 0)]


def test_an_image_is_remembered_where_it_was_first_seen() -> None:
    kept = FakeTable()
    images = TableImages(kept, 10)
    add(images, 5, "e1", 1)
    add(images, 99, "e1", 2)
    assert near(images, 1, 0, "x") == [("e1", 0)]
    assert near(images, 2, 0, "x") == []
    assert near(TableImages(kept, 10), 1, 0, "x") == [("e1", 0)]


def test_an_image_that_the_table_has_forgotten_or_kept_in_an_older_form_is_not_compared() -> None:
    kept = FakeTable()
    images = TableImages(kept, 10)
    add(images, 5, "e1", 1)
    kept.clear()
    assert near(images, 1, 0, "x") == []
    kept[b"e2"] = bytes(16)
    assert near(TableImages(kept, 10), 0, 64, "x") == []


# ---- Money ----

CENT = Decimal("0.01")


def test_a_partition_may_spend_until_its_share_is_reached() -> None:
    purse = TableBudget(FakeTable(), 2 * CENT)
    assert purse.may_spend(AT)
    purse.spend(CENT, AT)
    assert purse.may_spend(AT)
    purse.spend(CENT, AT)
    assert not purse.may_spend(AT)


def test_a_partition_whose_share_is_nothing_may_spend_nothing() -> None:
    assert not TableBudget(FakeTable(), Decimal(0)).may_spend(AT)


def test_each_day_has_money_of_its_own_and_turns_at_midnight_utc() -> None:
    purse = TableBudget(FakeTable(), CENT)
    purse.spend(CENT, AT)
    assert not purse.may_spend(AT + timedelta(hours=23, minutes=59))
    assert purse.may_spend(AT + timedelta(days=1))
    assert purse.may_spend(AT - timedelta(seconds=1))


@given(st.lists(st.integers(0, 10**9).map(lambda count: Decimal(count).scaleb(-12)), max_size=20))
def test_money_is_counted_exactly_and_goes_on_where_another_process_left_it(costs: list[Decimal]) -> None:
    kept = FakeTable()
    for cost in costs:
        TableBudget(kept, Decimal(1)).spend(cost, AT)
    assert not TableBudget(kept, sum(costs, Decimal(0))).may_spend(AT)
    assert TableBudget(kept, sum(costs, Decimal("1e-12"))).may_spend(AT)


def test_each_partition_counts_for_itself() -> None:
    one, other = TableBudget(FakeTable(), CENT), TableBudget(FakeTable(), CENT)
    one.spend(CENT, AT)
    assert (one.may_spend(AT), other.may_spend(AT)) == (False, True)


# ---- Watches ----

REFERENCE = reference_of(np.random.default_rng(1).uniform(size=100).tolist())


def test_a_watch_comes_back_as_it_was_by_its_calibration() -> None:
    watches = TableWatches(FakeTable())
    assert watches.get("one") is None
    first = observe(REFERENCE, watch(REFERENCE), 0.3, 0.5)
    second = observe(REFERENCE, first, float("nan"), 0.25)
    watches.put("one", first)
    watches.put("other", second)
    assert (watches.get("one"), watches.get("other"), watches.get("third")) == (first, second, None)
    watches.put("one", second)
    assert watches.get("one") == second


@pytest.mark.parametrize("data", [b"", b"\xff" * 40, b"no watch at all"])
def test_a_watch_that_cannot_be_read_starts_again_and_holds_up_nothing(
    data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    kept = FakeTable()
    kept[b"one"] = data
    with caplog.at_level(logging.WARNING, "escalon.runtime"):
        assert TableWatches(kept).get("one") is None
    assert "the watch of the calibration one starts again" in caplog.text


class FakeChangelog:
    """A changelog topic that confirms and fails on demand."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.sent: list[tuple[int, bytes, bytes]] = []
        self.waiting: list[asyncio.Future[None]] = []

    def as_future_message(self, *, key: bytes, value: bytes, partition: int, **_: Any) -> Any:
        """Return the message to be sent."""
        return SimpleNamespace(message=SimpleNamespace(partition=partition, key=key, value=value))

    async def publish_message(self, change: Any) -> asyncio.Future[None]:
        """Send; what it returns waits for the broker."""
        self.sent.append((change.message.partition, change.message.key, change.message.value))
        self.waiting.append(asyncio.get_running_loop().create_future())
        if self.errors:
            self.waiting[-1].set_exception(self.errors.pop(0))
        return self.waiting[-1]


class TableOfOneTopic(Table):
    """Faust's table without an app."""

    changelog_topic: Any = None
    changelog_topic_name = "changelog"
    name = "answers"

    def __init__(self, changelog: FakeChangelog) -> None:
        self.changelog_topic, self._latest, self._turns = changelog, {}, defaultdict(asyncio.Lock)
        self.app, self.persisted = SimpleNamespace(consumer_generation_id=1), list[Any]()
        self.key_serializer = self.value_serializer = "raw"

    def _on_changelog_sent(self, fut: Any) -> None:
        self.persisted.append(fut)


async def some_turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_change_confirmed_after_a_rebalance_does_not_say_how_far_the_table_is() -> None:
    """Another worker may have written between the two, and what it wrote would be left out of the recovery."""
    written = TableOfOneTopic(FakeChangelog())
    written._on_sent(1, "in time")
    written.app.consumer_generation_id = 2
    written._on_sent(1, "late")
    assert written.persisted == ["in time"]


async def test_a_message_is_done_only_when_kafka_has_its_writes_and_they_do_not_wait_for_each_other() -> None:
    changelog, pending = FakeChangelog(), PendingDeliveries()
    written = TableOfOneTopic(changelog)
    PENDING.set(pending)
    written.send_changelog(0, b"a", b"1")
    assert written.send_changelog(0, b"b", b"2").message.partition == 0  # Faust asks for it
    done = asyncio.create_task(pending.confirmed())
    await some_turns()
    assert changelog.sent == [(0, b"a", b"1"), (0, b"b", b"2")]
    assert not done.done()
    for one in changelog.waiting:
        one.set_result(None)
    await done
    assert written._latest == {}


async def test_a_write_that_kafka_lost_is_sent_again_but_not_over_a_later_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.runtime.confirm.RETRY_SECONDS", 0)
    changelog, pending = FakeChangelog(KafkaTimeoutError()), PendingDeliveries()
    written = TableOfOneTopic(changelog)
    PENDING.set(pending)
    written.send_changelog(0, b"a", b"old")
    written.send_changelog(0, b"a", b"new")
    written.send_changelog(1, b"a", b"elsewhere")
    await some_turns()
    done = asyncio.create_task(pending.confirmed())
    changelog.waiting[2].set_result(None)
    await some_turns()
    assert not done.done()
    changelog.waiting[1].set_result(None)
    await done
    assert [value for _, _, value in changelog.sent] == [b"old", b"new", b"elsewhere"]
    assert written._latest == {}


async def test_a_write_that_kafka_lost_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.runtime.confirm.RETRY_SECONDS", 0)
    changelog, pending = FakeChangelog(KafkaTimeoutError()), PendingDeliveries()
    PENDING.set(pending)
    TableOfOneTopic(changelog).send_changelog(0, b"a", b"1")
    await some_turns()
    changelog.waiting[-1].set_result(None)
    await pending.confirmed()
    assert changelog.sent == [(0, b"a", b"1")] * 2


@pytest.mark.parametrize("later", [b"", b"2"])
async def test_a_write_that_is_over_its_changelogs_limit_holds_up_nothing_and_is_logged(
    later: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    changelog, pending = FakeChangelog(MessageSizeTooLargeError()), PendingDeliveries()
    written = TableOfOneTopic(changelog)
    PENDING.set(pending)
    written.send_changelog(0, b"a", b"1" * 5000)
    if later:
        written.send_changelog(0, b"a", later)
    await some_turns()
    for one in changelog.waiting[1:]:
        one.set_result(None)
    await pending.confirmed()
    assert (len(changelog.sent), written._latest) == (1 + len(later), {})
    assert "raise its max.message.bytes" in caplog.text
