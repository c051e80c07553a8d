"""The events that have ended already, for callers that wait for outcomes of events published again."""

from __future__ import annotations

from collections.abc import Set
from contextlib import closing
from typing import Final

from streams.adapters.clickhouse import ClickHouseConfig
from streams.adapters.clickhouse_erasure import BATCH, batched
from streams.adapters.codec import Codec
from streams.adapters.kafka import KafkaConfig
from streams.adapters.topic_reader import TopicReader
from streams.audit.query import Audit
from streams.core.errors import UnreadableError
from streams.core.messages import Outcome
from streams.core.topics import BY_MESSAGE

_RECORDED: Final = "SELECT DISTINCT event_id FROM outcomes WHERE run = {run:String} AND event_id IN {ids:Array(String)}"


def ended_events(
    kafka: KafkaConfig, clickhouse: ClickHouseConfig, codec: Codec, topic_prefix: str, run: str, wanted: Set[str]
) -> set[str]:
    """Return the events that have an outcome on the topic or, if the topic lost it, in the audit.

    An event ends once: published again, it gets no second outcome to wait for. A dead letter does not count, because an
    event that comes again ends in a new one.
    """
    found = _on_topic(kafka, codec, topic_prefix + BY_MESSAGE[Outcome].name, run, wanted)
    return found | _in_audit(clickhouse, run, wanted - found)


def _on_topic(kafka: KafkaConfig, codec: Codec, topic: str, run: str, wanted: Set[str]) -> set[str]:
    found = set()
    with closing(TopicReader(kafka, [topic], on_gap=lambda _: None)) as tail:
        for record in tail.to_end():
            try:
                origin = codec.decode(Outcome, record.value or b"").origin
            except UnreadableError:
                continue
            if origin.run == run and origin.event_id in wanted:
                found.add(origin.event_id)
    return found


def _in_audit(clickhouse: ClickHouseConfig, run: str, wanted: Set[str]) -> set[str]:
    with closing(Audit(clickhouse)) as audit:
        parts = [
            audit.query(_RECORDED, {"run": run, "ids": list(some)}).rows for some in batched(sorted(wanted), BATCH)
        ]
    return {str(row[0]) for rows in parts for row in rows}
