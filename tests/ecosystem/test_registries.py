"""A real schema registry: empty while all tiers start at once, and away while events come that need it."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from confluent_kafka import Producer
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from streams.adapters.schemas import current
from streams.embedded.supervisor import Supervisor
from tests.harness.apicurio import Apicurio, NoRegistryError, installed
from tests.harness.journey import PIPELINE, Journey, running_journey
from tests.harness.protobuf_order import order

pytestmark = [pytest.mark.ecosystem, pytest.mark.embedded]
EACH: Final = 100
"""Events of each format, before the registry is stopped and while it is."""
AWAY_SECONDS: Final = 15.0
"""Longer than the client's own retries, and than the pause after which the registry is asked again."""
TEXT: Final = "When are you open?"
PLACE: Final = {"type": "record", "name": "shop.Place", "fields": [{"name": "city", "type": "string"}]}
SHOP: Final = {
    "type": "record",
    "name": "shop.Shop",
    "fields": [{"name": "name", "type": "string"}, {"name": "at", "type": "shop.Place"}],
}
KINDS: Final = ("avro", "json", "protobuf")


@dataclass
class Shop:
    """A producer with Confluent's own serializers, each of a schema that refers to others."""

    registry: Apicurio
    journey: Journey
    made: dict[tuple[str, int], Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.client = SchemaRegistryClient({"url": self.registry.url})
        self.producer = Producer(self.journey.running.kafka.confluent())

    def publish(self, kind: str, again: int, count: int) -> set[str]:
        """Publish events of a format, of its `again`-th schema; return their ids."""
        ids = {f"{kind}-{again}-{number}" for number in range(count)}
        serialize = self._serializer(kind, again)
        for one in sorted(ids):
            value = serialize(self._value(kind, one), SerializationContext("events", MessageField.VALUE))
            self.producer.produce("events", value, headers=[("escalon-event-id", one.encode())])
        assert self.producer.flush(60) == 0
        return ids

    def register(self, kind: str, again: int) -> None:
        """Make a serializer register its schema."""
        serialize = self._serializer(kind, again)
        serialize(self._value(kind, ""), SerializationContext("events", MessageField.VALUE))

    def _value(self, kind: str, one: str) -> Any:
        if kind == "protobuf":
            return order(text=f"{TEXT} {one}", cents=2**53 + 1, total=(19, 990_000_000))
        city = {"city": "Bonn"}
        return {"text": f"{TEXT} {one}", "to": city, "shop": {"name": "A", "at": city}}

    def _serializer(self, kind: str, again: int) -> Any:
        if (kind, again) not in self.made:
            self.made[kind, again] = {"avro": self._avro, "json": self._json, "protobuf": self._protobuf}[kind](again)
        return self.made[kind, again]

    def _subject(self, again: int) -> dict[str, Any]:
        return {"subject.name.strategy": lambda _, name, *__: f"events-{again}-{name}"}

    def _avro(self, again: int) -> AvroSerializer:
        place = self._reference("shop.Place", Schema(json.dumps(PLACE), "AVRO"))
        shop = self._reference("shop.Shop", Schema(json.dumps(SHOP), "AVRO", [place]))
        types = {"text": "string", "to": "shop.Place", "shop": "shop.Shop"}
        fields = [{"name": name, "type": kind} for name, kind in types.items()]
        text = json.dumps({"type": "record", "name": f"shop.Order{again}", "fields": fields})
        return AvroSerializer(self.client, Schema(text, "AVRO", [place, shop]), conf=self._subject(again))

    def _json(self, again: int) -> JSONSerializer:
        place = {"$id": "place.json", "type": "object", "properties": {"city": {"type": "string"}}}
        reference = self._reference("place.json", Schema(json.dumps(place), "JSON"))
        properties = {"text": {"type": "string"}, "to": {"$ref": "place.json"}}
        schema = {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "$id": f"order-{again}.json",
            "title": f"Order{again}",
            "type": "object",
            "properties": properties,
        }
        return JSONSerializer(Schema(json.dumps(schema), "JSON", [reference]), self.client, conf=self._subject(again))

    def _protobuf(self, again: int) -> ProtobufSerializer:
        return ProtobufSerializer(type(order(text="")), self.client, self._subject(again))

    def _reference(self, name: str, schema: Schema) -> SchemaReference:
        self.client.register_schema(name, schema)
        return SchemaReference(name, name, self.client.lookup_schema(name, schema).version)


@pytest.fixture(scope="module")
def shop(kafka_home: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Shop]:
    """All tiers on Apache Kafka, started at once on a registry that is empty."""
    cache, data = request.config.cache, tmp_path_factory.mktemp("registry")
    assert cache is not None
    with ExitStack() as opened:
        try:
            home = installed(cache.mkdir("apicurio"))
        except NoRegistryError as error:
            pytest.fail(f"NO REAL SCHEMA REGISTRY WAS TESTED: {error}")
        registry = Apicurio(home, data, opened.enter_context(Supervisor(data / "logs")))
        registry.start()
        registry.wait_ready()
        environment = {"ESCALON_SCHEMA_REGISTRY": registry.url}
        running = running_journey(PIPELINE / "pipeline.toml", data, kafka_home, environment=environment)
        journey = opened.enter_context(running)
        shop = Shop(registry, journey)
        opened.callback(shop.client.close)
        yield shop


def ended(shop: Shop, ids: set[str]) -> Mapping[str, int]:
    """Wait for the events to end; return how many ended in which state."""
    found = shop.journey.outcomes(ids)
    assert all(len(found[one]) == 1 for one in ids)
    return Counter(found[one][0].state for one in ids)


def test_all_tiers_start_at_once_on_an_empty_registry(shop: Shop) -> None:
    assert {f"escalon.{schema.name}" for schema in current().values()} <= set(shop.client.get_subjects())


@pytest.mark.parametrize("kind", KINDS)
def test_every_event_of_confluents_serializers_comes_out(shop: Shop, kind: str) -> None:
    ids = shop.publish(kind, 1, EACH)
    assert ended(shop, ids) == {"answered": EACH}


def test_while_the_registry_is_stopped_events_of_new_schemas_wait(shop: Shop) -> None:
    for kind in KINDS:
        shop.register(kind, 2)
    shop.registry.stop()
    ids = {one for kind in KINDS for one in shop.publish(kind, 2, EACH)}
    time.sleep(AWAY_SECONDS)
    assert shop.journey.dead_letters(set()) == {}
    shop.registry.start()
    shop.registry.wait_ready()
    assert ended(shop, ids) == {"answered": EACH * len(KINDS)}


def test_no_event_became_a_dead_letter_and_the_audit_has_each_once(shop: Shop) -> None:
    total = 2 * EACH * len(KINDS)
    found = shop.journey.query(
        "SELECT count() AS n, uniqExact(event_id) AS events FROM outcomes FINAL",
        lambda rows: rows[0]["events"] == total,
    )
    assert found == [{"n": total, "events": total}]
    assert shop.journey.query("SELECT count() AS n FROM dead_letters FINAL") == [{"n": 0}]
    data = shop.journey.query("SELECT any(data) AS data FROM verdicts WHERE event_id = 'protobuf-2-0'")
    assert json.loads(data[0]["data"])["cents"] == str(2**53 + 1)
