"""The entries of Faust's tables, read from the changelog topics behind them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from streams.adapters.events import KafkaRecord
from streams.adapters.kafka import KafkaConfig, describe_cluster
from streams.adapters.tail import Offsets, Tail


def entries(kafka: KafkaConfig, changelogs: Sequence[str], start: Offsets | None = None) -> Iterator[KafkaRecord]:
    """Every record with a key, each partition in its order. A tier that never ran has no changelog, and no entries."""
    there = describe_cluster(kafka).partitions
    present = [topic for topic in changelogs if topic in there]
    if not present:
        return
    tail = Tail(kafka, present, start)
    try:
        yield from (record for record in tail.to_end() if record.key is not None)
    finally:
        tail.close()
