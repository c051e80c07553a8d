"""Events on a real broker and in a real ClickHouse, with faults planted by hand, for `escalon verify`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from confluent_kafka import Producer

from streams.adapters.clickhouse import ClickHouseConfig
from streams.adapters.codec import Codec
from streams.adapters.dead_letters import DeadLetters, EventIds
from streams.adapters.event_reader import EventReader
from streams.adapters.kafka import KafkaConfig
from streams.adapters.kafka_admin import create_topics, describe_cluster
from streams.adapters.kafka_record import KafkaRecord
from streams.adapters.source_reader import SourceReader
from streams.adapters.topic_reader import TopicReader, record_of
from streams.audit.verify.check import ConsistencyCheck
from streams.audit.verify.report import VerifyReport, VerifyRequest
from streams.audit.verify.source_check import SourceCheck
from streams.audit.verify.topic_evidence import EvidenceReader
from streams.core.messages import Call, DeadLetter, Outcome, Verdict
from streams.core.topics import topic_of
from tests.builders import call, event, outcome, verdict
from tests.harness.audit import write

CODEC = Codec()

LATER = timedelta(hours=1)


@dataclass
class World:
    """Topics of its own, and a run of its own in the audit. Messages go to Kafka and to ClickHouse."""

    kafka: KafkaConfig
    clickhouse: ClickHouseConfig
    run: str = field(default_factory=lambda: uuid4().hex[:8])
    cluster: str = ""
    scan: type[TopicReader] = TopicReader

    def __post_init__(self) -> None:
        create_topics(self.kafka, self.prefix, 2, 1)
        self.cluster = describe_cluster(self.kafka).cluster_id
        self.producer = Producer(self.kafka.confluent())

    @property
    def prefix(self) -> str:
        return f"{self.run}."

    @property
    def letters(self) -> DeadLetters:
        """The maker of dead letters, which gives ids to events that have none."""
        return DeadLetters(run=self.run, cluster_id=self.cluster, keep_whole=lambda _: "sha", event_id=self.ids)

    @property
    def ids(self) -> EventIds:
        """The reader of an event's id and content hash."""
        return EventIds(EventReader(CODEC, self.cluster, self.run, 900_000), CODEC, self.prefix)

    def record(self, topic: str, offset: int, partition: int = 0) -> KafkaRecord:
        """The record at a place."""
        with self.scan(self.kafka) as scan:
            return record_of(scan.record(self.prefix + topic, partition, offset))

    def put(self, *messages: Any, partition: int = 0) -> None:
        """Put messages on their topics only."""
        for message in messages:
            self.raw(topic_of(message).name, CODEC.encode(message), partition)

    def raw(self, topic: str, value: bytes, partition: int = 0) -> None:
        """Put bytes on a topic."""
        self.producer.produce(self.prefix + topic, value, partition=partition)
        assert self.producer.flush(20) == 0

    def write(self, *messages: Any) -> None:
        """Put messages on their topics and into their tables."""
        self.put(*messages)
        write(self.clickhouse, *messages)

    def publish(self, name: str, partition: int = 0) -> None:
        """Publish an event."""
        self.raw("events", json.dumps({"id": name, "text": "where is my order?"}).encode(), partition)

    def made(self, name: str, offset: int = 0, partition: int = 0) -> tuple[Verdict, Call, Outcome]:
        """The verdict, call and outcome of an event, made now."""
        of, now = event(name, run=self.run), datetime.now(UTC)
        topic = f"{self.prefix}events"
        of = replace(of, origin=replace(of.origin, topic=topic, offset=offset, partition=partition))
        made = call(of, started_at=now)
        return (
            replace(verdict(of), decided_at=now),
            made,
            replace(outcome(of), call_id=made.call_id, settled_at=now),
        )

    def live(self, *names: str) -> None:
        """Events from their publication to their outcome, as they should be."""
        for offset, name in enumerate(names):
            self.publish(name)
            self.write(*self.made(name, offset))

    def verify(self, source: SourceReader | None = None, **more: Any) -> VerifyReport:
        """Return the report of verify, as if an hour had passed; with `source`, of the user's own topics as well."""
        now = int((datetime.now(UTC) + LATER).timestamp() * 1000)
        question = replace(VerifyRequest(run=self.run, now=now, grace=0), **more)
        with self.scan(self.kafka) as scan:
            reader = EvidenceReader(
                scan=scan,
                codec=CODEC,
                prefix=self.prefix,
                run=self.run,
                letters=self.letters,
                event=self.ids.event,
                since=question.since,
                on_progress=lambda *_: None,
            )
            client = self.clickhouse.connect(readonly=True)
            own = None if source is None else self._source_check(scan, source, question.since)
            check = ConsistencyCheck(scan=scan, reader=reader, client=client, question=question, source=own)
            return check.run()

    def _source_check(self, scan: TopicReader, source: SourceReader, since: int) -> SourceCheck:
        return SourceCheck(
            scan=scan,
            kafka=self.kafka,
            group=f"escalon-{self.prefix}listen",
            reader=source,
            letters=self.letters,
            prefix=self.prefix,
            since=since,
            on_progress=lambda *_: None,
        )


def kinds(report: VerifyReport) -> list[tuple[str, str, int]]:
    """Every fault found, without its examples."""
    return [(fault.kind, fault.topic, fault.count) for fault in report.faults]


def lose_an_outcome(world: World) -> None:
    world.publish("lost", 1)
    world.write(*world.made("lost", 0, 1)[:2])


def event_of(world: World, name: str) -> Any:
    return world.made(name)[0].event


def settle_what_never_was(world: World) -> None:
    world.write(replace(world.made("never", 99)[2], call_id=None))


def letter(world: World, topic: str, offset: int, event_id: str, partition: int = 0) -> DeadLetter:
    own = world.letters.letter_id(world.record(topic, offset, partition))
    return DeadLetter(
        dead_letter_id=own, run=world.run, topic=f"{world.prefix}{topic}", partition=partition, offset=offset,
        payload=b"", payload_size=0, payload_sha256="", reason="bad_event", detail="", error_class="",
        event_id=event_id, event_time=datetime.now(UTC),
    )  # fmt: skip
