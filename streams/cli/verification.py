"""The verification of a run with the servers that a command works with."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from streams.adapters.blobs import BlobStore
from streams.adapters.codec_factory import codec_for
from streams.adapters.dead_letters import DeadLetters, EventIds
from streams.adapters.kafka_admin import describe_cluster
from streams.adapters.source_reader import SourceReader
from streams.adapters.topic_reader import TopicReader
from streams.app.event_reader import build_event_reader, source_reader
from streams.app.settings import Settings
from streams.audit.verify.check import ConsistencyCheck
from streams.audit.verify.report import VerifyReport, VerifyRequest
from streams.audit.verify.source_check import SourceCheck
from streams.audit.verify.topic_evidence import EvidenceReader
from streams.cli.context import require_clickhouse, require_kafka
from streams.pipeline.source import SourceSpec


def verification(
    settings: Settings,
    question: VerifyRequest,
    report: Callable[[str, int], None],
    specs: Sequence[SourceSpec] = (),
) -> VerifyReport:
    """Compare the topics of a run, and the user's own ones of `specs`, with its audit.

    `report` gets each topic and the records read so far.

    Raises ServiceError if Kafka or ClickHouse is not configured or cannot be read.
    """
    kafka, codec = require_kafka(settings), codec_for(settings.schema_registry)
    client = require_clickhouse(settings).connect(readonly=True)
    cluster = describe_cluster(kafka)
    own = source_reader(settings, cluster, codec, specs)
    reader, letters = build_event_reader(settings, cluster, codec, BlobStore(settings.blobs), own)
    with TopicReader(kafka) as scan:
        evidence = EvidenceReader(
            scan=scan,
            codec=codec,
            prefix=settings.topic_prefix,
            run=settings.run,
            letters=letters,
            event=EventIds(reader, codec, settings.topic_prefix).event,
            since=question.since,
            on_progress=report,
        )
        source = None if own is None else _source_check(settings, scan, own, letters, question.since, report)
        check = ConsistencyCheck(scan=scan, reader=evidence, client=client, question=question, source=source)
        return check.run()


def _source_check(
    settings: Settings,
    scan: TopicReader,
    reader: SourceReader,
    letters: DeadLetters,
    since: int,
    report: Callable[[str, int], None],
) -> SourceCheck:
    return SourceCheck(
        scan=scan,
        kafka=require_kafka(settings),
        group=f"escalon-{settings.topic_prefix}listen",
        reader=reader,
        letters=letters,
        prefix=settings.topic_prefix,
        since=since,
        on_progress=report,
    )
