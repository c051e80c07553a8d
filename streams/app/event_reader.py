"""Build the reader of events, and that of the user's own topics, without Faust."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from streams.adapters.blobs import BlobStore
from streams.adapters.codec import Codec
from streams.adapters.dead_letters import DeadLetters, EventIds
from streams.adapters.event_reader import EventReader
from streams.adapters.kafka_admin import ClusterMetadata
from streams.app.settings import Settings
from streams.core.dead_letter_limit import DeadLetterLimit

if TYPE_CHECKING:
    from streams.adapters.source_reader import SourceReader
    from streams.pipeline.source import SourceSpec


def build_event_reader(
    settings: Settings,
    cluster: ClusterMetadata,
    codec: Codec,
    blobs: BlobStore,
    source: SourceReader | None = None,
) -> tuple[EventReader, DeadLetters]:
    """Return the reader of events, and the builder of dead letters for those it, or `source`, cannot read."""
    reader = EventReader(codec, cluster.cluster_id, settings.run, settings.max_event_bytes)
    ids = EventIds(reader, codec, settings.topic_prefix, source)
    dead_letters = DeadLetters(
        run=settings.run,
        cluster_id=cluster.cluster_id,
        keep_whole=blobs.put,
        event_id=ids,
        content_digest=ids.content_digest,
        limit=DeadLetterLimit(settings.dead_letter_run, settings.dead_letter_percent),
    )
    return reader, dead_letters


def source_reader(
    settings: Settings, cluster: ClusterMetadata, codec: Codec, specs: Sequence[SourceSpec]
) -> SourceReader | None:
    """Return the reader of the user's topics; None if the pipeline names none. Raises ConfigError."""
    if not specs:
        return None
    from streams.adapters.source_reader import SourceReader  # it reads the pipeline file, which RESUME does not
    from streams.adapters.source_topics import SourceTopics

    topics = SourceTopics(specs, settings.topic_prefix)
    return SourceReader(topics, codec, cluster.cluster_id, settings.max_event_bytes)
