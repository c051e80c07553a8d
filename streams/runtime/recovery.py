"""Bring tables up to date from their changelogs, before the messages of their partitions are handled."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

from streams.adapters.kafka import KafkaConfig
from streams.runtime.table_store import TableStore
from streams.telemetry.skipped_offsets import is_partition_end

BATCH: Final = 10_000
POLL_SECONDS: Final = 0.5
RETRY_SECONDS: Final = 1.0
MARKS_SECONDS: Final = 15.0
Place = tuple[str, int]
log = logging.getLogger("escalon.runtime")


class Recovery:
    """Reads changelogs to their ends. `wanted` is called again and again; False ends a recovery."""

    def __init__(self, kafka: KafkaConfig, group: str) -> None:
        self._settings = kafka.consumer(
            f"{group}-recovery", **{"enable.partition.eof": True, "fetch.wait.max.ms": 50, "queued.min.messages": BATCH}
        )

    def run(self, stores: Mapping[Place, TableStore], wanted: Callable[[], bool]) -> bool:
        """Apply what each changelog partition holds behind its store's offset; False if it was not wanted to the end.

        It waits for an unavailable broker. Blocks; raises ProcessError for a store that cannot be written.
        """
        left = dict(stores)
        while left and wanted():
            consumer = Consumer(self._settings)
            try:
                self._read(consumer, left, wanted)
            except KafkaException as error:
                log.warning("the changelogs cannot be read, trying again: %s", error.args[0])
                time.sleep(RETRY_SECONDS)
            finally:
                consumer.close()
        return not left

    def _read(self, consumer: Any, left: dict[Place, TableStore], wanted: Callable[[], bool]) -> None:
        starts = {place: _start(consumer, place, store) for place, store in left.items()}
        consumer.assign([TopicPartition(*place, offset) for place, offset in starts.items()])
        while left and wanted():
            found = consumer.consume(BATCH, 0) or [consumer.poll(POLL_SECONDS)]
            changes: dict[Place, list[tuple[bytes, bytes | None]]] = {}
            reached: dict[Place, int] = {}
            ended: set[Place] = set()
            for message in found:
                if message is None:
                    continue
                place = message.topic(), message.partition()
                if place not in left:  # its end was reached, and more was written since
                    continue
                if is_partition_end(message):
                    reached[place] = message.offset()
                    ended.add(place)
                elif (error := message.error()) is not None:
                    raise KafkaException(error)
                else:
                    reached[place] = message.offset() + 1
                    if (key := message.key()) is not None:
                        changes.setdefault(place, []).append((key, message.value()))
            for place, offset in reached.items():
                left[place].apply(place[1], changes.get(place, ()))
                left[place].set_offset(place[1], offset)  # a recovery that is cut off goes on from here
            for place in ended:
                del left[place]


def _start(consumer: Any, place: Place, store: TableStore) -> int:
    """Return the offset to begin at.

    A table that is ahead of its changelog keeps its entries, and the changelog is read from its beginning: it was
    created again, or its broker has lost its end.
    """
    first, end = consumer.get_watermark_offsets(TopicPartition(*place), MARKS_SECONDS, cached=False)
    has = store.offset(place[1])
    if has is not None and has > end:
        log.error(
            "%s/%d ends at %d, but its table is at %d: the changelog is read from its beginning", *place, end, has
        )
        has = None
    return int(first if has is None else max(first, has))
