"""The limit of dead letters at which a tier stops."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from streams.core.dead_letter_limit import WINDOW, DeadLetterLimit
from streams.core.errors import DeadLetterLimitError
from streams.core.messages import DeadLetter


def letter(offset: int, partition: int = 0, reason: str = "not_avro") -> DeadLetter:
    return DeadLetter(
        dead_letter_id=f"{partition}-{offset}", run="live", topic="events", partition=partition, offset=offset,
        payload=b"", payload_size=0, payload_sha256="", reason=reason, detail=f"Message {offset} is not Avro.",
        error_class="UnreadableError", event_id="e", event_time=datetime(2026, 11, 1, tzinfo=UTC),
    )  # fmt: skip


def stopped(limit: DeadLetterLimit, *offsets: int, partition: int = 0) -> bool:
    """True if the last of some dead letters reaches the limit, and none before it."""
    *others, last = offsets
    for offset in others:
        limit.add(letter(offset, partition))
    try:
        limit.add(letter(last, partition))
    except DeadLetterLimitError:
        return True
    return False


def test_a_run_of_dead_letters_stops_the_tier_and_its_first_reasons_are_named() -> None:
    limit = DeadLetterLimit(run=4)
    assert not stopped(limit, 7, 8, 9)
    with pytest.raises(DeadLetterLimitError) as caught:
        limit.add(letter(10))
    said = str(caught.value)
    assert "The last 4 messages of events/0 all became dead letters." in said
    assert [f"not_avro at offset {offset}: Message {offset} is not Avro." in said for offset in (7, 8, 9, 10)] == [
        True, True, True, False,
    ]  # fmt: skip
    assert "escalon dead-letters retry" in said
    assert "ESCALON_DEAD_LETTER_RUN" in said


def test_a_success_between_them_begins_the_count_again() -> None:
    limit = DeadLetterLimit(run=3)
    assert not stopped(limit, 1, 2)
    limit.succeeded("events", 0, 3)
    assert not stopped(limit, 4, 5)
    assert stopped(limit, 6)


def test_messages_that_end_out_of_order_are_counted_in_the_order_of_the_partition() -> None:
    limit = DeadLetterLimit(run=3)
    limit.succeeded("events", 0, 5)
    assert not stopped(limit, 1, 2, 3, 4)
    assert not stopped(limit, 6, 7)
    limit.succeeded("events", 0, 8)
    assert not stopped(limit, 9, 10)


def test_each_partition_is_counted_by_itself() -> None:
    limit = DeadLetterLimit(run=3)
    assert not stopped(limit, 1, 2)
    assert not stopped(limit, 1, 2, partition=1)
    limit.succeeded("events", 0, 3)
    assert stopped(limit, 3, partition=1)


def test_a_redelivered_message_counts_once() -> None:
    limit = DeadLetterLimit(run=3)
    assert not stopped(limit, 1, 2, 1, 2, 2, 1)
    assert stopped(limit, 3)


def test_a_share_of_the_last_messages_stops_the_tier() -> None:
    limit = DeadLetterLimit(percent=10)
    for offset in range(500):
        limit.add(letter(offset)) if offset % 5 == 0 else limit.succeeded("events", 0, offset)
    with pytest.raises(DeadLetterLimitError, match=rf"101 of the last {WINDOW} messages of events/0"):
        limit.add(letter(500))


def test_few_dead_letters_among_many_messages_never_stop_it() -> None:
    limit = DeadLetterLimit(run=100, percent=10)
    for offset in range(20 * WINDOW):
        limit.add(letter(offset)) if offset % 20 == 0 else limit.succeeded("events", 0, offset)


@pytest.mark.parametrize("limit", [DeadLetterLimit(), DeadLetterLimit(percent=100)])
def test_without_a_limit_nothing_stops_it_and_little_is_kept(limit: DeadLetterLimit) -> None:
    for offset in range(3 * WINDOW):
        limit.add(letter(offset))
    assert len(limit._partitions["events", 0].letters) <= WINDOW


def test_dead_letters_of_long_ago_are_forgotten() -> None:
    limit = DeadLetterLimit(run=3, percent=10)
    assert not limit.counting()
    limit.add(letter(0))
    limit.succeeded("events", 0, WINDOW - 1)
    assert limit.counting()
    limit.succeeded("events", 0, WINDOW)
    assert not limit.counting()
