"""Bodies go, rows stay: in every part, and again when they come back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from streams.adapters.clickhouse import ClickHouseConfig
from streams.adapters.clickhouse_erasure import BLANKS, batched, behind, blank, held, sweep
from streams.core.messages import Judgement
from tests.builders import START, call, event, label, outcome, verdict
from tests.harness.audit import database, write

pytestmark = pytest.mark.embedded
WORDS = "what anna said"


@pytest.fixture(scope="module")
def config(clickhouse_server: str) -> Iterator[ClickHouseConfig]:
    with database(clickhouse_server) as config:
        yield config


@pytest.fixture
def client(config: ClickHouseConfig) -> Iterator[Any]:
    client = config.connect()
    yield client
    client.close()


def fill(config: ClickHouseConfig, event_id: str) -> None:
    """Rows about an event in several tables, its call delivered twice with other words."""
    of = event(event_id, WORDS)
    write(config, verdict(of), call(of, prompt=WORDS, decision_reason=f"refused: {WORDS}"), outcome(of))
    write(config, call(of, prompt=f"again {WORDS}", error=WORDS), label(of, WORDS))


def holding(client: Any, event_id: str) -> list[str]:
    tables = {
        table: client.query(f"SELECT * FROM {table} WHERE event_id = '{event_id}'").result_rows for table in BLANKS
    }
    return [table for table, rows in tables.items() if WORDS in str(rows)]


def test_every_row_is_emptied_also_one_that_was_replaced_and_not_merged(config: ClickHouseConfig, client: Any) -> None:
    fill(config, "a1")
    fill(config, "a2")
    assert client.command("SELECT count() FROM calls_rows WHERE event_id = 'a1'") == 2
    for table in BLANKS:
        blank(client, table, ["a1"])
    assert (holding(client, "a1"), len(holding(client, "a2"))) == ([], 3)
    kept = "SELECT decision_reason, cost_usd, redaction FROM calls WHERE event_id = 'a1'"
    (row,) = client.query(kept).result_rows
    assert (str(row[1]), row[2]) == ("0.001000000000", "erased")
    assert client.command("SELECT count() FROM calls_rows WHERE event_id = 'a1'") == 2


def test_reasons_keep_the_word_that_is_ours(config: ClickHouseConfig, client: Any) -> None:
    of = event("r1", WORDS)
    write(config, call(of, decision_reason=f"refused: {WORDS}"))
    blank(client, "calls_rows", ["r1"])
    assert client.command("SELECT decision_reason FROM calls WHERE event_id = 'r1'") == "refused"


def test_a_choice_of_a_panel_stays_and_other_words_of_a_judge_do_not(config: ClickHouseConfig, client: Any) -> None:
    said: dict[str, Any] = {"call_id": "", "judge": "ann", "question": "better", "judged_at": START, "comment": WORDS}
    write(
        config,
        Judgement(event_id="j1", verdict="both bad", panel="week-48", case_id="c1", **said),
        Judgement(event_id="j1", verdict=WORDS, **said),
    )
    blank(client, "judgements_rows", ["j1"])
    rows = client.query(
        "SELECT panel, verdict, comment FROM judgements WHERE event_id = 'j1' ORDER BY panel"
    ).result_rows
    assert [tuple(row) for row in rows] == [("", "", ""), ("week-48", "both bad", "")]


def test_what_comes_back_is_swept_and_nothing_else(config: ClickHouseConfig, client: Any) -> None:
    client.insert("erased_events_rows", [["s1", "x", START]], column_names=["event_id", "erasure_id", "erased_at"])
    fill(config, "s1")
    fill(config, "s2")
    assert sweep(client, print) == {"calls_rows": 1, "outcomes_rows": 1, "verdicts_rows": 1, "labels_rows": 1}
    assert (holding(client, "s1"), len(holding(client, "s2"))) == ([], 3)
    assert sweep(client, print) == {}


def test_every_column_with_words_of_a_row_is_emptied(client: Any) -> None:
    """A new column of text is thought of: it is emptied, or it is known to hold no words."""
    names = {
        "run", "event_id", "call_id", "parent_call_id", "trace_id", "source_topic", "tier", "handler", "pipeline",
        "handler_version", "operation", "provider", "request_model", "response_model", "priced_as", "finish_reason",
        "status", "refusal_class", "calibration", "decision", "error_type", "response_id", "fingerprint", "model",
        "reused_from", "state", "intent", "duplicate_of", "kind", "findings", "intents", "action", "topic",
        "dead_letter_id", "reason", "error_class", "aspect", "source", "judge", "question", "verdict", "sources",
        "content_digest", "panel", "case_id", "option", "rubric", "judge_kind", "left", "batch_id",
    }  # fmt: skip
    for table, blanks in BLANKS.items():
        columns = client.query(
            "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = {table:String}"
            " AND type LIKE '%String%'",
            parameters={"table": table},
        ).result_rows
        emptied = {one.partition(" = ")[0] for one in blanks}
        assert {row[0] for row in columns} - emptied - names == set(), table


def test_on_a_cluster_the_tables_behind_the_distributed_one_are_named() -> None:
    assert behind("calls_rows", "ReplacingMergeTree ORDER BY x") == "calls_rows"
    engine = "Distributed('main', 'escalon', 'calls_local', cityHash64(event_id))"
    assert behind("calls_rows", engine) == "escalon.calls_local ON CLUSTER 'main'"


def test_ids_go_some_at_a_time() -> None:
    assert list(batched(["a", "b", "c"], 2)) == [("a", "b"), ("c",)]
    assert "redaction" in held("calls_rows")
