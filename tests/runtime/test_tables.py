"""The stages' state in tables on RocksDB."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.adapters.codec import Codec
from streams.calibration.drift import observe, reference_of, watch
from streams.core.messages import StoredAnswer
from streams.models.listeners.seen_image import SeenImage
from streams.runtime.deliveries import Deliveries
from streams.runtime.table import Table
from streams.runtime.tables import TableAnswers, TableBudget, TableImages, TableSettled, TableWatches
from streams.stages.settle import Settled
from tests.harness.arbitrary_messages import any_message
from tests.harness.handled_table import handled, new_table, open_table

AT = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def deliveries() -> Iterator[Deliveries]:
    """Those of the message that is being handled."""
    with handled() as made:
        yield made


@pytest.fixture
def table(tmp_path: Path, deliveries: Deliveries) -> Table:  # noqa: ARG001 - a table is used while a message is handled
    return open_table(tmp_path)


@settings(max_examples=30)
@given(any_message(StoredAnswer), st.text())
def test_an_answer_comes_back_as_it_was(answer: StoredAnswer, fingerprint: str) -> None:
    with new_table() as table, handled():
        answers = TableAnswers(table, Codec())
        assert answers.get(fingerprint) is None
        answers.put(fingerprint, answer)
        assert answers.get(fingerprint) == answer


@settings(max_examples=30)
@given(st.integers(0, 2**31 - 1), st.integers(0, 2**63 - 1), st.binary())
def test_what_settled_an_event_comes_back_as_it_was(partition: int, offset: int, outcome: bytes) -> None:
    with new_table() as table, handled():
        settled = TableSettled(table)
        settled.put("live", "e1", Settled(partition, offset, outcome))
        assert settled.get("live", "e1") == Settled(partition, offset, outcome)


def test_a_result_that_becomes_a_dead_letter_has_settled_nothing(table: Table, deliveries: Deliveries) -> None:
    settled = TableSettled(table)
    settled.put("live", "e1", Settled(0, 5, b"x"))
    deliveries.withdraw()
    assert settled.get("live", "e1") is None


def test_nor_has_one_that_is_delivered_again_and_becomes_a_dead_letter_then(
    table: Table, deliveries: Deliveries
) -> None:
    settled = TableSettled(table)
    for _ in range(2):
        settled.put("live", "e1", Settled(0, 5, b"x"))
    deliveries.withdraw()
    deliveries.withdraw()
    assert settled.get("live", "e1") is None


def test_nothing_is_a_duplicate_of_an_image_whose_sighting_became_a_dead_letter(
    table: Table, deliveries: Deliveries
) -> None:
    images = TableImages(table, 10)
    add(images, 5, "e1", 1)
    deliveries.withdraw()
    assert near(images, 1, 0, "e2") == []
    add(images, 6, "e2", 1)
    assert near(images, 1, 0, "e3") == [("e2", 0)]


def test_each_run_settles_its_events_for_itself(table: Table) -> None:
    settled = TableSettled(table)
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


def test_the_images_seen_are_found_again_after_a_recovery(table: Table) -> None:
    images = TableImages(table, 10)
    add(images, 5, "e1", 0xFFFF << 48)
    add(images, 6, "e2", 1)
    assert near(images, 3, 10, "e3") == [("e2", 1)]
    for again in (TableImages(table, 10), images):
        table.recovered()
        assert near(again, 0xFFFF << 48, 10, "e3") == [("e1", 0)]
        assert near(again, 1, 10, "e2") == []


def test_after_a_recovery_the_oldest_are_still_the_first_to_be_forgotten(table: Table) -> None:
    images = TableImages(table, 10)
    for position, event_id in [(9, "newest"), (7, "oldest"), (8, "middle")]:
        add(images, position, event_id, 1 << position)
    again = TableImages(table, 2)
    assert near(again, 1 << 7, 0, "x") == []
    assert near(again, 1 << 9, 0, "x") == [("newest", 0)]


def test_an_image_is_remembered_where_it_was_first_seen(table: Table) -> None:
    images = TableImages(table, 10)
    add(images, 5, "e1", 1)
    add(images, 99, "e1", 2)
    assert near(images, 1, 0, "x") == [("e1", 0)]
    assert near(images, 2, 0, "x") == []
    assert near(TableImages(table, 10), 1, 0, "x") == [("e1", 0)]


def test_an_image_that_the_table_has_forgotten_or_kept_in_an_older_form_is_not_compared(table: Table) -> None:
    images = TableImages(table, 10)
    add(images, 5, "e1", 1)
    table.delete(b"e1")
    assert near(images, 1, 0, "x") == []
    table[b"e2"] = bytes(16)
    assert near(TableImages(table, 10), 0, 64, "x") == []


# ---- Money ----

CENT = Decimal("0.01")


def test_a_partition_may_spend_until_its_share_is_reached(table: Table) -> None:
    budget = TableBudget(table, 2 * CENT)
    assert budget.may_spend(AT)
    budget.spend(CENT, AT)
    assert budget.may_spend(AT)
    budget.spend(CENT, AT)
    assert not budget.may_spend(AT)


def test_a_partition_whose_share_is_nothing_may_spend_nothing(table: Table) -> None:
    assert not TableBudget(table, Decimal(0)).may_spend(AT)


def test_each_day_has_money_of_its_own_and_turns_at_midnight_utc(table: Table) -> None:
    budget = TableBudget(table, CENT)
    budget.spend(CENT, AT)
    assert not budget.may_spend(AT + timedelta(hours=23, minutes=59))
    assert budget.may_spend(AT + timedelta(days=1))
    assert budget.may_spend(AT - timedelta(seconds=1))


@settings(max_examples=30)
@given(st.lists(st.integers(0, 10**9).map(lambda count: Decimal(count).scaleb(-12)), max_size=20))
def test_money_is_counted_exactly_and_goes_on_where_another_process_left_it(costs: list[Decimal]) -> None:
    with new_table() as table, handled():
        for cost in costs:
            TableBudget(table, Decimal(1)).spend(cost, AT)
        assert not TableBudget(table, sum(costs, Decimal(0))).may_spend(AT)
        assert TableBudget(table, sum(costs, Decimal("1e-12"))).may_spend(AT)


def test_each_partition_counts_for_itself(tmp_path: Path) -> None:
    budget = TableBudget(open_table(tmp_path, None, 0, 1), CENT)
    with handled(0):
        budget.spend(CENT, AT)
        assert not budget.may_spend(AT)
    with handled(1):
        assert budget.may_spend(AT)


# ---- Watches ----

REFERENCE = reference_of(np.random.default_rng(1).uniform(size=100).tolist())


def test_a_watch_comes_back_as_it_was_by_its_calibration(table: Table) -> None:
    watches = TableWatches(table)
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
    data: bytes, table: Table, caplog: pytest.LogCaptureFixture
) -> None:
    table[b"one"] = data
    with caplog.at_level(logging.WARNING, "escalon.runtime"):
        assert TableWatches(table).get("one") is None
    assert "the watch of the calibration one starts again" in caplog.text
