"""The sink on fakes of Kafka and ClickHouse: only stored records are committed, after any failure."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from streams.adapters.codec import Codec
from streams.core.dead_letter_limit import DeadLetterLimit
from streams.core.errors import DeadLetterLimitError, ProcessError, ServiceError
from streams.sink.batch import BatchBuilder
from streams.sink.limits import SinkLimits
from streams.sink.sink import POLL_MESSAGES
from tests.builders import call, event
from tests.harness.metrics import MetricsChange
from tests.harness.sink import (
    AWAY,
    HASTY,
    WAIT_SECONDS,
    FakeClickHouse,
    FakeConsumer,
    FakeProducer,
    Message,
    RunningSink,
    Script,
    names,
    on_topic,
    outcomes,
    sink,
)


@pytest.fixture
def change() -> MetricsChange:
    """The change of the metrics during a test."""
    return MetricsChange()


OVERLOADED: Exception = DatabaseError("Code: 252. DB::Exception: Too many parts")


def test_what_is_stored_is_committed_by_its_own_offsets() -> None:
    calls = [on_topic(call(event(f"e{number}")), number, 2) for number in range(3)]
    one = sink([outcomes(0, 2), calls])
    one.run_until(lambda: bool(one.consumer.committed_ and ("calls", 2) in one.consumer.committed_[-1]))
    ends: dict[tuple[str, int], int] = {}
    for commit in one.consumer.committed_:
        ends |= commit
    assert ends == {("outcomes", 0): 2, ("calls", 2): 3}
    assert one.clickhouse.events == names(0, 2)
    assert ("calls_rows", ["undecoded"] * 3) in one.clickhouse.stored


@pytest.mark.parametrize("error", [AWAY, OVERLOADED, ServiceError("no login")], ids=str)
def test_while_clickhouse_is_unavailable_nothing_is_committed_and_the_consumer_still_polls(error: Exception) -> None:
    away = threading.Event()
    away.set()
    clickhouse = FakeClickHouse(lambda *_: error if away.is_set() else None)
    one = sink([outcomes(0, 3), outcomes(3, 5)], clickhouse)
    committed_then: list[int] = []

    def enough() -> bool:
        if (away.is_set() and one.consumer.polls_while_paused > 3) or (
            not one.consumer.script and len(committed_then) == 0
        ):
            committed_then.append(len(one.consumer.committed_))
            away.clear()
        return bool(one.consumer.committed_) and one.consumer.committed_[-1] == {("outcomes", 0): 5}

    one.run_until(enough)
    assert committed_then[0] == 0
    assert one.clickhouse.events == names(0, 5)


def test_an_outage_longer_than_patience_pauses_the_partitions() -> None:
    away = threading.Event()
    away.set()
    clickhouse = FakeClickHouse(lambda *_: AWAY if away.is_set() else None)
    one = sink([outcomes(0, 2), outcomes(2, 4), outcomes(4, 6)], clickhouse, limits=replace(HASTY, batch_rows=2))

    def enough() -> bool:
        if away.is_set() and one.consumer.polls_while_paused > 5:
            assert len(one.consumer.script) == 1, "it read on, although it held two full batches"
            away.clear()
        return len(one.clickhouse.events) == 6

    one.run_until(enough)
    assert one.clickhouse.events == names(0, 6)
    assert not one.consumer.paused


def test_a_sink_that_stops_while_clickhouse_is_unavailable_commits_nothing() -> None:
    tries: list[int] = []

    def refuses(_: str, rows: list[Any]) -> Exception | None:
        tries.append(len(rows))
        return AWAY

    one = sink([outcomes(0, 2), outcomes(2, 4)], FakeClickHouse(refuses))
    one.run_until(lambda: len(tries) > 2)
    assert one.consumer.committed_ == []


def test_a_sink_that_stops_stores_and_commits_what_it_has_read() -> None:
    one = sink([outcomes(0, 3)], limits=replace(HASTY, batch_seconds=60.0))
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(one.sink.run)
        while one.sink._filling.rows < 3:
            threading.Event().wait(0.01)
        assert one.clickhouse.events == []
        one.sink.stop.set()
        running.result(WAIT_SECONDS)
    assert one.consumer.committed_ == [{("outcomes", 0): 3}]


def test_a_batch_is_full_by_rows_and_by_bytes() -> None:
    one = sink([outcomes(0, 50)], limits=replace(HASTY, batch_seconds=60.0, batch_bytes=400))
    one.run_until(lambda: len(one.clickhouse.stored) > 3)
    assert max(len(rows) for _, rows in one.clickhouse.stored) < 10


# ---- Rebalances ----


def rebalanced(messages: list[Message]) -> Callable[[FakeConsumer], list[Message]]:
    """A poll in which all partitions are taken away and given back."""

    def poll(consumer: FakeConsumer) -> list[Message]:
        consumer.callbacks["on_revoke"](consumer, [])
        consumer.callbacks["on_assign"](consumer, ["here"])
        return messages

    return poll


def test_what_was_read_before_a_rebalance_is_not_committed_after_it() -> None:
    away = threading.Event()
    away.set()
    clickhouse = FakeClickHouse(lambda *_: AWAY if away.is_set() else None)

    def returns(_: FakeConsumer) -> list[Message]:
        away.clear()
        return []

    one = sink([outcomes(0, 3), [], [], [], rebalanced([]), returns, outcomes(5, 6)], clickhouse)
    one.run_until(lambda: bool(one.consumer.committed_))
    assert one.consumer.committed_ == [{("outcomes", 0): 6}]


def test_what_one_poll_gives_across_a_rebalance_is_read_again_from_the_committed_offsets() -> None:
    one = sink([rebalanced(outcomes(7, 9)), outcomes(0, 2)])
    one.run_until(lambda: bool(one.consumer.committed_))
    assert one.clickhouse.events == names(0, 2)
    assert one.consumer.assigned == ["committed here"]


def test_what_is_stored_in_time_is_committed_before_its_partitions_go() -> None:
    one = sink(
        [outcomes(0, 3), rebalanced([])], limits=replace(HASTY, batch_seconds=0.0, handover_seconds=WAIT_SECONDS)
    )
    one.run_until(lambda: not one.consumer.script and bool(one.consumer.committed_))
    assert one.consumer.committed_ == [{("outcomes", 0): 3}]


def test_an_insert_that_ends_while_its_partitions_are_taken_away_is_concluded_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    going = threading.Event()

    def slow(*_: Any) -> None:
        going.wait(WAIT_SECONDS)

    one = sink(
        [outcomes(0, 2), outcomes(2, 4), outcomes(2, 4)],
        FakeClickHouse(slow),
        limits=replace(HASTY, batch_rows=2, handover_seconds=WAIT_SECONDS),
    )
    consume = one.consumer.consume

    def taken_while_paused(count: int, seconds: float) -> list[Message]:
        if one.consumer.polls_while_paused > 3 and not going.is_set():
            threading.Timer(0.05, going.set).start()
            one.consumer.callbacks["on_revoke"](one.consumer, [])
            one.consumer.callbacks["on_assign"](one.consumer, ["here"])
        return consume(count, seconds)

    monkeypatch.setattr(one.consumer, "consume", taken_while_paused)
    one.run_until(lambda: len(one.consumer.committed_) == 2)
    assert one.clickhouse.events == names(0, 4)
    assert one.consumer.committed_ == [{("outcomes", 0): 2}, {("outcomes", 0): 4}]


def test_what_is_read_ahead_is_less_than_a_batch_however_large_the_records_are() -> None:
    largest = 1 << 20
    assert POLL_MESSAGES * largest <= SinkLimits().batch_bytes
    one = sink([outcomes(0, 200)], FakeClickHouse(lambda *_: AWAY), limits=replace(HASTY, batch_bytes=400))
    ahead: list[int] = []

    def enough() -> bool:
        ahead.append(len(one.sink._inbox))
        return one.consumer.polls_while_paused > 3

    one.run_until(enough)
    assert 0 < max(ahead) <= POLL_MESSAGES


# ---- Rows that are wrong ----


def wrong(*bad: str) -> Callable[[str, list[Any]], Exception | None]:
    """Refuses any insert that holds one of some events."""

    def refuses(_: str, rows: list[Any]) -> Exception | None:
        held = any(isinstance(row, dict) and row["event_id"] in bad for row in rows)
        return DatabaseError("Code: 69. DB::Exception: out of bounds") if held else None

    return refuses


def test_a_wrong_row_goes_alone_to_the_dead_letters_before_the_commit() -> None:
    one = sink([outcomes(0, 9)], FakeClickHouse(wrong("e4")))
    one.run_until(lambda: bool(one.consumer.committed_))
    assert one.clickhouse.events == [name for name in names(0, 9) if name != "e4"]
    assert [(letter.offset, letter.reason) for letter in one.producer.letters] == [(4, "bad_row")]
    assert one.consumer.committed_ == [{("outcomes", 0): 9}]


def test_a_record_that_cannot_be_read_is_a_dead_letter_with_its_bytes() -> None:
    one = sink([[Message("calls", b"\xc3\x01nonsense", 0), *outcomes(0, 1)]])
    one.run_until(lambda: bool(one.consumer.committed_))
    (letter,) = one.producer.letters
    assert (letter.topic, letter.payload) == ("calls", b"\xc3\x01nonsense")
    assert one.clickhouse.events == ["e0"]


def test_nothing_is_committed_until_the_dead_letters_are_confirmed(change: MetricsChange) -> None:
    producer = FakeProducer(confirms=False)
    one = sink([outcomes(0, 3)], FakeClickHouse(wrong("e1")), producer)
    seen: list[int] = []

    def enough() -> bool:
        if one.clickhouse.events == ["e0", "e2"] and not producer.confirms:
            seen.append(len(one.consumer.committed_))
            producer.confirms = len(seen) > 5
        return bool(one.consumer.committed_)

    one.run_until(enough)
    assert set(seen) == {0}
    assert [letter.offset for letter in producer.letters] == [1]
    assert one.clickhouse.events == ["e0", "e2"], "what was in was inserted again"
    assert change.of("dead_letters_total", topic="outcomes", reason="bad_row") == 1


def limited(script: list[Script], clickhouse: FakeClickHouse | None = None) -> RunningSink:
    """A sink that stops after three dead letters of one partition in a row."""
    one = sink(script, clickhouse)
    one.sink.dead_letters = replace(one.sink.dead_letters, limit=DeadLetterLimit(run=3))
    return one


def test_a_run_of_dead_letters_is_committed_and_stops_the_sink_before_what_lies_behind() -> None:
    unreadable = [Message("calls", b"\xc3\x01nonsense", number) for number in range(3)]
    one = limited([unreadable, outcomes(0, 1)])
    with pytest.raises(DeadLetterLimitError, match=r"The last 3 messages of calls/0 .* at offset 0"):
        one.sink.run()
    assert len(one.producer.letters) == 3
    assert one.consumer.committed_[-1][("calls", 0)] == 3
    assert one.consumer.closed


def test_dead_letters_among_good_rows_do_not_stop_the_sink() -> None:
    one = limited([outcomes(0, 9)], FakeClickHouse(wrong("e1", "e2", "e4", "e5", "e7", "e8")))
    one.run_until(lambda: bool(one.consumer.committed_))
    assert (one.clickhouse.events, len(one.producer.letters)) == (["e0", "e3", "e6"], 6)


def test_calls_that_are_refused_undecoded_are_sent_again_decoded() -> None:
    def refuses(_: str, rows: list[Any]) -> Exception | None:
        return DatabaseError("Code: 1001, avro::Exception: EOF reached") if "undecoded" in rows else None

    one = sink([[on_topic(call(event(f"e{number}")), number) for number in range(3)]], FakeClickHouse(refuses))
    one.run_until(lambda: bool(one.consumer.committed_))
    assert one.clickhouse.events == names(0, 3)


def test_rows_are_prepared_except_those_of_calls() -> None:
    def prepare(table: str, row: dict[str, Any]) -> dict[str, Any]:
        return row | {"event_id": f"{table} {row['event_id']}"}

    made = call(event("c"), attempt=70_000)  # too large for its column, so it is decoded
    one = sink([[*outcomes(0, 1), on_topic(made, 0)]], prepare=prepare)
    one.run_until(lambda: bool(one.consumer.committed_))
    assert one.clickhouse.events == ["outcomes_rows e0", "c"]


def test_a_row_that_cannot_be_prepared_is_a_dead_letter_and_not_a_row() -> None:
    def prepare(_: str, row: dict[str, Any]) -> dict[str, Any]:
        raise KeyError(row["event_id"])

    one = sink([outcomes(0, 1)], prepare=prepare)
    one.run_until(lambda: bool(one.consumer.committed_))
    assert [letter.reason for letter in one.producer.letters] == ["defect"]
    assert one.clickhouse.events == []


def test_a_row_that_this_process_cannot_make_ends_it_and_is_neither_a_dead_letter_nor_committed() -> None:
    def prepare(_: str, __: dict[str, Any]) -> dict[str, Any]:
        raise OSError(errno.ENOSPC, "No space left on device")

    one = sink([outcomes(0, 1)], prepare=prepare)
    with pytest.raises(ProcessError, match="No space left"):
        one.sink.run()
    assert (one.producer.letters, one.clickhouse.events, one.consumer.committed_) == ([], [], [])


class AwayCodec(Codec):
    """A codec whose registry does not answer at first."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def writer_schema(self, data: bytes) -> tuple[Any, memoryview]:
        self.asked += 1
        if self.asked < 4:
            raise ServiceError("The schema registry did not answer.")
        return super().writer_schema(data)


