"""Build the reader of events, without Faust."""

from __future__ import annotations

from streams.adapters.blobs import BlobStore
from streams.adapters.codec import Codec
from streams.adapters.dead_letters import DeadLetters, EventIds
from streams.adapters.event_reader import EventReader
from streams.adapters.kafka_admin import ClusterMetadata
from streams.adapters.source_reader import SourceReader
from streams.app.settings import Settings
from streams.core.dead_letter_limit import DeadLetterLimit


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
