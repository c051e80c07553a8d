"""Schema registries in bad moments: tiers start all the same, and events wait for their schema."""

from __future__ import annotations

import json
import struct
from io import BytesIO
from pathlib import Path

import pytest
from confluent_kafka import Producer
from fastavro import parse_schema, schemaless_writer

from tests.harness.fakes.schema_registry import SchemaRegistryServer
from tests.harness.tiers.running import tiers

pytestmark = pytest.mark.embedded
ORDER = {"type": "record", "name": "shop.Order", "fields": [{"name": "text", "type": "string"}]}


def confluent(number: int, text: str) -> bytes:
    """An order in Confluent's wire format."""
    out = BytesIO()
    schemaless_writer(out, parse_schema(ORDER), {"text": text})
    return b"\0" + struct.pack(">I", number) + out.getvalue()


def test_tiers_that_register_at_once_start_and_an_event_waits_while_the_registry_loads(
    kafka_home: Path, tmp_path: Path
) -> None:
    with (
        SchemaRegistryServer() as registry,
        tiers(kafka_home, tmp_path, ESCALON_SCHEMA_REGISTRY=registry.url) as running,
    ):
        registry.conflicts = 4
        running.start("listen", "work", "settle")
        running.wait_ready("listen", "work", "settle")
        assert registry.conflicts == 0
        number = registry.register("orders-value", json.dumps(ORDER))
        registry.loading = 3
        producer = Producer(running.kafka.confluent())
        for event_id in ("one", "two"):
            headers = [("escalon-event-id", event_id.encode())]
            producer.produce("events", confluent(number, f"When do you open, {event_id}?"), headers=headers)
        assert producer.flush(30) == 0
        outcomes = running.outcomes({"one", "two"})
        assert {one.state for found in outcomes.values() for one in found} == {"answered"}
        assert registry.loading == 0
        assert running.dead_letters() == []
