"""Records of a user's own topics, as other systems write them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from streams.adapters.kafka import KafkaConfig

WAIT_SECONDS = 60.0
CHANGED_AT = 1_793_611_800_000
TRACE = "0af7651916cd43dd8448eb211c80319c"


@dataclass(frozen=True)
class Sent:
    """One record; a value that is not bytes is written as JSON."""

    value: Any
    key: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def bytes_of(self, part: Any) -> bytes | None:
        return part if part is None or isinstance(part, bytes) else json.dumps(part).encode()


def create(kafka: KafkaConfig, topic: str, partitions: int = 1) -> None:
    """Create a topic."""
    admin = AdminClient(kafka.confluent())  # kept until the last future is done
    for future in admin.create_topics([NewTopic(topic, partitions, 1)]).values():
        future.result(WAIT_SECONDS)


def send(kafka: KafkaConfig, topic: str, records: Iterable[Sent]) -> None:
    """Publish records."""
    producer = Producer(kafka.confluent())
    for one in records:
        producer.produce(topic, one.bytes_of(one.value), key=one.bytes_of(one.key), headers=dict(one.headers) or None)
    assert producer.flush(WAIT_SECONDS) == 0


def note(number: int, body: str, region: str = "eu", **more: Any) -> Sent:
    """A record of an application of the user's, in a form of its own."""
    value = {
        "note": {"number": number, "written": "2026-11-02T09:30:00Z"},
        "subject": f"Note {number}",
        "body": body,
        "customer": {"mail": "ann@example.com"},
        **more,
    }
    headers = {"region": region, "version": "1", "traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
    return Sent(value, b"C-%d" % number, headers)


def change(number: int, op: str, lsn: int, row: Mapping[str, Any] | None = None, *, wrapped: bool = False) -> Sent:
    """A change of a row as Debezium's connector for PostgreSQL publishes it."""
    full = {"id": number, "state": "new", "remark": f"Where is order {number}?"} | dict(row or {})
    envelope = {
        "before": full if op == "d" else None,
        "after": None if op == "d" else full,
        "source": {
            "version": "3.0.0.Final", "connector": "postgresql", "name": "shop", "ts_ms": CHANGED_AT,
            "snapshot": "first" if op == "r" else "false", "db": "shop", "sequence": f'["{lsn - 8}","{lsn}"]',
            "schema": "public", "table": "orders", "txId": 771, "lsn": lsn, "xmin": None,
        },
        "transaction": None,
        "op": op,
        "ts_ms": CHANGED_AT + 431,
    }  # fmt: skip
    if wrapped:
        schema = {"type": "struct", "optional": False, "name": "shop.public.orders.Envelope"}
        return Sent({"schema": schema, "payload": envelope}, {"schema": schema, "payload": {"id": number}})
    return Sent(envelope, {"id": number})


def flattened(number: int, lsn: int, **row: Any) -> Sent:
    """The same change after ExtractNewRecordState with `add.fields = op,lsn,source.ts_ms`."""
    full = {"id": number, "state": "new", "remark": f"Where is order {number}?"}
    added = {"__op": "c", "__lsn": lsn, "__source_ts_ms": CHANGED_AT, "__deleted": "false"}
    return Sent(full | added | row, {"id": number})


def structured(number: int, text: str) -> Sent:
    """A CloudEvent in structured mode."""
    value = {
        "specversion": "1.0", "id": str(number), "source": "/desk", "type": "com.example.mail",
        "time": "2026-11-02T09:30:00Z", "datacontenttype": "application/json", "data": {"text": text, "lang": "en"},
    }  # fmt: skip
    return Sent(value, headers={"content-type": "application/cloudevents+json; charset=UTF-8"})


def binary(number: int, text: str) -> Sent:
    """A CloudEvent in binary mode."""
    headers = {
        "ce_specversion": "1.0", "ce_id": str(number), "ce_source": "/desk", "ce_type": "com.example.mail",
        "ce_time": "2026-11-02T09:30:00Z", "content-type": "application/json",
    }  # fmt: skip
    return Sent({"text": text, "lang": "en"}, headers=headers)


def tombstones(keys: Sequence[Any]) -> list[Sent]:
    """Records without a value."""
    return [Sent(None, key) for key in keys]
