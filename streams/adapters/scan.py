"""Read a topic from its first record to an end fixed beforehand, without a consumer group: to count what is there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from streams.adapters.kafka import KafkaConfig, cleanup_policy, describe_cluster, topic_ids, written_up_to
from streams.adapters.log_reader import LogReader, OnGap, refuse
from streams.core.errors import ServiceError

Marks = Mapping[int, tuple[int, int]]
"""By partition: the first offset that is held, and the one after the last."""


class Scan:
    """Reads topics of one cluster. A context manager. Raises ServiceError when Kafka cannot be read."""

    def __init__(self, config: KafkaConfig) -> None:
        self._config, self._partitions = config, describe_cluster(config).partitions
        self._reader = LogReader(config, "escalon-scan")

    def __enter__(self) -> Scan:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()

    def marks(self, topic: str) -> dict[int, tuple[int, int]]:
        """The watermarks of a topic's partitions, now. Raises ServiceError when there is no such topic."""
        if topic not in self._partitions:
            raise ServiceError(f"There is no topic {topic}.", "Create the topics with `escalon topics --create`.")
        held = self._reader.held((topic, number) for number in range(self._partitions[topic]))
        return {number: found for (_, number), found in held.items()}

    def read(self, topic: str, marks: Marks, on_gap: OnGap = refuse) -> Iterator[Any]:
        """Every message between the marks, as confluent-kafka gives it.

        `on_gap` hears of what was deleted meanwhile; without it that raises ServiceError.
        """
        return self._reader.read({(topic, number): found for number, found in marks.items()}, on_gap)

    def written(self, topic: str) -> dict[int, int]:
        """The offset after the last record of each partition now. Marks that were asked for later and end before it end
        at a transaction that is open."""
        return written_up_to(self._config, topic, range(self._partitions.get(topic, 0)))

    def compacted(self, topic: str) -> bool:
        """Whether Kafka may remove a record of a topic for a later one of the same key. Unknown counts as no."""
        return "compact" in cleanup_policy(self._config, topic)

    def incarnations(self, topics: Iterable[str]) -> dict[str, str]:
        """Kafka's own id of each topic: a topic that is deleted and made again gets another one."""
        return topic_ids(self._config, list(topics))

    def record(self, topic: str, partition: int, offset: int) -> Any:
        """One message; None when it is gone."""
        reading = self.read(topic, {partition: (offset, offset + 1)}, lambda _: None)
        return next(reading, None)
