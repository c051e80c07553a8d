"""The binding keeps every event: it is handled and committed, or it is a dead letter, or it comes again."""

from __future__ import annotations

import asyncio
import errno
from dataclasses import replace

import pytest
from confluent_kafka import KafkaError, KafkaException

from streams.adapters.codec import Codec
from streams.adapters.kafka_record import KafkaRecord
from streams.core.dead_letter_limit import DeadLetterLimit
from streams.core.errors import (
    ConfigError,
    DeadLetterLimitError,
    HandlerError,
    ProcessError,
    ServiceError,
    UnreadableError,
)
from streams.core.messages import RawEvent
from streams.core.topics import ACTION_HEADER
from streams.runtime.bind import StagePublisher
from streams.runtime.deliveries import claim
from tests.harness.bound_stage import LETTERS, StageOnFakes, record
from tests.harness.fakes.producer import FOR_A_WHILE, TOO_LARGE
from tests.harness.metrics import MetricsChange


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once."""
    monkeypatch.setattr("streams.runtime.deliveries.RETRY_SECONDS", 0)
    monkeypatch.setattr("streams.runtime.bind.RETRY_SECONDS", 0)


async def publish_one(_: KafkaRecord, publisher: StagePublisher) -> None:
    publisher.publish([RawEvent(text="y")])


async def never(_: KafkaRecord, __: StagePublisher) -> None:
    await asyncio.Event().wait()


async def bad(_: KafkaRecord, __: StagePublisher) -> None:
    raise HandlerError("bad")


async def too_large(_: KafkaRecord, __: StagePublisher) -> None:
    raise UnreadableError("too_large", "It is too large.")


async def test_a_message_is_published_to_its_topic_under_its_key() -> None:
    async def handle(_: KafkaRecord, publisher: StagePublisher) -> None:
        publisher.publish([RawEvent(id="mail-7", text="x"), RawEvent(text="y")])

    stage = StageOnFakes(handle)
    await stage.handle(record())
    first, second = stage.producer.sent
    assert [(one.topic, one.key) for one in (first, second)] == [("pre.events", b"mail-7"), ("pre.events", None)]
    assert Codec().decode(RawEvent, second.value or b"") == RawEvent(text="y")


# ---- Done when Kafka has confirmed it ----


async def test_each_message_is_handled_and_then_done() -> None:
    handled = list[int]()

    async def handle(one: KafkaRecord, _: StagePublisher) -> None:
        assert stage.committable == one.offset
        handled.append(one.offset)

    stage = StageOnFakes(handle)
    await stage.handle(record(0), record(1), record(2))
    assert (handled, stage.committable, stage.ended) == ([0, 1, 2], 3, 3)


async def test_a_message_is_not_done_before_the_broker_has_what_it_caused() -> None:
    stage = StageOnFakes(publish_one)
    stage.producer.silent = True
    await stage.begin(record(17))
    assert (stage.topics(), stage.committable, stage.ended) == (["pre.events"], 17, 0)
    stage.producer.silent = False
    await asyncio.wait_for(stage.partition.idle(), 10)
    assert (stage.committable, stage.ended) == (18, 1)


async def test_what_the_broker_refuses_for_a_while_is_sent_again_and_only_then_is_the_message_done() -> None:
    stage = StageOnFakes(publish_one, errors=[FOR_A_WHILE, FOR_A_WHILE])
    await stage.handle(record(17))
    assert (stage.topics(), stage.committable) == (["pre.events"] * 3, 18)


async def test_a_message_that_another_stage_handles_is_done_without_being_handled() -> None:
    change = MetricsChange()
    stage = StageOnFakes(never, topic="verdicts")
    await stage.handle(record(0, headers=[(ACTION_HEADER, b"ignore")]))
    assert (stage.topics(), stage.committable) == ([], 1)
    assert change.of("messages_total", topic="pre.events", result="ok") == 1
    await stage.begin(record(1, headers=[(ACTION_HEADER, b"work")]))
    assert stage.partition.in_flight() == 1


async def test_no_more_messages_are_handled_at_the_same_time_than_the_binding_allows() -> None:
    stage = StageOnFakes(never, concurrency=2)
    await stage.begin(*map(record, range(5)))
    assert stage.partition.in_flight() == 2


# ---- Dead letters ----


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (UnreadableError("invalid_utf8", "It is no UTF-8."), "invalid_utf8"),
        (ConfigError("The worker is gone.", key="workers.x"), "operator_error"),
        (ZeroDivisionError("by zero"), "defect"),
    ],
)
async def test_what_cannot_be_done_becomes_a_dead_letter_and_its_neighbours_go_through(
    error: Exception, reason: str
) -> None:
    handled = list[int]()

    async def handle(one: KafkaRecord, _: StagePublisher) -> None:
        if one.offset == 1:
            raise error
        handled.append(one.offset)

    stage = StageOnFakes(handle)
    await stage.handle(record(0), record(1), record(2))
    (letter,) = stage.letters()
    assert (stage.producer.sent[0].key, letter.reason, letter.offset, letter.payload) == (b"e1", reason, 1, b"x")
    assert (handled, stage.committable) == ([0, 2], 3)


async def test_what_no_producer_sends_makes_a_dead_letter_of_its_message_and_is_not_tried_again() -> None:
    stage = StageOnFakes(publish_one)
    stage.producer.raised.append(KafkaException(TOO_LARGE))
    await stage.handle(record(17))
    assert [letter.reason for letter in stage.letters()] == ["too_large"]
    assert (stage.topics(), stage.committable) == (["pre.dead-letters"], 18)


async def test_what_the_broker_alone_finds_too_large_makes_a_dead_letter_of_its_message() -> None:
    stage = StageOnFakes(publish_one, errors=[TOO_LARGE])
    await stage.handle(record(17))
    assert (stage.topics(), stage.committable) == (["pre.events", "pre.dead-letters"], 18)


@pytest.mark.parametrize(("refused", "withdrawn"), [(TOO_LARGE, ["second", "first"]), (FOR_A_WHILE, [])])
async def test_a_message_that_the_broker_makes_a_dead_letter_claims_nothing_in_tables(
    refused: KafkaError, withdrawn: list[str]
) -> None:
    undone = list[str]()

    async def handle(one: KafkaRecord, publisher: StagePublisher) -> None:
        claim(lambda: undone.append("first"))
        claim(lambda: undone.append("second"))
        await publish_one(one, publisher)

    stage = StageOnFakes(handle, errors=[refused])
    await stage.handle(record(17))
    assert (undone, stage.committable) == (withdrawn, 18)


async def test_a_message_that_its_stage_cannot_do_claims_nothing_in_tables() -> None:
    undone = list[int]()

    async def handle(one: KafkaRecord, publisher: StagePublisher) -> None:
        claim(lambda: undone.append(one.offset))
        await too_large(one, publisher)

    stage = StageOnFakes(handle)
    await stage.handle(record(17), record(18))
    assert (undone, len(stage.letters())) == ([17, 18], 2)


async def test_a_dead_letter_over_the_brokers_limit_is_published_once_more_as_small_as_they_come() -> None:
    stage = StageOnFakes(too_large, errors=[TOO_LARGE])
    await stage.handle(record(17, headers=[("a", b"1")]))
    whole, smallest = stage.letters()
    assert (whole.payload, len(whole.headers), whole.reference) == (b"x", 1, None)
    assert smallest == replace(whole, payload=b"", headers=(), reference="sha")
    assert stage.committable == 18


async def test_a_message_waits_while_no_dead_letter_can_be_published(caplog: pytest.LogCaptureFixture) -> None:
    stage = StageOnFakes(publish_one, errors=[TOO_LARGE] * 5)
    await stage.handle(record(17))
    assert stage.topics() == ["pre.events", *["pre.dead-letters"] * 5]
    assert "no dead letter can be published, trying again: A message for the topic pre.dead-letters" in caplog.text
    assert stage.committable == 18


async def test_a_message_waits_for_the_dead_letter_before_it() -> None:
    handled = list[int]()

    async def handle(one: KafkaRecord, publisher: StagePublisher) -> None:
        if one.offset == 1:
            await bad(one, publisher)
        handled.append(one.offset)

    stage = StageOnFakes(handle, concurrency=2)
    stage.producer.silent = True
    await stage.begin(record(1))
    await stage.begin(record(2))
    assert (handled, stage.committable) == ([], 1)
    stage.producer.silent = False
    await asyncio.wait_for(_until(stage, 2), 10)
    assert (handled, stage.committable) == ([2], 3)


async def _until(stage: StageOnFakes, ended: int) -> None:
    while stage.ended < ended:  # noqa: ASYNC110 - nothing announces it
        await asyncio.sleep(0.002)


@pytest.mark.parametrize("errors", [[], [TOO_LARGE, TOO_LARGE]], ids=["at once", "in the end"])
async def test_at_its_limit_on_dead_letters_a_process_ends_and_leaves_the_next_message_uncommitted(
    errors: list[KafkaError],
) -> None:
    stage = StageOnFakes(bad, errors=errors, letters=replace(LETTERS, limit=DeadLetterLimit(run=2)))
    await stage.handle(record(0), record(1), record(2))
    assert isinstance(stage.process.ending, DeadLetterLimitError)
    assert (stage.committable, len(stage.letters())) == (2, 2 + len(errors))


# ---- Services and processes that fail ----


async def test_a_message_waits_while_a_service_it_needs_is_unavailable() -> None:
    away, handled = [ServiceError("away"), ServiceError("away")], list[int]()

    async def handle(one: KafkaRecord, _: StagePublisher) -> None:
        if away:
            raise away.pop()
        handled.append(one.offset)

    stage = StageOnFakes(handle)
    await stage.handle(record(7))
    assert (handled, stage.topics()) == ([7], [])


async def test_a_dead_letter_waits_while_the_store_for_its_original_is_unavailable() -> None:
    away = [ServiceError("away"), ServiceError("away")]

    def keep_whole(_: bytes) -> str:
        if away:
            raise away.pop()
        return "sha"

    stage = StageOnFakes(too_large, letters=replace(LETTERS, keep_whole=keep_whole))
    await stage.handle(record(value=b"x" * 100_000))
    assert [letter.reference for letter in stage.letters()] == ["sha"]


def full() -> OSError:
    return OSError(errno.ENOSPC, "No space left on device")


def wrapped(error: Exception) -> HandlerError:
    outer = HandlerError("It could not be done.")
    outer.__cause__ = error
    return outer


@pytest.mark.parametrize(
    "error",
    [full(), wrapped(full()), MemoryError(), RuntimeError("can't start new thread"), ProcessError("a table is broken")],
    ids=["disk", "wrapped", "memory", "threads", "said"],
)
async def test_what_this_process_lacks_ends_it_and_leaves_all_messages_to_the_next_one(error: Exception) -> None:
    begun = list[int]()

    async def handle(one: KafkaRecord, publisher: StagePublisher) -> None:
        begun.append(one.offset)
        await publish_one(one, publisher)
        raise error

    stage = StageOnFakes(handle)
    await stage.handle(record(0), record(1), record(2))
    assert begun == [0], "it does not go on asking"
    assert stage.topics() == ["pre.events"], "what it caused still reaches Kafka"
    assert (stage.process.ending is not None, stage.committable) == (True, 0)


async def test_what_breaks_while_the_process_ends_is_not_held_against_its_message() -> None:
    async def handle(_: KafkaRecord, __: StagePublisher) -> None:
        stage.process.end(ProcessError("the disk is full"))
        raise ZeroDivisionError("of that")

    stage = StageOnFakes(handle)
    await stage.handle(record(17))
    assert (stage.topics(), stage.committable) == ([], 17)


@pytest.mark.parametrize("refused", [False, True])
async def test_a_dead_letter_that_this_process_cannot_make_leaves_the_message_to_the_next_one(refused: bool) -> None:
    def keep_whole(_: bytes) -> str:
        raise MemoryError

    letters = replace(LETTERS, keep_whole=keep_whole)
    stage = StageOnFakes(publish_one if refused else too_large, errors=[TOO_LARGE], letters=letters)
    await stage.handle(record(17, value=b"x" * 100_000))
    assert stage.process.ending is not None
    assert (stage.letters(), stage.committable, stage.partition.in_flight()) == ([], 17, 0)


async def test_a_process_that_cannot_know_whether_a_message_is_done_ends() -> None:
    stage = StageOnFakes(publish_one)
    stage.producer.raised.append(KafkaException(KafkaError(KafkaError._FATAL, "not foreseen")))
    await stage.handle(record(17))
    assert "not foreseen" in str(stage.process.ending)
    assert stage.committable == 17


async def test_a_message_of_a_partition_that_is_given_up_is_not_begun_and_comes_again() -> None:
    stage = StageOnFakes(publish_one)
    stage.partition.open = False
    await stage.handle(record(17), record(18))
    assert (stage.topics(), stage.committable, stage.ended) == ([], 17, 2)


async def test_a_message_waits_while_its_partition_may_be_anothers() -> None:
    stage = StageOnFakes(publish_one)
    stage.process.doubts = [0.05, 0.05]
    task = await stage.begin(record(17))
    assert stage.topics() == []
    stage.partition.open = False
    await task
    assert (stage.topics(), stage.committable, stage.ended) == ([], 17, 1)


@pytest.mark.parametrize("concurrency", [1, 2])
async def test_a_message_whose_handling_is_cut_off_is_not_done(concurrency: int) -> None:
    cut = list[int]()

    async def handle(one: KafkaRecord, _: StagePublisher) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cut.append(one.offset)
            raise

    stage = StageOnFakes(handle, concurrency=concurrency)
    task = await stage.begin(record(17), record(18), record(19))
    task.cancel()
    await asyncio.wait([task])
    stage.stage.cancel()
    await asyncio.sleep(0)
    assert (sorted(cut), stage.committable, stage.topics()) == ([17, 18][:concurrency], 17, [])
