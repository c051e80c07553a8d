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
from streams.adapters.codec import Codec
from streams.adapters.codec_factory import patient_codec_for
from streams.adapters.event_reader import EventReader
from streams.adapters.kafka_record import KafkaRecord
from streams.adapters.not_found_grace import GRACE_SECONDS, LAG_SECONDS, STEADY_SECONDS, NotFoundGrace
from streams.adapters.registry_config import RegistryConfig
from streams.adapters.schema_ids import CONFLUENT
from streams.adapters.schema_registry import MAX_ID, REST_SECONDS, SchemaRegistry
from streams.core.errors import ConfigError, NotReadyError, ServiceError, UnreadableError
from streams.core.messages import RawEvent
from tests.harness.fakes.schema_registry import SchemaRegistryServer

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
    event = reader(KafkaRecord("events", 0, 1, None, CONFLUENT + struct.pack(">I", number) + out.getvalue(), AT))
    assert (event.text, event.data) == ("hi", '{"n": 7}')


def test_an_id_the_registry_does_not_know_is_the_producers_to_register(server: SchemaRegistryServer) -> None:
    with pytest.raises(UnreadableError) as caught:
        SchemaRegistry(server.url).schema_of(99)
    assert caught.value.reason == "unknown_schema"


@pytest.mark.parametrize(
    ("schema", "kind", "reason"),
    [
        ('syntax = "proto3";', "PROTOBUF", "bad_schema"),
        ('{"type": "object"}', "JSON", "not_avro"),
        ("<schema/>", "XML", "unknown_format"),
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


def test_the_refusal_of_a_registry_is_reported(server: SchemaRegistryServer) -> None:
    registry = SchemaRegistry(server.url)
    server.status = 422
    schema: Any = schemas.current()[RawEvent]
    with pytest.raises(ServiceError, match="RawEvent could not be registered"):
        registry.id_of(schema)
    with pytest.raises(ServiceError, match="did not answer"):
        registry.schema_of(1)


def test_an_unreachable_registry_is_reported_and_not_blamed_on_the_producer() -> None:
    with SchemaRegistryServer() as server:
        registry = SchemaRegistry(server.url)
    with pytest.raises(ServiceError, match="cannot be reached"):
        registry.schema_of(1)


def test_a_login_is_sent_and_a_wrong_one_is_reported_without_repeating_it() -> None:
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


# ---- Bad moments ----


class Clock:
    """Shows the time it is set to."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


def quick(server: SchemaRegistryServer, grace: NotFoundGrace | None = None) -> SchemaRegistry:
    """A registry's client that does not pause."""
    return SchemaRegistry(server.url, grace, pause=lambda _: None, clock=Clock())


def raw_event() -> schemas.Schema:
    return schemas.current()[RawEvent]


@pytest.mark.parametrize("conflicts", [1, 2, 5])
def test_a_schema_that_others_register_at_the_same_moment_has_their_id(
    server: SchemaRegistryServer, conflicts: int
) -> None:
    server.conflicts = conflicts
    assert quick(server).id_of(raw_event()) == 1
    assert server.subjects == {"escalon.RawEvent": [1]}


def test_a_schema_that_a_subject_cannot_take_is_refused_after_some_tries(server: SchemaRegistryServer) -> None:
    server.conflicts = 100
    with pytest.raises(ServiceError, match=r"could not be registered .*409.*compatibility") as caught:
        quick(server).id_of(raw_event())
    assert not isinstance(caught.value, NotReadyError)
    assert len(server.requests) < 20


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_tier_waits_at_its_start_for_a_registry_that_is_not_ready(server: SchemaRegistryServer, status: int) -> None:
    pauses = list[float]()

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        server.status = None

    server.status = status
    codec = patient_codec_for(server.url, pause)
    assert len(pauses) == 1
    assert codec.decode(RawEvent, codec.encode(RawEvent(text="x"))) == RawEvent(text="x")


def test_a_tier_does_not_wait_indefinitely_for_a_registry(server: SchemaRegistryServer) -> None:
    pauses, server.status = list[float](), 503
    with pytest.raises(ServiceError, match="could not be registered"):
        patient_codec_for(server.url, pauses.append)
    assert sum(pauses) == 60


def test_a_tier_does_not_wait_where_it_is_refused(server: SchemaRegistryServer) -> None:
    pauses, server.status = list[float](), 422
    with pytest.raises(ServiceError, match="could not be registered"):
        patient_codec_for(server.url, pauses.append)
    assert pauses == []


def test_our_own_schemas_are_read_without_asking(server: SchemaRegistryServer) -> None:
    codec = Codec(quick(server))
    data = codec.encode(RawEvent(text="x"))
    server.status = 500
    assert codec.decode(RawEvent, data) == RawEvent(text="x")


def test_an_id_that_a_loading_registry_does_not_know_yet_is_waited_for(server: SchemaRegistryServer) -> None:
    number = server.register("orders-value", json.dumps(ORDER))
    registry, server.loading = quick(server, NotFoundGrace(Clock())), 3
    for _ in range(3):
        with pytest.raises(NotReadyError, match=f"no schema {number}"):
            registry.schema_of(number)
    assert registry.schema_of(number)["name"] == "shop.Order"


def test_an_id_that_stays_unknown_is_the_producers_to_register(server: SchemaRegistryServer) -> None:
    clock = Clock()
    registry = quick(server, NotFoundGrace(clock))
    registry.id_of(raw_event())
    with pytest.raises(NotReadyError):
        registry.schema_of(99)
    clock.time += GRACE_SECONDS
    with pytest.raises(UnreadableError) as caught:
        registry.schema_of(99)
    assert caught.value.reason == "unknown_schema"


def test_a_registry_that_does_not_know_what_this_process_registered_is_not_believed(
    server: SchemaRegistryServer,
) -> None:
    clock = Clock()
    registry = quick(server, NotFoundGrace(clock))
    registry.id_of(raw_event())
    kept, server.subjects = server.subjects, {}
    for _ in range(3):
        with pytest.raises(NotReadyError):
            registry.schema_of(99)
        clock.time += GRACE_SECONDS
    server.subjects = kept
    with pytest.raises(UnreadableError):
        registry.schema_of(99)


@pytest.mark.parametrize("body", [b"<html>starting</html>", b"", b"[]", b"null", b'{"detail": "Not Found"}', b"{}"])
@pytest.mark.parametrize("status", [200, 404])
def test_the_page_of_a_gateway_is_not_an_answer_of_the_registry(
    server: SchemaRegistryServer, body: bytes, status: int
) -> None:
    registry = quick(server)
    server.body, server.status = body, status
    with pytest.raises(NotReadyError):
        registry.schema_of(1)
    with pytest.raises(NotReadyError):
        quick(server).id_of(raw_event())


def test_an_id_that_no_registry_can_have_is_not_asked_for(server: SchemaRegistryServer) -> None:
    with pytest.raises(UnreadableError, match=str(MAX_ID + 1)):
        quick(server, NotFoundGrace(Clock())).schema_of(MAX_ID + 1)
    assert server.requests == []


def test_a_registry_that_does_not_answer_is_left_alone_for_a_while() -> None:
    clock = Clock()
    with SchemaRegistryServer() as server:
        registry = SchemaRegistry(server.url, clock=clock)
        port = int(server.url.rpartition(":")[2])
    with pytest.raises(NotReadyError, match="cannot be reached"):
        registry.schema_of(1)
    with SchemaRegistryServer(port) as server:
        number = server.register("orders-value", json.dumps(ORDER))
        with pytest.raises(NotReadyError, match="cannot be reached"):
            registry.schema_of(number)
        assert server.requests == []
        clock.time += REST_SECONDS
        assert registry.schema_of(number)["name"] == "shop.Order"


def test_a_grace_ends_even_while_ids_are_made_up() -> None:
    clock = Clock()
    grace = NotFoundGrace(clock)
    for number in range(200):
        grace.applies(number)
        clock.time += 1
    grace.applies(1000)
    clock.time += LAG_SECONDS
    assert not grace.applies(1000)


def test_each_id_has_a_moment_of_grace_and_the_first_after_a_steady_time_for_long() -> None:
    clock = Clock()
    grace = NotFoundGrace(clock)
    assert grace.applies(1)
    clock.time += GRACE_SECONDS
    assert not grace.applies(1)
    assert grace.applies(2)
    clock.time += LAG_SECONDS
    assert not grace.applies(2)
    clock.time += STEADY_SECONDS + 1
    assert grace.applies(1)


def test_an_id_that_turns_up_late_shows_that_others_may_follow() -> None:
    clock = Clock()
    grace = NotFoundGrace(clock)
    assert grace.applies(1)
    clock.time += GRACE_SECONDS
    grace.found(1)
    clock.time += LAG_SECONDS
    assert grace.applies(2)
    clock.time += LAG_SECONDS
    assert grace.applies(2)
    grace.found(3)
    clock.time += GRACE_SECONDS
    assert not grace.applies(2)
