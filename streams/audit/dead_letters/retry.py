"""Retry dead letters: a record goes to Kafka for each, and that is recorded.

The order is the guarantee: publish, have Kafka confirm, then record. What a crash leaves unrecorded may be published
twice, under the same event id, and SETTLE ends an event once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from confluent_kafka import KafkaException, Producer

from streams.adapters.kafka import KafkaConfig
from streams.audit.dead_letters.originals import GoneError, Originals
from streams.audit.dead_letters.republish import Republish, Republished
from streams.audit.dead_letters.table import ENDING, OF_THE_SINK, DeadLetterTable, LetterAction, LetterStatus
from streams.core.errors import ServiceError
from streams.core.messages import DeadLetter
from streams.core.topics import BY_NAME

BATCH, BATCH_BYTES, FLUSH_SECONDS = 500, 32 << 20, 30.0
LARGEST_BYTES: Final = 100_000_000
"""What our producer lets through; what the topic takes is the broker's affair."""


@dataclass(frozen=True, slots=True)
class NotRetried:
    """A dead letter that was left as it is, and why."""

    dead_letter_id: str
    event_id: str
    why: str


RetryResult = LetterAction | NotRetried


def why_not(one: LetterStatus, prefix: str, retryable: Collection[str]) -> str | None:
    """Why a dead letter must not be retried; None when it may. `retryable` are the states it may be in."""
    name = one.topic.removeprefix(prefix)
    if name not in BY_NAME:
        return f"{one.topic} is no topic of this pipeline"
    if one.erased:
        return "what its event said was erased"
    if one.state not in retryable:
        return f"it was {one.state} at {_said(one.acted_at)} by {one.operator}"
    if one.outcome is not None and one.reason == "id_conflict":
        return f"its id is another event's, which has ended as {one.outcome}: publish it under its own id, or drop it"
    if one.outcome is not None and name in ENDING and one.reason != OF_THE_SINK:
        return f"its event has ended as {one.outcome}"
    return None


@dataclass(kw_only=True)
class Retrier:
    """Retries dead letters of one run. `partitions` has the number of each topic's partitions."""

    kafka: KafkaConfig
    partitions: Mapping[str, int]
    originals: Originals
    republish: Republish
    letters: DeadLetterTable
    run: str
    operator: str
    now: Callable[[], datetime]
    make_producer: Callable[[dict[str, Any]], Any] = Producer
    _confirmed: dict[str, tuple[int, int]] = field(default_factory=dict)
    _failures: list[str] = field(default_factory=list)

    def retry(self, ids: Iterable[str]) -> Iterator[RetryResult]:
        """What became of each, in the order they are found. Raises ServiceError when Kafka or ClickHouse fails; what
        was told before is done."""
        wanted = set(ids)
        # Where its partition is gone the key decides, as for the tiers' own producers.
        more = {"enable.idempotence": False, "acks": "all", "partitioner": "murmur2_random"}
        producer = self.make_producer(self.kafka.confluent(**more, **{"message.max.bytes": LARGEST_BYTES}))
        batch: list[Republished] = []
        size = 0
        for letter in self.originals.find(wanted):
            wanted.discard(letter.dead_letter_id)
            try:
                record = self._record(letter)
            except GoneError as error:
                yield NotRetried(letter.dead_letter_id, letter.event_id, error.what)
                continue
            if len(batch) >= BATCH or size + len(record.value) > BATCH_BYTES:
                yield from self._send(producer, batch)
                batch, size = [], 0
            batch.append(record)
            size += len(record.value)
        yield from self._send(producer, batch)
        yield from (NotRetried(name, "", "neither its topic nor the audit has it any more") for name in sorted(wanted))

    def _record(self, letter: DeadLetter) -> Republished:
        record = self.republish(letter)
        if record.topic not in self.partitions:
            raise GoneError(f"There is no topic {record.topic}.")
        return record

    def _send(self, producer: Any, batch: Sequence[Republished]) -> Iterator[LetterAction]:
        """Publish a batch, and record what Kafka has confirmed of it."""
        self._confirmed, self._failures = {}, []
        for record in batch:
            self._publish(producer, record)
        producer.flush(FLUSH_SECONDS)
        done = [self._action(record) for record in batch if record.letter.dead_letter_id in self._confirmed]
        self.letters.record(done)
        yield from done
        if len(done) < len(batch):
            why = self._failures[0] if self._failures else "time ran out"
            what = f"Kafka did not confirm {len(batch) - len(done)} dead letters ({why})."
            raise ServiceError(what, "They are still open: check the broker and run the same command again.")

    def _publish(self, producer: Any, record: Republished) -> None:
        there = record.partition < self.partitions[record.topic]
        try:
            producer.produce(
                record.topic,
                record.value,
                key=record.key,
                headers=record.headers,
                on_delivery=self._delivered(record.letter.dead_letter_id),
                **({"partition": record.partition} if there else {}),
            )
        except (KafkaException, BufferError) as error:
            self._failures.append(str(error))
        producer.poll(0)

    def _delivered(self, name: str) -> Callable[[Any, Any], None]:
        def report(error: Any, message: Any) -> None:
            if error is not None:
                self._failures.append(error.str())
            else:
                self._confirmed[name] = (int(message.partition()), int(message.offset()))

        return report

    def _action(self, record: Republished) -> LetterAction:
        partition, offset = self._confirmed[record.letter.dead_letter_id]
        return LetterAction(
            run=self.run,
            acted_at=self.now(),
            dead_letter_id=record.letter.dead_letter_id,
            event_id=record.letter.event_id,
            action="retried",
            operator=self.operator,
            topic=record.topic,
            partition=partition,
            offset=offset,
        )


def _said(time: datetime | None) -> str:
    return time.isoformat(timespec="seconds") if time is not None else "some time"
