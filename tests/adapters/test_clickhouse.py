"""The rows our messages become, and the tables they go to."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.adapters.clickhouse import TABLES, ClickHouseConfig, insert, row_of
from streams.adapters.clickhouse_migrations import script, statements
from streams.core.errors import ConfigError, ServiceError
from streams.core.messages import Call, DeadLetter, Finding, Header, Origin, Score, Verdict
from streams.packaged_files import resource
from tests.harness.arbitrary_messages import any_message

DDL = script("escalon")
AT = datetime(2026, 11, 1, tzinfo=UTC)


def tables(sql: str) -> dict[str, dict[str, str]]:
    """The columns of every table, with their definitions; aliases are computed and so are left out."""
    found = {}
    for statement in statements(sql):
        if match := re.match(r"CREATE TABLE IF NOT EXISTS (\w+)\s*\n\((.*)\n\)", statement, re.S):
            lines = [line.strip().rstrip(",") for line in match[2].strip().splitlines()]
            columns = [line.partition(" ") for line in lines if not line.startswith("INDEX")]
            found[match[1]] = {name.strip("`"): rest for name, _, rest in columns if " ALIAS " not in rest}
        elif match := re.match(r"ALTER TABLE (\w+)\s+ADD COLUMN IF NOT EXISTS (\w+) (.*) AFTER", statement):
            found[match[1]][match[2]] = match[3]
    return found


COLUMNS = tables(DDL)
# Columns that the sink fills, since it redacts these rows itself; a call is redacted before it is a message.
# Written by the command that makes them, and no message.
WITHOUT_MESSAGE = ("erased_events_rows", "erasures_rows", "dead_letter_actions_rows")
OF_THE_SINK = {table: {"redaction"} for table in ("outcomes_rows", "verdicts_rows", "dead_letters_rows")}


@pytest.mark.parametrize("kind", TABLES, ids=lambda kind: kind.__name__)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_a_row_has_exactly_the_columns_of_its_table(kind: type, data: st.DataObject) -> None:
    row = row_of(data.draw(any_message(kind)))
    assert set(row) | OF_THE_SINK.get(TABLES[kind], set()) == set(COLUMNS[TABLES[kind]])
    assert not set(row) & OF_THE_SINK.get(TABLES[kind], set())


@pytest.mark.parametrize("kind", TABLES, ids=lambda kind: kind.__name__)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_only_a_nullable_column_is_given_nothing_and_only_an_array_a_list(kind: type, data: st.DataObject) -> None:
    for name, value in row_of(data.draw(any_message(kind))).items():
        definition = COLUMNS[TABLES[kind]][name]
        assert value is not None or "Nullable" in definition, name
        assert isinstance(value, list) == definition.startswith("Array"), name
        assert not dataclasses.is_dataclass(value), name


def test_every_table_has_its_message_and_its_view() -> None:
    assert set(COLUMNS) == {*TABLES.values(), *WITHOUT_MESSAGE}
    views = re.findall(r"CREATE OR REPLACE VIEW (\w+) AS SELECT .* FROM (\w+) FINAL", DDL)
    assert {(f"{view}_rows", table) for view, table in views} == {(table, table) for table in COLUMNS}


def test_a_sorting_key_holds_nothing_that_differs_between_two_deliveries() -> None:
    ours = {"started_at", "decided_at", "settled_at", "queue_seconds", "duration_seconds"}
    keys = [
        key
        for text in statements(DDL)
        if "ReplacingMergeTree" in text
        for key in re.findall(r"ORDER BY \((.*)\)", text)
    ]
    assert len(keys) == len(COLUMNS)
    assert not any(ours & set(key.split(", ")) for key in keys)


def test_money_is_an_exact_decimal_as_in_the_schema() -> None:
    assert "Decimal(24, 12)" in COLUMNS["calls_rows"]["cost_usd"]


def test_the_position_of_an_event_is_called_its_source() -> None:
    origin = Origin(event_id="e", run="live", event_time=AT, trace_id="t", topic="events", partition=3, offset=7)
    call = Call(
        origin=origin, call_id="c", tier="worker", handler="h", handler_version="v", pipeline="p", operation="chat",
        provider="x", request_model="m", started_at=AT, status="answered", decision="accepted", cost_usd=Decimal("0.1"),
    )  # fmt: skip
    row = row_of(call)
    assert (row["source_topic"], row["source_partition"], row["source_offset"]) == ("events", 3, 7)
    assert (row["event_id"], row["run"], row["event_time"], row["cost_usd"]) == ("e", "live", AT, Decimal("0.1"))


@given(any_message(Verdict))
def test_findings_are_json_an_analyst_can_take_apart(verdict: Verdict) -> None:
    finding = Finding(listener="intent", label="Größe", scores=(Score(label="a", probability=0.5),), call_id="c")
    (cell,) = row_of(dataclasses.replace(verdict, findings=(finding,)))["findings"]
    assert json.loads(cell) == {
        "listener": "intent", "label": "Größe", "confidence": None, "duplicate_of": None, "call_id": "c",
        "scores": {"a": 0.5},
    }  # fmt: skip
    assert "Größe" in cell


@given(any_message(DeadLetter))
def test_headers_of_a_dead_letter_are_readable_with_any_bytes(letter: DeadLetter) -> None:
    row = row_of(dataclasses.replace(letter, headers=(Header(key="a", value=b"caf\xe9"),)))
    assert row["headers"] == ["a: caf\\xe9"]
    assert row["payload"] == letter.payload


# ---- Statements ----


@pytest.mark.parametrize(
    ("sql", "split"),
    [
        ("", []),
        ("-- a comment\n", []),
        ("SELECT 1;", ["SELECT 1"]),
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT 1;\n\n-- next;\nSELECT 2;  \n", ["SELECT 1", "SELECT 2"]),
        ("SELECT ';' AS a,\n  2;\nSELECT 3;", ["SELECT ';' AS a,\n  2", "SELECT 3"]),
        ("SELECT\n  -- inside\n  1;\n", ["SELECT\n  1"]),
    ],
)
def test_a_ddl_file_is_split_where_a_line_ends_with_a_semicolon(sql: str, split: list[str]) -> None:
    assert statements(sql) == split


def test_every_statement_can_be_repeated() -> None:
    for path in resource("clickhouse").glob("*.sql"):
        assert all(
            re.search("IF NOT EXISTS|OR REPLACE|MODIFY COLUMN", statement)
            for statement in statements(path.read_text("utf-8"))
        )


def test_a_row_lies_in_the_partition_that_its_sorting_key_says() -> None:
    """Else FINAL would have to look for its repetitions in other partitions, and would be much slower."""
    for statement in statements(DDL):
        if found := re.search(r"PARTITION BY toYYYYMM\((\w+)\)\n(?:PRIMARY KEY .*\n)?ORDER BY \((.*)\)", statement):
            assert found[1] in found[2].split(", ")


# ---- Inserting ----


class FakeClient:
    """Remembers what it is given."""

    def __init__(self) -> None:
        self.inserts: list[tuple[str, Any, Any]] = []

    def insert(self, table: str, rows: Any, column_names: Any) -> None:
        """Remember."""
        self.inserts.append((table, rows, column_names))


def test_rows_are_inserted_by_the_names_of_their_columns() -> None:
    client: Any = FakeClient()
    insert(client, "labels_rows", [{"a": 1, "b": 2}, {"b": 4, "a": 3}])
    insert(client, "labels_rows", [])
    assert client.inserts == [("labels_rows", [[1, 2], [3, 4]], ["a", "b"])]


# ---- The address ----


INSERT = """
import sys
from streams.adapters.clickhouse import ClickHouseConfig, insert
client = ClickHouseConfig(url=sys.argv[1]).connect(database="default")
client.command("CREATE TABLE numbers_of_a_test (number UInt8) ENGINE = Memory")
insert(client, "numbers_of_a_test", [{"number": 7}])
assert client.command("SELECT number FROM numbers_of_a_test") == 7
client.command("DROP TABLE numbers_of_a_test")
assert "pandas" not in sys.modules
"""


@pytest.mark.embedded
def test_an_insert_does_not_load_pandas(clickhouse_server: str) -> None:
    subprocess.run([sys.executable, "-c", INSERT, clickhouse_server], check=True)


@pytest.mark.parametrize(
    ("settings_", "key"),
    [
        ({"url": "127.0.0.1:8123"}, "ESCALON_CLICKHOUSE"),
        ({"url": "ftp://host"}, "ESCALON_CLICKHOUSE"),
        ({"url": "http://me:secret@host:8123"}, "ESCALON_CLICKHOUSE"),
        ({"url": "http://host", "database": "a; DROP"}, "ESCALON_CLICKHOUSE_DATABASE"),
    ],
)
def test_an_address_that_is_wrong_or_has_a_secret_is_refused(settings_: dict[str, str], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ClickHouseConfig(**settings_)
    assert caught.value.key == key
    assert "secret" not in str(caught.value)


def test_the_password_is_not_shown() -> None:
    assert "s3cret" not in repr(ClickHouseConfig(url="http://host", password="s3cret"))


def test_without_an_answer_the_error_says_what_to_check() -> None:
    with pytest.raises(ServiceError, match="ESCALON_CLICKHOUSE") as caught:
        ClickHouseConfig(url="http://127.0.0.1:1", password="s3cret").connect()
    assert "s3cret" not in str(caught.value)
