"""The live tiers' tables, read from the changelog topics behind them."""

from __future__ import annotations

from dataclasses import dataclass

from streams.adapters.kafka import KafkaConfig
from streams.adapters.topic_reader import table_entries
from streams.core.tables import ANSWERS, SEEN_IMAGES
from streams.models.listeners.seen_image import SeenImage
from streams.replay.store import Entry, ReplayStore

BATCH = 2_000


@dataclass(frozen=True, slots=True)
class Changelogs:
    """The changelogs of the pipeline with this topic prefix. A tier that never ran has none."""

    kafka: KafkaConfig
    prefix: str

    def take_over(self, store: ReplayStore) -> None:
        """Bring the store's answers up to date."""
        some: list[Entry] = []
        positions = store.positions
        topics = [table.changelog(self.prefix) for table in ANSWERS.values()]
        for record in table_entries(self.kafka, topics, positions):
            some.append((record.key or b"", record.value))
            positions[record.topic, record.partition] = record.offset + 1
            if len(some) >= BATCH:
                store.take_over(some, positions)
                some = []
        store.take_over(some, positions)

    def images(self) -> list[SeenImage]:
        """Return every image that was not a duplicate, in order."""
        found: dict[bytes, bytes] = {}
        for record in table_entries(self.kafka, [SEEN_IMAGES.changelog(self.prefix)]):
            key = record.key or b""
            found.pop(key, None)
            if record.value is not None:
                found[key] = record.value
        seen = filter(None, (SeenImage.unpacked(key.decode(), value) for key, value in found.items()))
        return [image for _, image in sorted(seen, key=lambda item: (item[0], item[1].event_id))]
