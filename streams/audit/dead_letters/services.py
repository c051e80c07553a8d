"""Build what reading and retrying dead letters needs from Kafka, ClickHouse and the blob store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from streams.adapters.blobs import BlobStore
from streams.adapters.codec_factory import codec_for
from streams.adapters.dead_letters import EventIds
from streams.adapters.kafka_admin import describe_cluster
from streams.adapters.topic_reader import TopicReader
from streams.app.event_reader import build_event_reader
from streams.app.settings import Settings, require_kafka
from streams.audit.dead_letters.originals import Originals
from streams.audit.dead_letters.republish import Republish, RepublishEvent, republish_original
from streams.audit.dead_letters.retry import Retrier
from streams.audit.dead_letters.table import DeadLetterTable


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
    if source is None:
        yield republish_original(originals)
        return
    kafka = require_kafka(settings)
    reader, _ = build_event_reader(settings, describe_cluster(kafka), originals.codec, originals.blobs)
    with TopicReader(kafka) as scan:
        yield RepublishEvent(
            originals=originals,
            scan=scan,
            codec=originals.codec,
            prefix=settings.topic_prefix,
            event=EventIds(reader, originals.codec, settings.topic_prefix).event,
        )


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
