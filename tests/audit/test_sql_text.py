"""The checks of a query's text before it runs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.audit.sql_text import bare, bound, check_reads, parameters_of
from streams.core.errors import ConfigError

LIMITS = ("max_execution_time", "max_result_rows")


def test_parameters_are_found_with_their_types() -> None:
    sql = "SELECT {run:String}, { since : DateTime64(6, 'UTC') }, {ids:Array(String)}"
    assert parameters_of("SELECT {run:String}, {ids:Array(String)}") == {"run": "String", "ids": "Array(String)"}
    assert set(parameters_of(sql)) == {"run", "since", "ids"}


def test_what_only_looks_like_a_parameter_is_none() -> None:
    assert parameters_of("SELECT '{a:String}' -- {b:String}\n/* {c:String} */, `{d:String}`, {'k': 'v'}") == {}


def test_standing_values_go_to_the_queries_that_ask_for_them() -> None:
    standing = {"run": "live", "since": "1970-01-01"}
    assert bound("SELECT {run:String}", {}, standing) == {"run": "live"}
    assert bound("SELECT {run:String}", {"run": "other"}, standing) == {"run": "other"}
    assert bound("SELECT 1", {}, standing) == {}


@pytest.mark.parametrize(
    ("sql", "given_values", "said"),
    [
        ("SELECT 1", {"a": "1"}, "no parameter 'a'"),
        ("SELECT {b:String}", {"a": "1"}, "It has: b"),
        ("SELECT {b:String}", {}, "Add --param b=VALUE"),
        ("SELECT {b:Array(String)}", {"b": "x,y"}, r'as JSON, as in \["a", "b"\]'),
    ],
)
def test_values_that_fit_no_parameter_are_refused(sql: str, given_values: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        bound(sql, given_values, {})


def test_lists_are_written_as_json() -> None:
    sql = "SELECT {a:Array(String)}, {m:Map(String, UInt8)}, {t:Tuple(UInt8, String)}"
    given_values = {"a": '["x", "it\'s"]', "m": '{"k": 1}', "t": '[1, "b"]'}
    assert bound(sql, given_values, {}) == {"a": ["x", "it's"], "m": {"k": 1}, "t": (1, "b")}


@pytest.mark.parametrize(
    "canonical",
    [
        "INSERT INTO calls_rows (run) VALUES ('x')",
        "SYSTEM STOP MERGES",
        "KILL QUERY WHERE 1",
        "CREATE TEMPORARY TABLE x (a Int8)",
        "SET readonly = 0",
        "DROP TABLE calls_rows",
        "SELECT 1 SETTINGS max_execution_time = 0",
        "SELECT * FROM (SELECT 1 SETTINGS join_use_nulls = 1, max_result_rows = 0)",
        "SELECT 1 SETTINGS profile = 'default'",
        "SELECT 1 FORMAT JSON",
        "",
    ],
)
def test_a_statement_that_does_more_than_read_within_the_limits_is_refused(canonical: str) -> None:
    with pytest.raises(ConfigError):
        check_reads(canonical, LIMITS)


@pytest.mark.parametrize(
    "canonical",
    [
        "SELECT 1 SETTINGS join_use_nulls = 1",
        "(SELECT 1) UNION ALL (SELECT 2)",
        "WITH 1 AS a SELECT a",
        "SHOW TABLES",
        "DESCRIBE TABLE calls",
        "EXPLAIN SELECT 1",
        "SELECT ' SETTINGS max_result_rows = 0 FORMAT JSON'",
        "SELECT max_execution_time FROM x",
    ],
)
def test_questions_are_let_through(canonical: str) -> None:
    check_reads(canonical, LIMITS)


@given(st.text(alphabet="ab'\\`\"- /*\n{}:", max_size=40))
def test_no_literal_is_left_in_the_bare_text(inside: str) -> None:
    escaped = inside.replace("\\", "\\\\").replace("'", "\\'")
    assert bare(f"SELECT '{escaped}', 1").split() == ["SELECT", ",", "1"]
