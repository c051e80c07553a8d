"""Retry dead letters: publish a record for each to Kafka, and record the retry.

The order is the guarantee: publish, wait for Kafka's confirmation, then record. A retry that a crash left
unrecorded may be published twice, under the same event id, and SETTLE ends an event once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from confluent_kafka import KafkaException, Producer

from streams.adapters.kafka import KafkaConfig
from streams.audit.dead_letters.originals import GoneError, Originals
from streams.audit.dead_letters.republish import EVENTS, Republish, Republished
from streams.audit.dead_letters.table import BAD_ROW, ENDING, DeadLetterTable, LetterAction, LetterStatus
from streams.core.errors import ServiceError
from streams.core.messages import DeadLetter
from streams.core.topics import own_name

BATCH, BATCH_BYTES, FLUSH_SECONDS = 500, 32 << 20, 30.0
LARGEST_BYTES: Final = 100_000_000
"""The producer's limit; the broker enforces the topic's."""


@dataclass(frozen=True, slots=True)
class NotRetried:
    """A dead letter that was left as it is, and the reason."""

    dead_letter_id: str
    event_id: str
    why: str


RetryResult = LetterAction | NotRetried


def why_not(one: LetterStatus, prefix: str, retryable: Collection[str]) -> str | None:
    """Return the reason why a dead letter must not be retried; None if it may. `retryable` are the states for it."""
    ends = (own_name(one.topic, prefix) or EVENTS) in ENDING  # a record of the user's own topics becomes an event
    if one.erased:
        return "the content of its event was erased"
    if one.state not in retryable:
        return f"it was {one.state} at {_shown(one.acted_at)} by {one.operator}"
    if one.outcome is not None and one.reason == "id_conflict":
        return f"another event has its id and has ended as {one.outcome}: publish it under its own id, or drop it"
    if one.outcome is not None and ends and one.reason != BAD_ROW:
        return f"its event has ended as {one.outcome}"
    return None


@dataclass(kw_only=True)
class Retrier:
    """Retries dead letters of one run. `partitions` is the number of partitions by topic."""

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
        """Yield the result for each letter, in the order in which they are found.

        Raises ServiceError when Kafka or ClickHouse fails; the results yielded before are final.
        """
        wanted = set(ids)
        # If its partition no longer exists, the key decides, by the tiers' own partitioner.
        more = {"enable.idempotence": False, "acks": "all", "partitioner": "murmur2_random"}
        producer = self.make_producer(self.kafka.producer(**more, **{"message.max.bytes": LARGEST_BYTES}))
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
        yield from (NotRetried(name, "", "neither its topic nor the audit has it") for name in sorted(wanted))

    def _record(self, letter: DeadLetter) -> Republished:
        record = self.republish(letter)
        if record.topic not in self.partitions:
            raise GoneError(f"There is no topic {record.topic}.")
        return record

    def _send(self, producer: Any, batch: Sequence[Republished]) -> Iterator[LetterAction]:
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
        there = record.partition is not None and record.partition < self.partitions[record.topic]
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


def _shown(time: datetime | None) -> str:
    return time.isoformat(timespec="seconds") if time is not None else "some time"
