"""Build what reading and retrying dead letters needs from Kafka, ClickHouse and the blob store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import Final

from streams.adapters.blobs import BlobStore
from streams.adapters.codec import Codec
from streams.adapters.codec_factory import codec_for
from streams.adapters.dead_letters import EventIds
from streams.adapters.kafka_admin import describe_cluster
from streams.adapters.source_reader import SourceReader
from streams.adapters.topic_reader import TopicReader
from streams.app.event_reader import build_event_reader, source_reader
from streams.app.settings import Settings, require_kafka
from streams.audit.dead_letters.originals import Originals
from streams.audit.dead_letters.republish import Republish, RepublishEvent, republish_original
from streams.audit.dead_letters.retry import Retrier
from streams.audit.dead_letters.sources import MapAgain
from streams.audit.dead_letters.table import DeadLetterTable
from streams.pipeline.load import load_pipeline

DEFAULT_PIPELINE: Final = Path("pipeline.toml")


@contextmanager
def originals_of(settings: Settings, letters: DeadLetterTable, needs_kafka: bool = False) -> Iterator[Originals]:
    """Find original records in Kafka and the audit; without a configured broker only in the audit."""
    with ExitStack() as stack:
        without_kafka = settings.kafka is None and not needs_kafka
        yield Originals(
            scan=None if without_kafka else stack.enter_context(TopicReader(require_kafka(settings))),
            letters=letters,
            codec=codec_for(settings.schema_registry),
            blobs=BlobStore(settings.blobs),
            prefix=settings.topic_prefix,
            run=settings.run,
        )


@contextmanager
def republish_of(settings: Settings, originals: Originals, source: str | None) -> Iterator[Republish]:
    """Retry a dead letter by its original record, or by its event if `source` is given."""
    kafka = require_kafka(settings)
    again = MapAgain(
        reader=lru_cache(1)(partial(_source_reader, settings, originals.codec)),
        codec=originals.codec,
        prefix=settings.topic_prefix,
    )
    if source is None:
        yield republish_original(originals, again)
        return
    reader, _ = build_event_reader(settings, describe_cluster(kafka), originals.codec, originals.blobs)
    with TopicReader(kafka) as scan:
        yield RepublishEvent(
            originals=originals,
            again=again,
            scan=scan,
            codec=originals.codec,
            prefix=settings.topic_prefix,
            event=EventIds(reader, originals.codec, settings.topic_prefix).event,
        )


def _source_reader(settings: Settings, codec: Codec) -> SourceReader | None:
    """Return the reader of the user's own topics by the pipeline file; None without a file, or without [source]."""
    file = settings.pipeline or DEFAULT_PIPELINE
    if not file.is_file():
        return None
    pipeline = load_pipeline(file.absolute(), settings.python)
    return source_reader(settings, describe_cluster(require_kafka(settings)), codec, pipeline.spec.source)


def retrier_of(
    settings: Settings, letters: DeadLetterTable, originals: Originals, republish: Republish, operator: str
) -> Retrier:
    """Return what publishes the records and records each retry as the operator's."""
    kafka = require_kafka(settings)
    return Retrier(
        kafka=kafka,
        partitions=describe_cluster(kafka).partitions,
        originals=originals,
        republish=republish,
        letters=letters,
        run=settings.run,
        operator=operator,
        now=settings.now,
    )
