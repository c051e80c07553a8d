"""Calls inserted undecoded become the same rows as decoded ones, and invalid ones are not forwarded."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO
from typing import Any

import pytest
from fastavro import parse_schema, reader, schemaless_writer
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.adapters import schemas
from streams.adapters.clickhouse import ClickHouseConfig, insert, row_of
from streams.adapters.codec import Codec
from streams.adapters.registered_formats import Avro
from streams.adapters.schema_ids import CONFLUENT, SchemaId
from streams.core.fingerprint import call_id
from streams.core.messages import Call, Origin, Score
from streams.sink.avro_forwarding import AvroRowLayout
from tests.harness.arbitrary_messages import any_message

CODEC = Codec()
FORM = AvroRowLayout(Call, CODEC)
AT = datetime(2026, 11, 1, 9, 30, 0, 123_456, UTC)


@pytest.fixture(scope="module")
def client(config: ClickHouseConfig) -> Iterator[Any]:
    client = config.connect()
    yield client
    client.close()


def call(number: int = 0, **more: Any) -> Call:
    """A call with every optional field given."""
    origin = Origin(
        event_id=f"e{number}", run="live", event_time=AT, trace_id="t", topic="events", partition=3, offset=2**40,
        data_subject="d",
    )  # fmt: skip
    usual: dict[str, Any] = {
        "call_id": call_id("live", f"e{number}", "worker", "h", 1),
        "tier": "worker",
        "handler": "h",
        "handler_version": "v",
        "pipeline": "p",
        "operation": "chat",
        "provider": "x",
        "request_model": "m",
        "prompt": "Größe 🙂 \x00",
        "response": "",
        "input_tokens": 2**32 - 1,
        "cost_usd": Decimal("0.000000000001"),
        "saved_usd": Decimal("-123456789.5"),
        "started_at": AT,
        "duration_seconds": 0.1,
        "status": "answered",
        "sources": (Score(label="a", probability=0.25), Score(label="b", probability=1.0)),
        "decision": "accepted",
        "attempt": 2**16 - 1,
        "explored": True,
        "cache_hit": True,
    }
    return Call(origin=origin, **usual | more)


def forwarded(messages: list[bytes]) -> bytes:
    bodies = [FORM.body(message) for message in messages]
    assert None not in bodies
    return FORM.container(body for body in bodies if body is not None)


def held(client: Any) -> list[Any]:
    """All rows of calls, to be compared."""
    found: list[Any] = client.query("SELECT * FROM calls_rows ORDER BY event_id, call_id").result_rows
    client.command("TRUNCATE TABLE calls_rows")
    return found


def both_ways(client: Any, calls: list[Call]) -> tuple[list[Any], list[Any]]:
    """The rows that calls become decoded, and undecoded."""
    insert(client, "calls_rows", [row_of(one) for one in calls])
    decoded = held(client)
    client.raw_insert("calls_rows", FORM.columns, forwarded([CODEC.encode(one) for one in calls]), fmt="Avro")
    return decoded, held(client)


def in_columns(one: Call, number: int) -> Call:
    """The same call with numbers that its columns hold, and an id of its own."""
    partition = one.origin.partition % 2**31
    origin = dataclasses.replace(one.origin, event_id=str(number), event_time=AT, partition=partition)
    tokens = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
    counts = {name: None if (value := getattr(one, name)) is None else value % 2**32 for name in tokens}
    paid = {name: None if (usd := getattr(one, name)) is None else usd % 10**9 for name in ("cost_usd", "saved_usd")}
    by_label = {score.label: score for score in one.sources}
    numbers: dict[str, Any] = {"attempt": one.attempt % 2**16, "sample": one.sample % 2**16, **counts, **paid}
    own = call_id("live", str(number), "worker", "h", 1)
    return dataclasses.replace(one, origin=origin, call_id=own, sources=tuple(by_label.values()), **numbers)


@pytest.mark.embedded
def test_a_call_with_everything_in_it_is_the_same_row_both_ways(client: Any) -> None:
    bare = call(1, cost_usd=None, saved_usd=None, sources=(), response=None, input_tokens=None, duration_seconds=None)
    decoded, undecoded = both_ways(client, [call(), bare, call(2, cost_usd=Decimal("99999999999"))])
    assert len(decoded) == 3
    assert undecoded == decoded


@pytest.mark.embedded
def test_a_batch_of_any_number_of_months_is_stored_both_ways(client: Any) -> None:
    times = [datetime(2015 + number // 12, 1 + number % 12, 1, tzinfo=UTC) for number in range(130)]
    spread = [
        dataclasses.replace(one, origin=dataclasses.replace(one.origin, event_time=at))
        for one, at in ((call(number), at) for number, at in enumerate(times))
    ]
    decoded, undecoded = both_ways(client, spread)
    assert (len(decoded), len(undecoded)) == (130, 130)


@pytest.mark.embedded
@settings(max_examples=25, deadline=None)
@given(st.lists(any_message(Call), min_size=1, max_size=5))
def test_every_forwarded_call_is_the_same_row_both_ways(client: Any, calls: list[Call]) -> None:
    sound = [in_columns(one, number) for number, one in enumerate(calls)]
    decoded, undecoded = both_ways(client, sound)
    assert len(decoded) == len(calls)
    assert undecoded == decoded


def test_the_container_is_one_that_any_avro_reader_reads() -> None:
    rows: list[Any] = list(reader(BytesIO(forwarded([CODEC.encode(call(n)) for n in range(3)]))))
    assert [row["event_id"] for row in rows] == ["e0", "e1", "e2"]
    assert rows[0]["sources"] == {"a": 0.25, "b": 1.0}
    assert (rows[0]["source_offset"], rows[0]["cost_usd"]) == (2**40, Decimal("0.000000000001"))


@pytest.mark.parametrize(
    "more",
    [
        {"attempt": 2**16},
        {"sample": -1},
        {"input_tokens": 2**32},
        {"call_id": "short"},
        {"call_id": "ü" * 16},
        {"cost_usd": Decimal(10**12 - 1)},
        {"sources": (Score(label="a", probability=0.1), Score(label="a", probability=0.2))},
    ],
    ids=str,
)
def test_what_its_column_would_cut_short_is_not_forwarded(more: dict[str, Any]) -> None:
    assert FORM.body(CODEC.encode(call())) is not None
    assert FORM.body(CODEC.encode(call(**more))) is None


@given(st.data())
def test_broken_bytes_are_not_forwarded(data: st.DataObject) -> None:
    whole = CODEC.encode(call())
    cut = data.draw(st.integers(0, len(whole) - 1))
    assert FORM.body(whole[:cut]) is None
    assert FORM.body(whole + data.draw(st.binary(min_size=1, max_size=3))) is None


def test_text_that_is_not_utf_8_is_not_forwarded() -> None:
    whole = CODEC.encode(call(prompt="plain prompt"))
    assert FORM.body(whole.replace(b"plain prompt", b"plain pro\xfft")) is None


def test_calls_of_an_older_schema_are_not_forwarded() -> None:
    older = [one for one in schemas.released().values() if one.name == "Call" and one != schemas.current()[Call]]
    assert older
    for schema in older:
        out = BytesIO()
        out.write(b"\xc3\x01" + schema.fingerprint)
        schemaless_writer(out, schema.parsed, dataclasses.asdict(call()))
        assert FORM.body(out.getvalue()) is None
        assert CODEC.decode(Call, out.getvalue()).origin.event_id == "e0"


class OneSchema:
    """A registry with a single schema."""

    def __init__(self, schema: Any) -> None:
        self.schema = schema

    def id_of(self, _: schemas.Schema) -> int:
        """Its id."""
        return 7

    def schema_of(self, _: SchemaId) -> Any:
        """The schema."""
        return self.schema

    def format_of(self, _: SchemaId) -> Avro:
        """Its decoder."""
        return Avro(self.schema)


def plain(schema: Any) -> Any:
    """A schema as a registry gives it back."""
    if isinstance(schema, dict):
        return {key: plain(value) for key, value in schema.items() if not key.startswith("__")}
    return [plain(item) for item in schema] if isinstance(schema, list) else schema


def test_confluents_wire_format_is_forwarded_when_the_registry_has_our_schema() -> None:
    text = plain(schemas.current()[Call].parsed)
    codec = Codec(OneSchema(parse_schema(text)))
    value = codec.encode(call())
    assert value[:1] == CONFLUENT
    assert bytes(AvroRowLayout(Call, codec).body(value) or b"") == value[5:]


def test_a_registered_schema_that_only_looks_like_ours_is_not_forwarded() -> None:
    text = plain(schemas.current()[Call].parsed)
    (time,) = [field for field in text["fields"] if field["name"] == "started_at"]
    time["type"] = {"type": "long", "logicalType": "timestamp-millis"}
    codec = Codec(OneSchema(parse_schema(text)))
    assert AvroRowLayout(Call, codec).body(codec.encode(call())) is None


def test_the_columns_are_those_of_a_decoded_row() -> None:
    assert set(FORM.columns) == set(row_of(call()))
