"""`escalon check --sample` and `--topic`: what `[source]` makes of real records."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from streams.adapters.codec_factory import codec_for
from streams.adapters.event_reader import derived_event_id
from streams.adapters.kafka_record import KafkaRecord
from streams.adapters.source_reader import Skipped, SourceReader
from streams.adapters.source_topics import SourceTopics
from streams.adapters.topic_reader import TopicReader, record_of
from streams.app.settings import Settings
from streams.cli.console import out
from streams.cli.context import require_kafka
from streams.core import exact_json
from streams.core.counted import counted
from streams.core.errors import ConfigError, UnreadableError
from streams.core.harmless import one_line
from streams.core.messages import RawEvent
from streams.pipeline.source import SourceSpec

NEWEST: Final = 10
SHOWN: Final = 400
PARTS: Final = frozenset({"key", "value", "headers", "topic"})
"""The keys of a line that describes a whole record; any other line is a value."""
EVENTS: Final = SourceSpec(topics=("events",))
"""Reads records as the topic `events` is read."""
_CLUSTER: Final = "sample"


def show_sample(settings: Settings, specs: Iterable[SourceSpec], file: Path, topic: str | None) -> None:
    """Print what the pipeline makes of each line of a file, as records of a topic. Raises ConfigError."""
    records = [(f"line {number}", record) for number, record in _lines(file, topic or "")]
    _show(settings, SourceTopics(tuple(specs), settings.topic_prefix), records)


def show_topic(settings: Settings, specs: Iterable[SourceSpec], topic: str) -> None:
    """Print what the pipeline makes of the newest records of a topic. Nothing is committed."""
    with closing(TopicReader(require_kafka(settings))) as scan:
        if topic not in scan.partitions:
            what = f"Kafka has no topic {topic}, or this user may not describe it."
            raise ConfigError(what, "Check the name; LISTEN waits for a topic of [source] until it exists.", "topic")
        newest = {number: (max(low, high - NEWEST), high) for number, (low, high) in scan.marks(topic).items()}
        found = sorted(map(record_of, scan.read(topic, newest, lambda _: None)), key=lambda one: one.timestamp)
    records = [(f"{one.topic}/{one.partition}/{one.offset}", one) for one in found[-NEWEST:]]
    _show(settings, SourceTopics(tuple(specs), settings.topic_prefix), records)


def _show(settings: Settings, topics: SourceTopics, records: list[tuple[str, KafkaRecord]]) -> None:
    reader = SourceReader(topics, codec_for(settings.schema_registry), _CLUSTER, settings.max_event_bytes)
    for name, record in records:
        for line in _described(name, record, reader, _table(topics, record, settings.topic_prefix)):
            out.print(line, markup=False, highlight=False, soft_wrap=True)
    out.print(f"{counted(len(records), 'record')} read.")


def _table(topics: SourceTopics, record: KafkaRecord, prefix: str) -> SourceSpec:
    found: SourceSpec | None
    if record.topic == f"{prefix}events" or not (topics or record.topic):
        found = EVENTS
    elif record.topic:
        found = topics.of(record.topic)
    else:
        found = topics.specs[0] if len(topics.specs) == 1 else None
    if found is None:
        what = f"no [source] reads the topic {record.topic}." if record.topic else "the pipeline has several tables."
        raise ConfigError(what, f"Name a topic with --topic. It reads {topics or 'none of yours'}.", "source")
    return found


def _described(name: str, record: KafkaRecord, reader: SourceReader, spec: SourceSpec) -> Iterator[str]:
    try:
        found = reader.read(record, spec)
    except UnreadableError as error:
        yield f"{name}: dead letter {error.reason}: {one_line(str(error))}"
        return
    if isinstance(found, Skipped):
        yield f"{name}: skipped ({found.reason})"
        return
    own = found.id != derived_event_id(record, _CLUSTER)
    yield f"{name}: event {one_line(found.id or '') if own else '(its id is made of the record)'}"
    yield from (f"  {part:<12} {value}" for part, value in _parts(found))


def _parts(event: RawEvent) -> Iterator[tuple[str, str]]:
    time = event.time.isoformat() if event.time is not None else "that of the record"
    texts = {"text": event.text, "data": event.data, "image": event.image, "data_subject": event.data_subject}
    yield "time", time
    for part, text in texts.items():
        if text:
            shown = one_line(text)
            yield part, shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}…"


def _lines(file: Path, topic: str) -> Iterator[tuple[int, KafkaRecord]]:
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{file} cannot be read ({error}).", "Name a file of JSON lines in UTF-8.", "sample"
        ) from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield number, _record(line, number, topic)


def _record(line: str, number: int, topic: str) -> KafkaRecord:
    try:
        found = exact_json.loads(line) if line.lstrip().startswith("{") else None
    except (ValueError, RecursionError):
        found = None
    whole = isinstance(found, Mapping) and "value" in found and found.keys() <= PARTS
    parts: Mapping[str, Any] = found if whole and isinstance(found, Mapping) else {}
    headers = parts.get("headers") or {}
    if not isinstance(headers, Mapping):
        raise ConfigError(f"line {number}: headers must be an object.", 'Write {"name": "value"}.', "sample")
    return KafkaRecord(
        topic=str(parts.get("topic") or topic),
        partition=0,
        offset=number,
        key=_bytes(parts.get("key")),
        value=_bytes(parts["value"]) if whole else line.encode(),
        timestamp=datetime.now(UTC),
        headers=[(name, _bytes(value) or b"") for name, value in headers.items()],
    )


def _bytes(part: Any) -> bytes | None:
    return part if part is None else part.encode() if isinstance(part, str) else json.dumps(part).encode()