def test_while_the_schema_registry_is_unavailable_clickhouse_does_not_count_as_such(
    monkeypatch: pytest.MonkeyPatch, change: MetricsChange
) -> None:
    """Calls that ClickHouse refuses undecoded are decoded, which takes the registry."""
    away = iter([True, True])
    decode_all = BatchBuilder.decode_all

    def decoded(sorter: BatchBuilder, part: Any) -> Any:
        if next(away, False):
            raise ServiceError("The schema registry did not answer.")
        return decode_all(sorter, part)

    def refuses(_: str, rows: list[Any]) -> Exception | None:
        return DatabaseError("Code: 1001, avro::Exception: EOF reached") if "undecoded" in rows else None

    monkeypatch.setattr(BatchBuilder, "decode_all", decoded)
    one = sink([[on_topic(call(event("e0")), 0)]], FakeClickHouse(refuses))
    one.run_until(lambda: bool(one.consumer.committed_))
    assert one.clickhouse.events == ["e0"]
    assert change.of("insert_retries_total", table="calls_rows") == 0


def test_retries_are_counted_while_clickhouse_is_unavailable(change: MetricsChange) -> None:
    away = iter([AWAY, AWAY])
    one = sink([outcomes(0, 1)], FakeClickHouse(lambda *_: next(away, None)))
    one.run_until(lambda: bool(one.consumer.committed_))
    assert change.of("insert_retries_total", table="outcomes_rows") == 2


@pytest.mark.parametrize("milliseconds", [1_764_000_000_000_000, -(2**62)])
def test_a_timestamp_beyond_all_dates_does_not_stop_the_sink(milliseconds: int) -> None:
    value = b'{"event_id": "e", "aspect": "answer", "source": "x", "label": "y"}'
    one = sink([[Message("labels", value, 0, milliseconds=milliseconds)]])
    one.run_until(lambda: bool(one.consumer.committed_))
    assert one.clickhouse.events == ["e"]


def test_reading_waits_while_the_schema_registry_is_unavailable() -> None:
    one = sink([outcomes(0, 2)], codec=AwayCodec())
    one.run_until(lambda: bool(one.consumer.committed_))
    assert one.clickhouse.events == names(0, 2)
    assert one.producer.letters == []
