"""Queries of users: their limits, and the errors that they get."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.adapters.clickhouse import ClickHouseConfig
from streams.audit.query import Audit
from streams.core.errors import ConfigError
from tests.builders import call, event, sources
from tests.harness.audit import write


@pytest.fixture(scope="module")
def config(config: ClickHouseConfig) -> ClickHouseConfig:
    write(config, *(call(event(f"e{n}"), sources=sources(verbalized=0.5)) for n in range(10)))
    return config


@pytest.fixture
def audit(config: ClickHouseConfig) -> Iterator[Audit]:
    opened = Audit(config, max_seconds=1, max_rows=100)
    yield opened
    opened.close()


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO calls_rows (run) VALUES ('x')",
        "DROP TABLE calls_rows",
        "ALTER TABLE calls_rows DELETE WHERE 1",
        "TRUNCATE TABLE calls_rows",
        "CREATE TEMPORARY TABLE x (a Int8)",
        "SYSTEM STOP MERGES",
        "KILL QUERY WHERE 1",
        "SET readonly = 0",
        "SELECT 1; DROP TABLE calls_rows",
        "SELECT 1 /* */ ; TRUNCATE TABLE calls_rows",
        "SELECT 1 SETTINGS readonly = 0",
        "SELECT 1 INTO OUTFILE 'x'",
        "SELECT * FROM url('http://127.0.0.1:1/', 'CSV')",
        "SELECT * FROM file('/etc/passwd', 'LineAsString')",
        "INSERT INTO FUNCTION file('x.csv') SELECT 1",
    ],
)
def test_nothing_can_be_changed_and_no_file_reached(audit: Audit, sql: str) -> None:
    with pytest.raises(ConfigError):
        audit.ask(sql)
    assert audit.ask("SELECT count() FROM calls").rows == [(10,)]


@pytest.mark.parametrize(
    "settings",
    [
        "max_result_rows = 0",
        "MAX_RESULT_ROWS = 0, max_result_rows = 0",
        "`max\\x5fresult\\x5frows` = 0",
        "/* x */ max_result_rows /* y */ = 0",
        "join_use_nulls = 1, max_execution_time = 0",
        "max_memory_usage = DEFAULT",
        "timeout_overflow_mode = 'break'",
        "result_overflow_mode = 'throw'",
    ],
)
@pytest.mark.parametrize("query", ["SELECT 1 SETTINGS {}", "SELECT * FROM (SELECT 1 SETTINGS {})"])
def test_a_query_cannot_lift_its_limits(audit: Audit, query: str, settings: str) -> None:
    with pytest.raises(ConfigError):
        audit.ask(query.format(settings))


def test_other_settings_are_its_own_affair(audit: Audit) -> None:
    assert audit.ask("SELECT getSetting('join_use_nulls') SETTINGS join_use_nulls = 1").rows == [(True,)]


def test_an_answer_with_more_rows_than_allowed_is_cut_and_says_so(audit: Audit) -> None:
    answer = audit.ask("SELECT number FROM numbers(1000000)")
    assert (len(answer.rows), answer.cut) == (100, True)
    assert audit.ask("SELECT number FROM numbers(100)").cut is False
    assert audit.ask("SELECT number FROM numbers(101)").cut is True


def test_a_table_is_described_by_names_and_types_alone(audit: Audit) -> None:
    described = audit.ask("DESCRIBE outcomes")
    assert described.columns == ("name", "type")
    assert ("run", "LowCardinality(String)") in map(tuple, described.rows)


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT count() FROM numbers(1000000000000)", "raise --max-seconds"),
        ("SELECT colour FROM calls", "Unknown expression identifier `colour`.*DESCRIBE calls"),
        ("SELECT colour FROM outcomes WHERE run = 'live'", "Unknown expression identifier `colour`.*DESCRIBE outcomes"),
        ("SELECT 1 FROM nowhere", "The tables are calls, outcomes"),
        ("SELEC 1", "Syntax error"),
        ("   ", "empty"),
        ("SELECT 1 FORMAT JSON", "use --format"),
    ],
)
def test_a_wrong_query_is_reported_with_a_remedy(audit: Audit, sql: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as raised:
        audit.ask(sql)
    assert "http://" not in str(raised.value)
    assert "version" not in str(raised.value)


def test_a_query_that_wants_too_much_memory_is_stopped(config: ClickHouseConfig) -> None:
    small = Audit(config, max_memory_bytes=30_000_000)
    try:
        with pytest.raises(ConfigError, match="Ask about less: fewer columns"):
            small.ask("SELECT groupArray(number) FROM numbers(100000000)")
    finally:
        small.close()


def test_values_are_bound_and_never_become_sql(audit: Audit) -> None:
    tricky = "e1' OR 1 = 1 -- \\ \t\n"
    sql = "SELECT {id:String} AS id, count() FROM calls WHERE event_id = {id:String}"
    assert audit.ask(sql, {"id": tricky}).rows == [(tricky, 0)]
    assert audit.ask("SELECT count() FROM calls WHERE event_id LIKE '%e1%'").rows == [(1,)]
    assert audit.ask("SELECT count() FROM calls WHERE event_id IN {ids:Array(String)}", {"ids": ["e1", "e2"]}).rows == [
        (2,)
    ]


def test_a_parquet_file_reads_back_as_the_rows(audit: Audit, tmp_path: Path) -> None:
    path = tmp_path / "calls.parquet"
    sql = "SELECT event_id, call_id, cost_usd, sources FROM calls WHERE event_id = {id:String}"
    size = audit.write_parquet(sql, {"id": "e1"}, path)
    assert size == path.stat().st_size
    content = path.read_bytes()
    assert content[:4] == content[-4:] == b"PAR1"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["calls.parquet"]
    chdb = pytest.importorskip("chdb")
    read = str(chdb.query(f"SELECT * FROM file('{path}')", "CSV"))
    assert read.strip() == f'"e1","{call(event("e1")).call_id}",0.001,"{{\'verbalized\':0.5}}"'


def test_a_parquet_file_is_whole_or_not_there(audit: Audit, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="raise --max-rows"):
        audit.write_parquet("SELECT number FROM numbers(1000)", None, tmp_path / "x.parquet")
    with pytest.raises(ConfigError, match="cannot be written"):
        audit.write_parquet("SELECT 1", None, tmp_path / "none" / "x.parquet")
    with pytest.raises(ConfigError):
        audit.write_parquet("SELECT 1 SETTINGS max_result_rows = 0", None, tmp_path / "x.parquet")
    assert list(tmp_path.iterdir()) == []
