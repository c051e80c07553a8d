"""A schema registry over HTTP."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_writer

from streams.adapters import schemas
from streams.adapters.codec import CONFLUENT, Codec
from streams.adapters.events import EventReader, Received
from streams.adapters.registry import RegistryConfig, SchemaRegistry
from streams.core.errors import ConfigError, ServiceError, UnreadableError
from streams.core.messages import RawEvent
from tests.fakes.schema_registry import SchemaRegistryServer

AT = datetime(2026, 11, 1, tzinfo=UTC)
ORDER = {
    "type": "record",
    "name": "shop.Order",
    "fields": [{"name": "text", "type": "string"}, {"name": "n", "type": "int"}],
}


@pytest.fixture
def server() -> Iterator[SchemaRegistryServer]:
    with SchemaRegistryServer() as running:
        yield running


def test_a_message_goes_through_the_registry_to_a_reader_that_has_never_seen_its_schema(
    server: SchemaRegistryServer,
) -> None:
    server.register("something-else", json.dumps(ORDER))
    data = Codec(SchemaRegistry(server.url)).encode(RawEvent(text="x"))
    assert data[:5] == CONFLUENT + struct.pack(">I", 2)
    assert Codec(SchemaRegistry(server.url)).decode(RawEvent, data) == RawEvent(text="x")


def test_our_schemas_are_registered_under_their_names_as_anybody_can_parse_them(server: SchemaRegistryServer) -> None:
    registry = SchemaRegistry(server.url)
    for schema in schemas.current().values():
        number = registry.id_of(schema)
        assert server.subjects[f"escalon.{schema.name}"] == [number]
        text = server.schemas[number]["schema"]
        assert "__" not in text
        assert schemas.crc64(parse_schema(json.loads(text))) == schema.fingerprint


def test_each_schema_is_asked_for_once(server: SchemaRegistryServer) -> None:
    codec = Codec(SchemaRegistry(server.url))
    for _ in range(3):
        codec.decode(RawEvent, codec.encode(RawEvent(text="x")))
    assert len(server.requests) <= 2


def test_an_event_in_the_users_own_schema_is_read(server: SchemaRegistryServer) -> None:
    number = server.register("orders-value", json.dumps(ORDER))
    out = BytesIO()
    schemaless_writer(out, parse_schema(ORDER), {"text": "hi", "n": 7})
    reader = EventReader(Codec(SchemaRegistry(server.url)), "cluster", "live", 10_000)
    event = reader(Received("events", 0, 1, None, CONFLUENT + struct.pack(">I", number) + out.getvalue(), AT))
    assert (event.text, event.data) == ("hi", '{"n": 7}')


def test_an_id_the_registry_does_not_know_is_the_producers_to_register(server: SchemaRegistryServer) -> None:
    with pytest.raises(UnreadableError) as caught:
        SchemaRegistry(server.url).schema_of(99)
    assert caught.value.reason == "unknown_schema"


@pytest.mark.parametrize(
    ("schema", "kind", "reason"),
    [
        ('syntax = "proto3";', "PROTOBUF", "not_avro"),
        ('{"type": "record", "name": "a.B", "fields": [{"name": "c", "type": "a.Elsewhere"}]}', "AVRO", "bad_schema"),
        ("no JSON", "AVRO", "bad_schema"),
    ],
)
def test_a_schema_that_cannot_be_used_makes_the_event_unreadable(
    server: SchemaRegistryServer, schema: str, kind: str, reason: str
) -> None:
    number = server.register("orders-value", schema, kind)
    with pytest.raises(UnreadableError) as caught:
        SchemaRegistry(server.url).schema_of(number)
    assert caught.value.reason == reason


def test_a_registry_that_refuses_is_told(server: SchemaRegistryServer) -> None:
    registry = SchemaRegistry(server.url)
    server.status = 422
    schema: Any = schemas.current()[RawEvent]
    with pytest.raises(ServiceError, match="RawEvent could not be registered"):
        registry.id_of(schema)
    with pytest.raises(ServiceError, match="did not answer"):
        registry.schema_of(1)


def test_a_registry_that_is_away_is_told_and_no_fault_of_the_producers() -> None:
    with SchemaRegistryServer() as server:
        registry = SchemaRegistry(server.url)
    with pytest.raises(ServiceError, match="cannot be reached"):
        registry.schema_of(1)


def test_a_login_is_sent_and_a_wrong_one_is_told_without_repeating_it() -> None:
    schema = next(iter(schemas.current().values()))
    with SchemaRegistryServer() as server:
        server.login = "me:right-word"
        right = RegistryConfig(url=server.url, username="me", password="right-word")
        assert SchemaRegistry(right).id_of(schema) == 1
        wrong = SchemaRegistry(RegistryConfig(url=server.url, username="me", password="wrong-word"))
        with pytest.raises(ServiceError, match="ESCALON_SCHEMA_REGISTRY_PASSWORD") as caught:
            wrong.id_of(schema)
    assert "[login]" in str(caught.value), "the server repeats it"
    assert "wrong-word" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_half_a_login_is_refused() -> None:
    with pytest.raises(ConfigError, match="ESCALON_SCHEMA_REGISTRY_PASSWORD"):
        RegistryConfig(url="http://host", username="me")
