"""Read topics without a consumer group: to an end that is fixed beforehand, or as records come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import methodcaller
from typing import Any, Self

from confluent_kafka import OFFSET_BEGINNING

from streams.adapters.kafka import KafkaConfig
from streams.adapters.kafka_admin import TopicIds, cleanup_policy, describe_cluster, written_up_to
from streams.adapters.kafka_record import KafkaRecord, kafka_time
from streams.adapters.log_reader import Bounds, LogReader, OnGap, refuse
from streams.core.errors import ConfigError, ServiceError

POLL_SECONDS = 0.2
BATCH = 500
_CHECKED = methodcaller("headers")
"""Python looks for a raised error after every call of this one, but not after the calls it has specialised."""

Offsets = dict[tuple[str, int], int]
Marks = Mapping[int, tuple[int, int]]
"""By partition: the first offset that the topic holds, and the one after the last."""


class TopicReader:
    """Reads topics of one cluster. A context manager. Raises ServiceError when Kafka cannot be read.

    `batch`, `follow` and `to_end` read `topics` from their beginning or from `start`; with `only_started` no other
    partitions. `read` reads any topic between given offsets. `on_gap` receives what Kafka deleted before it was read;
    without it that raises ServiceError.
    """

    def __init__(
        self,
        config: KafkaConfig,
        topics: Sequence[str] = (),
        start: Offsets | None = None,
        *,
        only_started: bool = False,
        on_gap: OnGap = refuse,
    ) -> None:
        self._config, self.partitions = config, describe_cluster(config).partitions
        found, self._start = [place for topic in topics for place in self._places_of(topic)], start or {}
        if only_started and (missing := sorted(self._start.keys() - set(found))):
            what = "There is no partition {} of the topic {}.".format(*reversed(missing[0]))
            raise ConfigError(what, "Name partitions that the topic has.", "offsets")
        self._places = [place for place in found if not only_started or place in self._start]
        self._reader, self._on_gap = LogReader(config, "escalon-reader"), on_gap
        self._following = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the consumer."""
        self._reader.close()

    # ---- Reading ----

    def batch(self, seconds: float = POLL_SECONDS) -> list[KafkaRecord]:
        """Return the records that come within some seconds, BATCH at most."""
        if not self._following:
            self._reader.start({place: self._start.get(place, OFFSET_BEGINNING) for place in self._places})
            self._following = True
        return [record_of(message) for message in self._reader.poll(seconds, BATCH, self._on_gap)]

    def follow(self, stop: Callable[[], bool]) -> Iterator[KafkaRecord]:
        """Yield every record that the topics hold and that comes, until `stop`."""
        while not stop():
            yield from self.batch()

    def to_end(self, held: Bounds | None = None) -> Iterator[KafkaRecord]:
        """Yield every record up to the end of `held`, by default of what the topics hold now.

        A start outside a partition's log is the log's beginning.
        """
        bounds = {place: (self._first(place, low, high), high) for place, (low, high) in (held or self.held()).items()}
        return map(record_of, self._reader.read(bounds, self._on_gap))

    def read(self, topic: str, marks: Marks, on_gap: OnGap = refuse) -> Iterator[Any]:
        """Yield every message between the marks, as confluent-kafka gives it."""
        return self._reader.read({(topic, number): found for number, found in marks.items()}, on_gap)

    def record(self, topic: str, partition: int, offset: int) -> Any:
        """Return one message; None when it is gone."""
        return next(self.read(topic, {partition: (offset, offset + 1)}, lambda _: None), None)

    # ---- What the topics hold ----

    def held(self) -> Bounds:
        """Return the first offset that each partition holds now, and the one after its last record."""
        return self._reader.held(self._places)

    def ends(self) -> Offsets:
        """Return the offset after the last message of every partition that holds any now."""
        marks = {place: self._reader.watermarks(place) for place in self._places}
        return {place: high for place, (low, high) in marks.items() if low < high}

    def marks(self, topic: str) -> dict[int, tuple[int, int]]:
        """Return what each partition of a topic holds now. Raises ServiceError when the topic does not exist."""
        return {number: found for (_, number), found in self._reader.held(self._places_of(topic)).items()}

    def written(self, topic: str) -> dict[int, int]:
        """Return the offset after the last record of each partition now, also of an open transaction's.

        Marks that are fetched later and end before it end at a transaction that is open.
        """
        return written_up_to(self._config, topic, range(self.partitions.get(topic, 0)))

    def compacted(self, topic: str) -> bool:
        """True if Kafka may remove a record of a topic for a later one of the same key; False if that is unknown."""
        return "compact" in cleanup_policy(self._config, topic)

    def incarnations(self, topics: Iterable[str]) -> dict[str, str]:
        """Return Kafka's own id of each topic. A topic that is deleted and created again has another one."""
        return TopicIds(self._config).required(list(topics))

    def _places_of(self, topic: str) -> list[tuple[str, int]]:
        if topic not in self.partitions:
            raise ServiceError(f"There is no topic {topic}.", "Create the topics with `escalon topics --create`.")
        return [(topic, number) for number in range(self.partitions[topic])]

    def _first(self, place: tuple[str, int], low: int, high: int) -> int:
        wanted = self._start.get(place, low)
        return wanted if low <= wanted <= high else low


def table_entries(kafka: KafkaConfig, changelogs: Sequence[str], start: Offsets | None = None) -> Iterator[KafkaRecord]:
    """Yield every record with a key, each partition in its order. A changelog that does not exist holds none."""
    existing = describe_cluster(kafka).partitions
    present = [topic for topic in changelogs if topic in existing]
    if not present:
        return
    with TopicReader(kafka, present, start) as reader:
        yield from (record for record in reader.to_end() if record.key is not None)


def record_of(message: Any) -> KafkaRecord:
    """Return a confluent-kafka message as a record."""
    return KafkaRecord(
        topic=message.topic(),
        partition=message.partition(),
        offset=message.offset(),
        key=message.key(),
        value=message.value(),
        timestamp=kafka_time(message.timestamp()[1]),
        headers=[(key, value) for key, value in _headers(message) if value is not None],
    )


def _headers(message: Any) -> list[tuple[str, bytes | None]]:
    """Return a message's headers, without those whose name is not UTF-8: their names cannot be read.

    The client raises once for such a name. Then it gives the headers with nothing in its place, neither a name nor
    None, and touching that ends the process. Printing a header does not touch it.
    """
    try:
        return _CHECKED(message) or []
    except (SystemError, UnicodeDecodeError):
        return [header for header in message.headers() or () if not repr(header).startswith("(<NULL>, ")]
