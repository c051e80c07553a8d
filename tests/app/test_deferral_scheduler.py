"""Deferred tasks are published when they are due, on a real broker."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from streams.adapters.codec import Codec
from streams.adapters.dead_letters import DeadLetters, EventIds
from streams.adapters.event_reader import EventReader
from streams.adapters.kafka import KafkaConfig
from streams.adapters.kafka_admin import create_topics
from streams.adapters.kafka_record import KafkaRecord
from streams.adapters.topic_reader import TopicReader
from streams.app.deferral_scheduler import Scheduler
from streams.core.dead_letter_limit import DeadLetterLimit
from streams.core.errors import DeadLetterLimitError, ProcessError, ServiceError
from streams.core.fingerprint import digest
from streams.core.messages import DeadLetter, Deferred, Escalation, Verdict
from streams.runtime.deliveries import Deliveries, DeliveryClient
from streams.runtime.partition import Partition
from streams.telemetry import lag
from streams.telemetry.metrics import REGISTRY, SKIPPED, WAITING
from tests.builders import event, verdict
from tests.harness.fakes.topic_history import forget
from tests.harness.fakes.transactions import abort

pytestmark = pytest.mark.embedded

TODAY = datetime(2026, 11, 1, 12, tzinfo=UTC)
TOMORROW = datetime(2026, 11, 2, tzinfo=UTC)
PARTITIONS = 8
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
WAIT_SECONDS = 60.0
CODEC = Codec()


@dataclass
class Clock:
    """Shows the time it is set to."""

    time: datetime = TODAY

    def __call__(self) -> datetime:
        return self.time


@dataclass
class Deployment:
    """One set of topics, and what runs on them."""

    kafka: KafkaConfig
    prefix: str = field(default_factory=lambda: f"{uuid4().hex[:8]}.")

    def __post_init__(self) -> None:
        create_topics(self.kafka, self.prefix, PARTITIONS, 1)

    def defer(self, partition: int, *values: Deferred | bytes) -> None:
        """Put deferred tasks, or any bytes, into one partition."""
        producer = Producer(self.kafka.confluent())
        for value in values:
            data = value if isinstance(value, bytes) else CODEC.encode(value)
            producer.produce(f"{self.prefix}deferred-budget", data, partition=partition)
        assert producer.flush(20) == 0

    @contextmanager
    def scheduler(self, clock: Clock, keep_whole: Callable[[bytes], str] = lambda _: "sha") -> Iterator[None]:
        """A running Scheduler, which is stopped at the end."""
        one = self._scheduler(clock, keep_whole)
        with ThreadPoolExecutor(1) as threads:
            running = threads.submit(one.run)
            try:
                yield
            finally:
                one.stop.set()
                running.result(WAIT_SECONDS)

    def run(self, limit: DeadLetterLimit) -> None:
        """Run a Scheduler until it ends by itself."""
        one = self._scheduler(Clock(), lambda _: "sha")
        one.dead_letters = replace(one.dead_letters, limit=limit)
        one.run()

    def _scheduler(self, clock: Clock, keep_whole: Callable[[bytes], str]) -> Scheduler:
        ids = EventIds(EventReader(CODEC, "cluster", "live", 100_000), CODEC, self.prefix)
        letters = DeadLetters(run="live", cluster_id="cluster", keep_whole=keep_whole, event_id=ids)
        return Scheduler(
            kafka=self.kafka,
            codec=CODEC,
            prefix=self.prefix,
            dead_letters=letters,
            now=clock,
            stop=threading.Event(),
            statistics_ms=100,
        )

    def records(self, topic: str, enough: Callable[[list[KafkaRecord]], bool]) -> list[KafkaRecord]:
        """The records of a topic, once there are enough."""
        tail, found = TopicReader(self.kafka, [self.prefix + topic]), list[KafkaRecord]()
        deadline = time.monotonic() + WAIT_SECONDS
        try:
            while not enough(found) and time.monotonic() < deadline:
                found += tail.batch()
        finally:
            tail.close()
        return found

    def tasks(self, *expected: str) -> list[str]:
        """The events of the escalations that went on, sorted, once the expected ones are there.

        They go to several partitions, so their order says nothing.
        """
        found = self.records("escalations", lambda records: set(expected) <= set(map(event_of, records)))
        assert set(expected) <= set(map(event_of, found))
        return sorted(map(event_of, found))

    def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something is so."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not is_so():
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def committed(self, partition: int) -> int:
        """The committed offset: where the group goes on in a partition of the deferred."""
        consumer = Consumer(self.kafka.confluent(**{"group.id": f"escalon-{self.prefix}resume"}))
        try:
            (place,) = consumer.committed([TopicPartition(f"{self.prefix}deferred-budget", partition)], 20)
        finally:
            consumer.close()
        return int(place.offset)


def event_of(record: KafkaRecord) -> str:
    return CODEC.decode(Escalation, record.value or b"").event.origin.event_id


def task(name: str) -> Escalation:
    return Escalation(
        event=event(name),
        handler="resolve",
        intents=("open-ended",),
        reason="routed",
        attempt=None,
        fingerprint=digest(name),
        pipeline="p",
        decided_at=TODAY,
    )


def deferred(name: str, until: datetime = TODAY) -> Deferred:
    return Deferred(cause="budget", escalation=task(name), not_before=until, reason="budget")


@pytest.fixture
def here(kafka: KafkaConfig) -> Deployment:
    return Deployment(kafka)


def test_a_task_whose_time_has_come_goes_on_to_its_topic_and_is_committed(here: Deployment) -> None:
    waiting = verdict(event("worked"))
    here.defer(0, deferred("reasoned"), Deferred(cause="budget", verdict=waiting, not_before=TODAY, reason="budget"))
    with here.scheduler(Clock()):
        (escalation,) = here.records("escalations", lambda found: len(found) >= 1)
        (worked,) = here.records("verdicts", lambda found: len(found) >= 1)
    assert CODEC.decode(Escalation, escalation.value or b"") == task("reasoned")
    assert CODEC.decode(Verdict, worked.value or b"") == waiting
    assert (escalation.key, worked.key) == (digest("reasoned").encode(), b"f")
    assert here.committed(0) == 2


def test_what_waits_for_a_provider_goes_on_in_its_own_time_beside_what_waits_for_money(here: Deployment) -> None:
    clock = Clock()
    soon = TODAY + timedelta(seconds=60)
    here.defer(0, deferred("money", TOMORROW))
    producer = Producer(here.kafka.confluent())
    for name, until in (("first", TODAY), ("second", soon), ("third", soon)):
        one = Deferred(
            cause="provider", escalation=replace(task(name), failures=("busy",)), not_before=until, reason="busy"
        )
        producer.produce(f"{here.prefix}deferred-provider", CODEC.encode(one), partition=0)
    assert producer.flush(20) == 0
    with here.scheduler(clock):
        assert here.tasks("first") == ["first"]
        clock.time = soon
        assert here.tasks("second", "third") == ["first", "second", "third"]
        clock.time = TOMORROW
        found = here.records("escalations", lambda found: len(found) >= 4)
    by_event = {event_of(record): CODEC.decode(Escalation, record.value or b"") for record in found}
    assert sorted(by_event) == ["first", "money", "second", "third"]
    assert by_event["first"].failures == ("busy",)


def test_a_task_goes_on_in_its_trace(here: Deployment) -> None:
    sent = [("traceparent", b"00-%s-00f067aa0ba902b7-01" % TRACE.encode()), ("tracestate", b"shop=7")]
    traced = task("traced")
    origin = replace(traced.event.origin, trace_id=TRACE)
    one = Deferred(
        cause="budget",
        escalation=replace(traced, event=replace(traced.event, origin=origin)),
        not_before=TODAY,
        reason="b",
    )
    producer = Producer(here.kafka.confluent())
    producer.produce(f"{here.prefix}deferred-budget", CODEC.encode(one), partition=0, headers=sent)
    assert producer.flush(20) == 0
    with here.scheduler(Clock()):
        (found,) = here.records("escalations", lambda records: len(records) >= 1)
    assert list(found.headers) == sent


async def test_a_task_comes_back_to_the_partition_that_has_its_stored_answer(here: Deployment) -> None:
    names = [f"event-{number}" for number in range(24)]
    failures: list[ProcessError] = []
    tier, message = DeliveryClient(here.kafka, 16384, failures.append), Deliveries(Partition("verdicts", 0, 0))
    for name in names:
        tier.send(f"{here.prefix}verdicts", digest(name).encode(), name.encode(), message)
    await tier.close(20)
    by_the_tiers = here.records("verdicts", lambda found: len(found) >= len(names))
    here.defer(0, *map(deferred, names))
    with here.scheduler(Clock()):
        found = here.records("escalations", lambda found: len(found) >= len(names))
    assert failures == []
    expected = {(record.value or b"").decode(): record.partition for record in by_the_tiers}
    assert {event_of(record): record.partition for record in found} == expected
    assert len(set(expected.values())) > 4


def test_a_task_that_must_wait_holds_up_its_own_partition_only(here: Deployment) -> None:
    here.defer(0, deferred("first"), deferred("held", TOMORROW), deferred("behind"))
    here.defer(1, deferred("beside"))
    with here.scheduler(Clock()):
        assert here.tasks("first", "beside") == ["beside", "first"]
        here.defer(1, deferred("later"))
        assert here.tasks("first", "beside", "later") == ["beside", "first", "later"]
    assert (here.committed(0), here.committed(1)) == (1, 2)


def test_a_held_task_and_those_behind_it_go_on_once_the_clock_says_so(here: Deployment) -> None:
    clock = Clock()
    later = TOMORROW + timedelta(days=1)
    here.defer(0, deferred("held", TOMORROW), deferred("behind"), deferred("longer", later), deferred("last"))
    here.defer(1, deferred("beside"))
    with here.scheduler(clock):
        assert here.tasks("beside") == ["beside"]
        clock.time = TOMORROW
        assert here.tasks("held", "behind") == ["behind", "beside", "held"]
        clock.time = later
        assert here.tasks("longer", "last") == ["behind", "beside", "held", "last", "longer"]
    assert here.committed(0) == 4


def test_a_restart_loses_nothing_and_repeats_nothing_that_was_committed(here: Deployment) -> None:
    here.defer(0, deferred("first"), deferred("held", TOMORROW), deferred("behind"))
    with here.scheduler(Clock()):
        here.tasks("first")
    with here.scheduler(Clock(TOMORROW)):
        assert here.tasks("held", "behind") == ["behind", "first", "held"]
    assert here.committed(0) == 3


def test_held_tasks_go_on_after_a_second_process_has_taken_some_of_the_partitions(here: Deployment) -> None:
    clock = Clock()
    for number in range(PARTITIONS):
        until = deferred(f"held-{number}", TOMORROW)
        here.defer(number, deferred(f"first-{number}"), until, deferred(f"behind-{number}"))
    names = {what: {f"{what}-{number}" for number in range(PARTITIONS)} for what in ("first", "held", "behind")}
    with here.scheduler(clock):
        here.tasks(*names["first"])
        with here.scheduler(Clock(TOMORROW)):  # ahead of the first, so that what it is given goes on at once
            moved = here.records("escalations", lambda found: len(found) > PARTITIONS)
            assert {event_of(record) for record in moved} > names["first"]
            clock.time = TOMORROW
            here.tasks(*names["held"], *names["behind"])
    assert [here.committed(number) for number in range(PARTITIONS)] == [3] * PARTITIONS


def test_a_run_of_dead_letters_stops_it_and_what_lies_behind_goes_on_after_the_fix(here: Deployment) -> None:
    here.defer(0, deferred("first"), *[b"\xff no message"] * 3)
    with pytest.raises(DeadLetterLimitError, match=r"The last 3 messages of .*deferred-budget/0"):
        here.run(DeadLetterLimit(run=3))
    here.defer(0, deferred("behind"))
    assert here.committed(0) == 4
    with here.scheduler(Clock()):
        assert here.tasks("first", "behind") == ["behind", "first"]
    found = here.records("dead-letters", lambda found: len(found) >= 3)
    assert sorted(CODEC.decode(DeadLetter, record.value or b"").offset for record in found) == [1, 2, 3]


def test_what_cannot_be_read_goes_to_the_dead_letters_and_blocks_nothing(here: Deployment) -> None:
    empty = Deferred(cause="budget", not_before=TODAY, reason="budget")
    here.defer(0, b"\xff no message", empty, deferred("behind"))
    with here.scheduler(Clock()):
        assert here.tasks("behind") == ["behind"]
        found = here.records("dead-letters", lambda found: len(found) >= 2)
    letters = [CODEC.decode(DeadLetter, record.value or b"") for record in found]
    assert {(one.reason, one.topic, one.partition, one.offset) for one in letters} == {
        ("not_avro", f"{here.prefix}deferred-budget", 0, 0),
        ("empty_deferral", f"{here.prefix}deferred-budget", 0, 1),
    }
    assert here.committed(0) == 3


def test_offsets_without_a_task_are_passed_over_and_deleted_ones_are_counted(
    here: Deployment, caplog: pytest.LogCaptureFixture
) -> None:
    topic = f"{here.prefix}deferred-budget"
    here.defer(0, deferred("first"))
    end = abort(here.kafka, topic, [CODEC.encode(deferred("aborted"))] * 2)
    with here.scheduler(Clock()):
        here.until(lambda: here.committed(0) == end)
        assert here.tasks("first") == ["first"]
    here.defer(0, deferred("deleted"), deferred("held", TOMORROW), deferred("deleted too"), deferred("last"))
    forget(here.kafka, topic, end + 1)
    with here.scheduler(clock := Clock()):
        here.until(lambda: WAITING.labels(topic)._value.get() == 1)
        forget(here.kafka, topic, end + 3)
        clock.time = TOMORROW
        assert here.tasks("first", "last") == ["first", "last"]
    assert f"the offsets {end} to {end} were deleted" in caplog.text
    assert f"the offsets {end + 1} to {end + 2} were deleted" in caplog.text
    assert SKIPPED.labels(topic)._value.get() == 3


def test_waiting_messages_count_as_lag_from_the_first_one_on(here: Deployment) -> None:
    here.defer(0, *[deferred(f"{number}", TOMORROW) for number in range(3)])

    topic = f"{here.prefix}deferred-budget"

    def waiting() -> dict[str, float]:
        (family,) = [one for one in REGISTRY.collect() if one.name == lag.NAME]
        return {one.labels["partition"]: one.value for one in family.samples if one.labels["topic"] == topic}

    try:
        with here.scheduler(Clock()):
            deadline = time.monotonic() + WAIT_SECONDS
            while waiting().get("0") != 3 and time.monotonic() < deadline:
                time.sleep(0.1)
            assert waiting()["0"] == 3
    finally:
        lag.LAG.watch(tuple)


def test_a_letter_that_the_unavailable_blob_store_must_keep_waits_and_so_do_the_messages_behind_it(
    kafka: KafkaConfig,
) -> None:
    away, asked, clock = [True], threading.Event(), Clock()

    def keep_whole(_: bytes) -> str:
        asked.set()
        if away:
            raise ServiceError("The blob store cannot be written.")
        return "sha"

    here = Deployment(kafka)
    here.defer(0, b"x" * 100_000, deferred("behind"))
    with here.scheduler(clock, keep_whole):
        assert asked.wait(WAIT_SECONDS)
        here.until(lambda: WAITING.labels(f"{here.prefix}deferred-budget")._value.get() == 1)
        away.clear()
        clock.time += timedelta(seconds=2)
        assert here.tasks("behind") == ["behind"]
        letters = here.records("dead-letters", lambda found: len(found) > 0)
    assert [CODEC.decode(DeadLetter, one.value or b"").reference for one in letters] == ["sha"]
    assert here.committed(0) == 2
