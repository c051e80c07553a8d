from __future__ import annotations

import pytest

from streams.embedded.clickhouse_protocol import QueryError, Statement, find_insert, guard, skeleton_of

OUTSIDE = frozenset({"file", "url"})


def test_an_insert_is_split_from_the_rows_that_follow_it() -> None:
    head = b"INSERT INTO t (`a b`, c) FORMAT Native\n\x01\x02"
    insert = find_insert(head)
    assert insert is not None
    assert (insert.sql, insert.format) == ("INSERT INTO t (`a b`, c) ", "Native")
    assert head[insert.rows_at :] == b"\x01\x02"


@pytest.mark.parametrize(
    "text",
    [
        b"SELECT 1 FORMAT CSV",
        b"INSERT INTO t SELECT 'FORMAT CSV'",
        b"INSERT INTO t VALUES ('a FORMAT CSV')",
        b"INSERT INTO t SELECT * FROM u FORMAT CSV",
    ],
)
def test_other_statements_are_not_an_insert_with_rows(text: bytes) -> None:
    assert find_insert(text) is None


def test_a_comment_before_an_insert_does_not_hide_it() -> None:
    assert find_insert(b"/* why */ -- and how\nINSERT INTO t FORMAT CSV\n1") is not None


def test_the_skeleton_has_neither_literals_nor_comments_but_quoted_names() -> None:
    assert skeleton_of("SELECT 'a;\\'b', `x;y` -- c\n, $t$;$t$ /* ; */") == "SELECT '', `x;y`  \n, ''  "


def test_a_format_within_a_literal_is_not_the_statements_format() -> None:
    assert Statement.parse(b"SELECT 'x FORMAT CSV'").format is None
    assert Statement.parse(b"SELECT 1 FORMAT CSV").without_format() == b"SELECT 1 "


@pytest.mark.parametrize("engine", ["ENGINE = Kafka", "engine=kafka()", "ENGINE /* x */ `Kafka`('a')"])
def test_the_kafka_engine_is_refused_however_it_is_written(engine: str) -> None:
    with pytest.raises(QueryError, match="ENGINE = Kafka is refused") as refused:
        guard(skeleton_of(f"CREATE TABLE t (a Int8) {engine}"), readonly=False, outside=OUTSIDE)
    assert refused.value.code == 344


def test_a_literal_that_only_talks_of_the_kafka_engine_passes() -> None:
    guard(skeleton_of("SELECT 'ENGINE = Kafka'"), readonly=True, outside=OUTSIDE)


@pytest.mark.parametrize(
    "sql",
    ["SELECT * FROM file('a')", "SELECT * FROM `URL` ('a')", "SELECT * FROM '/a.csv'", "SELECT * FROM `/a.csv`"],
)
def test_readers_do_not_reach_files_or_the_network_and_writers_may(sql: str) -> None:
    guard(skeleton_of(sql), readonly=False, outside=OUTSIDE)
    with pytest.raises(QueryError, match="may not reach"):
        guard(skeleton_of(sql), readonly=True, outside=OUTSIDE)


@pytest.mark.parametrize(
    "sql", ["SYSTEM STOP MERGES", "KILL QUERY WHERE 1", " /* x */ SET readonly = 0", "DROP TABLE t"]
)
def test_readers_may_only_read(sql: str) -> None:
    guard(skeleton_of(sql), readonly=False, outside=OUTSIDE)
    with pytest.raises(QueryError, match="only read") as refused:
        guard(skeleton_of(sql), readonly=True, outside=OUTSIDE)
    assert refused.value.code == 164


def test_several_statements_in_one_request_are_refused() -> None:
    guard(skeleton_of("SELECT ';'; "), readonly=False, outside=OUTSIDE)
    with pytest.raises(QueryError, match="Multi-statements"):
        guard(skeleton_of("SELECT 1; SELECT 2"), readonly=False, outside=OUTSIDE)


def test_an_engine_error_keeps_its_code_and_loses_the_bindings_words() -> None:
    error = QueryError.from_engine(RuntimeError("Streaming failed: Code: 60. DB::Exception: no (UNKNOWN_TABLE)"))
    assert (error.code, error.status) == (60, 404)
    assert error.what == "Code: 60. DB::Exception: no (UNKNOWN_TABLE)"


def test_an_error_without_a_code_is_an_unknown_exception() -> None:
    assert QueryError.from_engine(RuntimeError("boom")).code == 1002
