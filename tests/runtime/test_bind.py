"""The binding keeps every event: it is handled and acknowledged, or it is a dead letter, or it comes again."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError, MessageSizeTooLargeError
from faust.exceptions import ProducerSendError

from streams.adapters.codec import Codec
from streams.adapters.dead_letters import DeadLetters
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
from streams.core.messages import DeadLetter, RawEvent
from streams.runtime.bind import UNCONFIRMED, Binding, StagePublisher, Work, bind, received
from streams.runtime.confirm import RETRY_SECONDS, claim
from streams.runtime.drain import Drain
from tests.harness.fakes.faust import FakeApp, FakeEvent, FakeMessage, FakeStream

AT = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


async def publish_one(_: KafkaRecord, publisher: StagePublisher) -> None:
    await publisher.publish([RawEvent(text="y")])


async def never(_: KafkaRecord, __: StagePublisher) -> None:
    await asyncio.Event().wait()


NO_LETTERS = DeadLetters(run="live", cluster_id="c", keep_whole=lambda _: "sha", event_id=lambda _: "e")


def publisher_on(app: FakeApp) -> StagePublisher:
    return StagePublisher(app=app, codec=Codec(), prefix="pre.")


def agent(
    app: FakeApp,
    handle: Callable[[KafkaRecord, StagePublisher], Awaitable[None]],
    keep_whole: Callable[[bytes], str] = lambda _: "sha",
) -> Callable[[FakeStream], Awaitable[None]]:
    letters = DeadLetters(
        run="live", cluster_id="cluster", keep_whole=keep_whole, event_id=lambda record: f"e{record.offset}"
    )
    bind(Binding(topic="events", concurrency=4, handle=handle), publisher_on(app), letters, Drain())
    return app.agents["pre.events"]  # type: ignore[no-any-return]


async def test_a_message_is_published_to_its_topic_under_its_key() -> None:
    app = FakeApp()
    await publisher_on(app).publish([RawEvent(id="mail-7", text="x"), RawEvent(text="y")])
    assert [(topic, key) for topic, key, _ in app.sent] == [("pre.events", b"mail-7"), ("pre.events", None)]
    assert Codec().decode(RawEvent, app.sent[1][2]) == RawEvent(text="y")


@pytest.mark.parametrize("seconds", [1_764_000_000_000.0, -1e15, None])
async def test_a_timestamp_that_is_not_a_date_keeps_no_message_from_its_stage(seconds: Any) -> None:
    message, seen = FakeMessage(timestamp=seconds), list[int]()

    async def handle(record: KafkaRecord, _: StagePublisher) -> None:
        seen.append(record.timestamp.year)

    await agent(FakeApp(), handle)(FakeStream(message))
    assert seen == [2105 if seconds and seconds > 0 else 1970]
    assert message.refcount == 0


async def test_publishing_waits_while_the_broker_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.runtime.confirm.RETRY_SECONDS", 0)
    app = FakeApp(errors=[KafkaConnectionError(), KafkaConnectionError()])
    await publisher_on(app).publish([RawEvent(text="x")])
    assert len(app.sent) == 1


async def test_a_message_over_the_brokers_limit_is_unreadable_and_not_tried_indefinitely() -> None:
    with pytest.raises(UnreadableError) as caught:
        await publisher_on(FakeApp(errors=[MessageSizeTooLargeError()])).publish([RawEvent(text="x")])
    assert caught.value.reason == "too_large"


async def test_a_message_is_not_done_before_the_broker_has_what_it_caused() -> None:
    message = FakeMessage()
    await agent(FakeApp(silent=True), publish_one)(FakeStream(message))
    assert message.refcount == 1


async def test_what_the_broker_lost_is_sent_again_and_only_then_is_the_message_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("streams.runtime.confirm.RETRY_SECONDS", 0)
    message, app = FakeMessage(), FakeApp(unconfirmed=[KafkaTimeoutError(), ProducerSendError("gone")])
    await agent(app, publish_one)(FakeStream(message))
    assert [topic for topic, _, _ in app.sent] == ["pre.events"] * 3
    assert message.refcount == 0


class HeldApp(FakeApp):
    """A fake app whose confirmations arrive when the test sets them."""

    def __init__(self) -> None:
        super().__init__(silent=True)
        self.confirmations: list[asyncio.Future[None]] = []

    def sends(self, topic: str, key: bytes | None, value: bytes) -> asyncio.Future[None]:
        """Send to a topic."""
        self.confirmations.append(super().sends(topic, key, value))
        return self.confirmations[-1]


async def test_a_message_waits_for_the_dead_letter_before_it_and_a_drain_waits_for_the_message() -> None:
    app, drain, handled, release = HeldApp(), Drain(), list[int](), asyncio.Event()

    async def handle(record: KafkaRecord, _: StagePublisher) -> None:
        if record.offset == 1:
            raise HandlerError("bad")
        handled.append(record.offset)
        await release.wait()

    work = Work(Binding(topic="events", concurrency=2, handle=handle), publisher_on(app), NO_LETTERS, drain)
    await work.handle(FakeEvent(FakeMessage(offset=1)))
    second = asyncio.create_task(work.handle(FakeEvent(FakeMessage(offset=2))))
    drained = asyncio.create_task(drain.wait())
    await asyncio.sleep(0.01)
    assert (handled, drained.done()) == ([], False)
    app.confirmations[0].set_result(None)
    await asyncio.sleep(0.01)
    assert (handled, drained.done()) == ([2], False)
    release.set()
    await second
    assert await drained == 0


async def test_at_its_limit_on_dead_letters_a_process_ends_and_leaves_the_next_message_uncommitted() -> None:
    async def handle(_: KafkaRecord, __: StagePublisher) -> None:
        raise HandlerError("bad")

    app, letters = FakeApp(), replace(NO_LETTERS, limit=DeadLetterLimit(run=2))
    work = Work(Binding(topic="events", concurrency=1, handle=handle), publisher_on(app), letters, Drain())
    messages = [FakeMessage(offset=offset) for offset in range(3)]
    for event in map(FakeEvent, messages):
        await work.handle(event)
        event.ack()
    assert isinstance(app.ending, DeadLetterLimitError)
    assert [message.refcount for message in messages] == [0, 0, 1]
    assert [topic for topic, _, _ in app.sent] == ["pre.dead-letters"] * 2


async def test_what_the_broker_alone_finds_too_large_makes_a_dead_letter_of_its_message() -> None:
    message, app = FakeMessage(), FakeApp(unconfirmed=[MessageSizeTooLargeError()])
    await agent(app, publish_one)(FakeStream(message))
    assert [topic for topic, _, _ in app.sent] == ["pre.events", "pre.dead-letters"]
    assert message.refcount == 0


@pytest.mark.parametrize(
    ("refused", "withdrawn"), [(MessageSizeTooLargeError(), ["second", "first"]), (KafkaTimeoutError(), [])]
)
async def test_a_message_that_the_broker_makes_a_dead_letter_claims_nothing_in_tables(
    refused: Exception, withdrawn: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.runtime.confirm.RETRY_SECONDS", 0)
    undone = list[str]()

    async def handle(record: KafkaRecord, publisher: StagePublisher) -> None:
        claim(lambda: undone.append("first"))
        claim(lambda: undone.append("second"))
        await publish_one(record, publisher)

    message = FakeMessage()
    await agent(FakeApp(unconfirmed=[refused]), handle)(FakeStream(message))
    assert (undone, message.refcount) == (withdrawn, 0)


async def test_a_message_that_its_stage_cannot_do_claims_nothing_in_tables() -> None:
    undone = list[str]()

    async def handle(_: KafkaRecord, __: StagePublisher) -> None:
        claim(lambda: undone.append("claimed"))
        raise UnreadableError("too_large", "It is too large.")

    app = FakeApp()
    await agent(app, handle)(FakeStream(FakeMessage(), FakeMessage(offset=18)))
    assert (undone, len(app.sent)) == (["claimed"] * 2, 2)


async def test_a_dead_letter_over_the_brokers_limit_is_published_once_more_as_small_as_they_come() -> None:
    async def handle(_: KafkaRecord, __: StagePublisher) -> None:
        raise UnreadableError("invalid_utf8", "It is no UTF-8.")

    message = FakeMessage(headers=[("a", b"1")])
    app = FakeApp(unconfirmed=[MessageSizeTooLargeError()])
    await agent(app, handle)(FakeStream(message))
    whole, smallest = (Codec().decode(DeadLetter, value) for _, _, value in app.sent)
    assert (whole.payload, len(whole.headers), whole.reference) == (b"x", 1, None)
    assert smallest == replace(whole, payload=b"", headers=(), reference="sha")
    assert smallest.reason == "invalid_utf8"
    assert message.refcount == 0


async def test_where_no_dead_letter_can_be_published_the_message_waits_with_a_pause_between_the_tries(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pauses, pause = list[float](), asyncio.sleep

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        await pause(0)

    monkeypatch.setattr("streams.runtime.bind.asyncio.sleep", sleep)
    app, message = FakeApp(unconfirmed=[MessageSizeTooLargeError() for _ in range(5)]), FakeMessage()
    work = Work(Binding(topic="events", concurrency=4, handle=publish_one), publisher_on(app), NO_LETTERS, Drain())
    await work.handle(FakeEvent(message))
    await asyncio.gather(*work._confirming)
    assert [topic for topic, _, _ in app.sent] == ["pre.events", *["pre.dead-letters"] * 5]
    assert pauses == [RETRY_SECONDS] * 3
    assert "no dead letter can be published, trying again: A message for the topic pre.dead-letters" in caplog.text
    assert message.refcount == 1, "as Faust's stream still holds it"


async def test_a_process_that_cannot_know_whether_a_message_is_done_ends() -> None:
    app, message = FakeApp(unconfirmed=[ZeroDivisionError("not foreseen")]), FakeMessage()
    await agent(app, publish_one)(FakeStream(message))
    assert "not foreseen" in str(app.ending)
    assert message.refcount == 1


async def test_a_message_that_is_cut_off_gives_its_place_back() -> None:
    drain = Drain(60)
    work = Work(Binding(topic="events", concurrency=4, handle=never), publisher_on(FakeApp()), NO_LETTERS, drain)
    task = asyncio.create_task(work.handle(FakeEvent(FakeMessage())))
    await asyncio.sleep(0)
    task.cancel()
    assert await drain.wait() == 0
    assert work._slots._value == UNCONFIRMED


async def test_an_error_that_faust_has_wrapped_is_seen_through() -> None:
    wrapped = ProducerSendError("Error while sending")
    wrapped.__cause__ = MessageSizeTooLargeError()
    with pytest.raises(UnreadableError, match="over the broker's limit"):
        await publisher_on(FakeApp(errors=[wrapped])).publish([RawEvent(text="x")])


async def test_each_event_is_handled_and_then_acknowledged() -> None:
    messages = [FakeMessage(offset=number) for number in range(3)]
    handled: list[int] = []

    async def handle(record: KafkaRecord, _: StagePublisher) -> None:
        assert messages[record.offset].refcount == 2
        handled.append(record.offset)

    await agent(FakeApp(), handle)(FakeStream(*messages))
    assert handled == [0, 1, 2]
    assert [message.refcount for message in messages] == [0, 0, 0]


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
    app, messages = FakeApp(), [FakeMessage(offset=number) for number in range(3)]
    handled: list[int] = []

    async def handle(record: KafkaRecord, _: StagePublisher) -> None:
        if record.offset == 1:
            raise error
        handled.append(record.offset)

    await agent(app, handle)(FakeStream(*messages))
    ((topic, key, value),) = app.sent
    letter = Codec().decode(DeadLetter, value)
    assert (topic, key, letter.reason, letter.offset, letter.payload) == ("pre.dead-letters", b"e1", reason, 1, b"x")
    assert handled == [0, 2]
    assert [message.refcount for message in messages] == [0, 0, 0]


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
    app, messages, begun = FakeApp(), [FakeMessage(offset=number) for number in range(3)], list[int]()

    async def handle(record: KafkaRecord, publisher: StagePublisher) -> None:
        begun.append(record.offset)
        await publish_one(record, publisher)
        raise error

    await agent(app, handle)(FakeStream(*messages))
    assert begun == [0], "it does not go on asking"
    assert [topic for topic, _, _ in app.sent] == ["pre.events"], "what it caused still reaches Kafka"
    assert app.ending is not None
    assert [message.refcount for message in messages] == [1, 1, 1], "none is acknowledged"


async def test_what_breaks_while_the_process_ends_is_not_held_against_its_message() -> None:
    app, message = FakeApp(), FakeMessage()

    async def handle(_: KafkaRecord, __: StagePublisher) -> None:
        app.end(ProcessError("the disk is full"))
        raise ZeroDivisionError("of that")

    await agent(app, handle)(FakeStream(message))
    assert (app.sent, message.refcount) == ([], 1)


async def test_a_dead_letter_that_this_process_cannot_make_leaves_the_message_to_the_next_one() -> None:
    def keep_whole(_: bytes) -> str:
        raise MemoryError

    async def handle(_: KafkaRecord, __: StagePublisher) -> None:
        raise UnreadableError("too_large", "It is too large.")

    app, message = FakeApp(), FakeMessage(value=b"x" * 100_000)
    await agent(app, handle, keep_whole)(FakeStream(message))
    assert app.ending is not None
    assert (app.sent, message.refcount) == ([], 1)


async def test_a_partition_that_the_tiers_tables_do_not_have_is_not_begun() -> None:
    app, message = FakeApp(), FakeMessage(partition=2)
    bind(
        Binding(topic="events", concurrency=4, handle=publish_one, partitions=2), publisher_on(app), NO_LETTERS, Drain()
    )
    await app.agents["pre.events"](FakeStream(message))
    assert "pre.events has more than the 2 partitions" in str(app.ending)
    assert (app.sent, message.refcount) == ([], 1)


async def test_a_message_waits_while_a_service_it_needs_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.runtime.bind.RETRY_SECONDS", 0)
    away, handled = [ServiceError("away"), ServiceError("away")], list[int]()

    async def handle(record: KafkaRecord, _: StagePublisher) -> None:
        if away:
            raise away.pop()
        handled.append(record.offset)

    app = FakeApp()
    await agent(app, handle)(FakeStream(FakeMessage(offset=7)))
    assert (handled, app.sent) == ([7], [])


async def test_a_dead_letter_waits_while_the_store_for_its_original_is_unavailable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("streams.runtime.bind.RETRY_SECONDS", 0)
    away = [ServiceError("away"), ServiceError("away")]

    def keep_whole(_: bytes) -> str:
        if away:
            raise away.pop()
        return "sha"

    async def handle(_: KafkaRecord, __: StagePublisher) -> None:
        raise UnreadableError("too_large", "It is too large.")

    app = FakeApp()
    await agent(app, handle, keep_whole)(FakeStream(FakeMessage(value=b"x" * 100_000)))
    assert Codec().decode(DeadLetter, app.sent[0][2]).reference == "sha"


async def test_an_event_whose_handling_is_cut_off_stays_unacknowledged_and_comes_again() -> None:
    message = FakeMessage()

    async def handle(_: KafkaRecord, __: StagePublisher) -> None:
        await asyncio.Event().wait()

    task = asyncio.ensure_future(agent(FakeApp(), handle)(FakeStream(message)))
    for _ in range(5):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert message.refcount > 0


@pytest.mark.parametrize(
    "headers",
    [{"a": b"1", "b": None}, [("a", b"1"), ("b", None)], [("a", bytearray(b"1"))]],
    ids=["dict", "list", "bytes"],
)
def test_a_faust_message_becomes_a_record(headers: Any) -> None:
    record = received(FakeMessage(headers=headers))
    expected = KafkaRecord("pre.events", 3, 17, b"k", b"x", AT, [("a", b"1")])
    assert record == expected
    assert received(FakeMessage()).headers == []
