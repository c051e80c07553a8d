"""Events in the formats of a Confluent-compatible registry, written by Confluent's own serializers."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest
from confluent_kafka.schema_registry import (
    Schema,
    SchemaReference,
    SchemaRegistryClient,
    header_schema_id_serializer,
)
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given
from hypothesis import strategies as st

from streams.adapters.codec import Codec
from streams.adapters.event_reader import EventReader
from streams.adapters.kafka_record import KafkaRecord
from streams.adapters.not_found_grace import NotFoundGrace
from streams.adapters.registered_formats import EventFormat, format_of
from streams.adapters.schema_ids import SchemaId
from streams.adapters.schema_registry import SchemaRegistry
from streams.core.errors import NotReadyError, UnreadableError
from streams.core.messages import Event
from tests.harness.fakes.schema_ids import FakeRegistry
from tests.harness.fakes.schema_registry import SchemaRegistryServer
from tests.harness.protobuf_order import LINE, MONEY, ORDER, files, order

AT = datetime(2026, 11, 1, tzinfo=UTC)
ADDRESS = {"type": "record", "name": "shop.Address", "fields": [{"name": "city", "type": "string"}]}
CUSTOMER = {
    "type": "record",
    "name": "shop.Customer",
    "fields": [{"name": "name", "type": "string"}, {"name": "home", "type": "shop.Address"}],
}
AVRO = {
    "type": "record",
    "name": "shop.Order",
    "fields": [
        {"name": "text", "type": "string"},
        {"name": "to", "type": "shop.Address"},
        {"name": "customer", "type": "shop.Customer"},
    ],
}
JSON = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "$id": "order.json",
    "title": "Order",
    "type": "object",
    "properties": {"text": {"type": "string"}, "to": {"$ref": "address.json"}},
}
AVRO_VALUE = {"text": "Where is it?", "to": {"city": "Bonn"}, "customer": {"name": "Ada", "home": {"city": "Ulm"}}}
Headers = list[tuple[str, bytes]]


KINDS = ("AVRO", "JSON", "PROTOBUF")


def serialized(path: str) -> str:
    """A file of the pool, as serializers register it."""
    file = FileDescriptorProto()
    files().FindFileByName(path).CopyToProto(file)
    return b64encode(file.SerializeToString()).decode()


@cache
def ready(kind: str) -> EventFormat:
    """A schema of each format."""
    texts = {"AVRO": json.dumps(ADDRESS), "JSON": "{}", "PROTOBUF": serialized("shop/order.proto")}
    money = SchemaReference("shop/money.proto", "money", 1)
    references = [money] if kind == "PROTOBUF" else []
    fetch = lambda _: Schema(serialized("shop/money.proto"), "PROTOBUF")  # noqa: E731
    return format_of("1", Schema(texts[kind], kind, references), fetch)


class Ready(FakeRegistry):
    """A registry with a schema of each format."""

    def format_of(self, schema_id: SchemaId) -> Any:
        """The schema at an index of KINDS."""
        assert isinstance(schema_id, int)
        return ready(KINDS[schema_id])


@pytest.fixture
def server() -> Iterator[SchemaRegistryServer]:
    with SchemaRegistryServer() as running:
        yield running


@pytest.fixture
def client(server: SchemaRegistryServer) -> SchemaRegistryClient:
    return SchemaRegistryClient({"url": server.url})


def read(server: SchemaRegistryServer, value: bytes | None, headers: Headers | None = None) -> Event:
    """The event that a new process reads."""
    reader = EventReader(Codec(SchemaRegistry(server.url)), "cluster", "live", 900_000)
    return reader(KafkaRecord("events", 0, 0, None, value, AT, headers or []))


def context(headers: Headers | None = None) -> SerializationContext:
    return SerializationContext("events", MessageField.VALUE, headers)


def configured(headers: bool) -> dict[str, Any]:
    return {"schema.id.serializer": header_schema_id_serializer} if headers else {}


def avro(client: SchemaRegistryClient, headers: bool) -> AvroSerializer:
    """A serializer of a schema that refers to two others, one of which refers to the other."""
    client.register_schema("address", Schema(json.dumps(ADDRESS), "AVRO"))
    address = SchemaReference("shop.Address", "address", 1)
    client.register_schema("customer", Schema(json.dumps(CUSTOMER), "AVRO", [address]))
    references = [address, SchemaReference("shop.Customer", "customer", 1)]
    return AvroSerializer(client, Schema(json.dumps(AVRO), "AVRO", references), conf=configured(headers))


def json_schema(client: SchemaRegistryClient, headers: bool) -> JSONSerializer:
    """A serializer of a schema that refers to another."""
    address = {"$id": "address.json", "type": "object", "properties": {"city": {"type": "string"}}}
    client.register_schema("address.json", Schema(json.dumps(address), "JSON"))
    references = [SchemaReference("address.json", "address.json", 1)]
    return JSONSerializer(Schema(json.dumps(JSON), "JSON", references), client, conf=configured(headers))


@pytest.mark.parametrize("headers", [False, True], ids=["before the value", "in a header"])
@pytest.mark.parametrize("kind", ["avro", "json", "protobuf"])
def test_an_event_of_confluents_serializers_is_read_in_a_process_that_has_not_seen_its_schema(
    server: SchemaRegistryServer, client: SchemaRegistryClient, kind: str, headers: bool
) -> None:
    sent: Headers = []
    expected: Mapping[str, Any]
    if kind == "avro":
        value = avro(client, headers)(AVRO_VALUE, context(sent))
        expected = {"to": {"city": "Bonn"}, "customer": {"name": "Ada", "home": {"city": "Ulm"}}}
    elif kind == "json":
        value = json_schema(client, headers)({"text": "Where is it?", "to": {"city": "Bonn"}}, context(sent))
        expected = {"to": {"city": "Bonn"}}
    else:
        message = order(text="Where is it?", cents=2**53 + 1, total=(1, 500_000_000))
        value = ProtobufSerializer(type(message), client, configured(headers))(message, context(sent))
        expected = {
            "cents": str(2**53 + 1),
            "total": {"units": "1", "nanos": 500_000_000},
            "lines": [],
            "urgent": False,
        }
    assert [name for name, _ in sent] == (["__value_schema_id"] if headers else [])
    event = read(server, value, sent)
    assert event.text == "Where is it?"
    assert json.loads(event.data or "") == expected


def test_a_union_of_referenced_records_is_read_as_the_one_that_was_sent(
    server: SchemaRegistryServer, client: SchemaRegistryClient
) -> None:
    client.register_schema("address", Schema(json.dumps(ADDRESS), "AVRO"))
    references = [SchemaReference("shop.Address", "address", 1)]
    serializer = AvroSerializer(client, Schema('["null", "shop.Address"]', "AVRO", references))
    value = serializer({"city": "Bonn"}, context())
    assert read(server, value).data == '{"city": "Bonn"}'


def test_a_nested_protobuf_message_is_found_by_its_place(
    server: SchemaRegistryServer, client: SchemaRegistryClient
) -> None:
    line = GetMessageClass(files().FindMessageTypeByName(LINE))(sku="A-1", count=3)
    value = ProtobufSerializer(type(line), client)(line, context())
    assert value is not None
    assert value[5:8] == bytes([4, 2, 0])  # two levels: the second message, and the first in it
    assert read(server, value).data == '{"count": 3, "sku": "A-1"}'


def test_unset_fields_of_the_envelope_are_absent_and_a_number_is_a_time() -> None:
    with SchemaRegistryServer() as server:
        client = SchemaRegistryClient({"url": server.url})
        file = FileDescriptorProto(name="log.proto", package="log", syntax="proto3")
        entry = file.message_type.add(name="Entry")
        for number, (name, kind) in enumerate({"id": "INT64", "time": "INT64", "level": "INT32"}.items(), start=1):
            found = getattr(FieldDescriptorProto, f"TYPE_{kind}")
            entry.field.add(name=name, number=number, type=found, label=FieldDescriptorProto.LABEL_OPTIONAL)
        pool = DescriptorPool()
        pool.Add(file)
        made = GetMessageClass(pool.FindMessageTypeByName("log.Entry"))
        serialize = ProtobufSerializer(made, client)
        first = read(server, serialize(made(level=1), context()))
        assert (len(first.origin.event_id), first.origin.event_time) == (32, AT)
        second = read(server, serialize(made(id=7, time=1_780_000_000_000), context()))
        assert (second.origin.event_id, second.origin.event_time.year) == ("7", 2026)
        assert second.data == '{"level": 0}'


@pytest.mark.parametrize(
    ("place", "body", "said"),
    [
        (b"\0", b"\xf8\x07\x01", f"has fields that {MONEY} has not"),
        (b"\0", b"\x08", f"is not a {MONEY}"),
        (b"\x02\x08", b"", "no message at the place 4"),
        (b"\x04\x00", b"", "cut off"),
        (b"\x01", b"", "-1 levels"),
        (b"\xfe\xff\xff\xff\x0f", b"", "levels"),
        (b"\xff\xff\xff\xff\xff\x01", b"", "cut off"),
    ],
)
def test_what_does_not_belong_to_its_protobuf_schema_has_its_reason(
    server: SchemaRegistryServer, place: bytes, body: bytes, said: str
) -> None:
    number = server.register("money-value", serialized("shop/money.proto"), "PROTOBUF")
    with pytest.raises(UnreadableError, match=said) as caught:
        read(server, b"\0" + number.to_bytes(4, "big") + place + body)
    assert caught.value.reason == "bad_protobuf"


def test_the_entry_of_a_map_cannot_be_an_event(server: SchemaRegistryServer) -> None:
    file = FileDescriptorProto(name="tags.proto", syntax="proto3")
    tags = file.message_type.add(name="Tags")
    tags.nested_type.add(name="OfEntry").options.map_entry = True
    for number, name in enumerate(("key", "value"), start=1):
        tags.nested_type[0].field.add(name=name, number=number, type=9, label=1)
    tags.field.add(name="of", number=1, type=11, type_name=".Tags.OfEntry", label=3)
    number = server.register("tags-value", b64encode(file.SerializeToString()).decode(), "PROTOBUF")
    head = b"\0" + number.to_bytes(4, "big")
    assert read(server, head + b"\0" + b"\x0a\x06\x0a\x01a\x12\x01b").data == '{"of": {"a": "b"}}'
    with pytest.raises(UnreadableError, match=r"no message at the place 0\.0"):
        read(server, head + b"\x04\0\0")


@pytest.mark.parametrize(
    ("value", "reason"),
    [(b"{", "invalid_json"), (b"\xff", "invalid_json"), (b"[1]", "bad_event"), (b"", "invalid_json")],
)
def test_the_value_of_a_json_schema_is_an_object(server: SchemaRegistryServer, value: bytes, reason: str) -> None:
    number = server.register("order-value", "{}", "JSON")
    with pytest.raises(UnreadableError) as caught:
        read(server, b"\0" + number.to_bytes(4, "big") + value)
    assert caught.value.reason == reason


@pytest.mark.parametrize("header", [b"", b"\0\0\0", b"\1abc", b"\2" + bytes(16)])
def test_a_header_without_an_id_has_its_reason(server: SchemaRegistryServer, header: bytes) -> None:
    with pytest.raises(UnreadableError) as caught:
        read(server, b"{}", [("__value_schema_id", header)])
    assert caught.value.reason == "bad_schema_id"


def test_a_guid_that_the_registry_does_not_know_is_the_producers_to_register(server: SchemaRegistryServer) -> None:
    with pytest.raises(UnreadableError, match="00000000-0000-0000-0000-000000000063") as caught:
        read(server, b"{}", [("__value_schema_id", b"\1" + (99).to_bytes(16, "big"))])
    assert caught.value.reason == "unknown_schema"


def test_a_reference_that_the_registry_does_not_find_is_waited_for_and_then_refused(
    server: SchemaRegistryServer,
) -> None:
    reference = {"name": "shop.Address", "subject": "address", "version": 1}
    number = server.register("customer", json.dumps(CUSTOMER), references=[reference])
    registry = SchemaRegistry(server.url, NotFoundGrace(lambda: 0.0))
    with pytest.raises(NotReadyError, match="no version 1 of address"):
        registry.format_of(number)
    with pytest.raises(UnreadableError, match="no version 1 of address"):
        SchemaRegistry(server.url).format_of(number)
    server.register("address", json.dumps(ADDRESS))
    assert registry.format_of(number).record(memoryview(b"\x06Ada\x08Bonn")) == {
        "name": "Ada",
        "home": {"city": "Bonn"},
    }


def test_references_cannot_expand_a_small_message(server: SchemaRegistryServer) -> None:
    empty = {"type": "record", "name": "a.Empty", "fields": []}
    server.register("empty", json.dumps(empty))
    many = {
        "type": "record",
        "name": "a.Many",
        "fields": [{"name": "x", "type": {"type": "array", "items": "a.Empty"}}],
    }
    reference = {"name": "a.Empty", "subject": "empty", "version": 1}
    number = server.register("many", json.dumps(many), references=[reference])
    with pytest.raises(UnreadableError, match="expand without limit"):
        SchemaRegistry(server.url).format_of(number)


def test_references_in_a_circle_end(server: SchemaRegistryServer) -> None:
    to = {"name": "a.B", "subject": "b", "version": 1}
    number = server.register("b", '{"type": "record", "name": "a.B", "fields": []}', references=[to])
    assert SchemaRegistry(server.url).format_of(number).record(memoryview(b"")) == {}


def test_without_protobuf_the_reason_names_the_extra(
    server: SchemaRegistryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "streams.adapters.protobuf_format", None)
    number = server.register("order-value", "", "PROTOBUF")
    with pytest.raises(UnreadableError, match=r"escalon\[protobuf\]") as caught:
        SchemaRegistry(server.url).format_of(number)
    assert caught.value.reason == "no_protobuf"


@given(place=st.binary(max_size=8), body=st.binary(max_size=64), kind=st.sampled_from(KINDS))
def test_any_bytes_give_an_event_or_a_reason_and_nothing_else(place: bytes, body: bytes, kind: str) -> None:
    reader = EventReader(Codec(Ready()), "cluster", "live", 900_000)
    value = b"\0" + KINDS.index(kind).to_bytes(4, "big") + place + body
    with suppress(UnreadableError):
        assert reader(KafkaRecord("events", 0, 0, None, value, AT)).origin.event_id


def test_a_nested_message_is_named_after_its_file() -> None:
    assert files().FindMessageTypeByName(ORDER).file.name == "shop/order.proto"
