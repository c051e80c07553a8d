"""`escalon query` and `escalon trace`, on a small audit."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from streams.adapters.clickhouse import ClickHouseConfig
from streams.audit.named_queries import library
from streams.audit.query import Audit, QueryResult
from streams.audit.result_text import plain
from streams.audit.trace import Trace, read_trace
from streams.audit.waterfall import bars_of
from streams.cli.console import cell
from streams.cli.result_output import CELL_CHARACTERS, print_table
from streams.cli.trace_view import Show, tree_of, waterfall
from streams.core.errors import ConfigError
from streams.core.harmless import lines, one_line
from tests.harness.audit import write
from tests.harness.commands import Escalon, in_shop
from tests.harness.known_audit import AGAIN, RUN, everything, heard, letter, of, refusal, routed, worked

NASTY = "\x1b[31mred\x1b[0m [bold]loud[/bold] \u202egnorw\r\nnext " + "long " * 200


@pytest.fixture(scope="module")
def config(config: ClickHouseConfig) -> ClickHouseConfig:
    write(config, *everything())
    write(config, *open_events())
    return config


def open_events() -> Iterator[Any]:
    """Events of the run `open`, each of which has come less far."""
    heard_only, waits, deferred, passed_on, put_off, failing, nasty = (
        replace(of(1, "open"), origin=replace(of(1, "open").origin, event_id=name))
        for name in ("heard", "waits", "deferred", "passed", "later", "failing", "nasty")
    )
    yield heard(heard_only)
    yield from (heard(waits), routed(waits))
    yield from (heard(deferred), replace(routed(deferred), budget_deferrals=2))
    yield from (heard(passed_on), routed(passed_on), refusal(passed_on))
    yield from (heard(put_off), routed(put_off), worked(put_off, status="failed", decision="deferred", error="busy"))
    yield from (heard(failing), routed(failing), worked(failing, status="failed", decision="retried", error="busy"))
    said = {"response": NASTY, "system_prompt": "be brief", "prompt": NASTY, "decision_reason": NASTY}
    yield from (heard(nasty), routed(replace(nasty, text=NASTY)), worked(nasty, **said))
    yield replace(letter(), run="open", event_id="dead", dead_letter_id="e" * 32)


@pytest.fixture
def escalon(
    tmp_path: Path, config: ClickHouseConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Escalon]:
    with in_shop(tmp_path, config, monkeypatch, capsys) as escalon:
        yield escalon


@pytest.fixture(scope="module")
def audit(config: ClickHouseConfig) -> Iterator[Audit]:
    opened = Audit(config)
    yield opened
    opened.close()


def test_the_list_has_every_query_with_its_line(escalon: Escalon) -> None:
    done = escalon("query", "--list")
    assert done.code == 0
    assert [name for name in library() if name not in done.out] == []
    assert "--param limit=20" in done.out
    told = [json.loads(line) for line in escalon("query", "--list", "--json").stdout.splitlines()]
    assert [one["name"] for one in told] == list(library())
    assert told[0]["parameters"]["run"] == "String"


def test_a_named_query_takes_a_run_a_time_and_parameters(escalon: Escalon) -> None:
    asked = ("query", "--name", "dearest", "--run", RUN, "--param", "limit=1", "--json")
    (row,) = [json.loads(line) for line in escalon(*asked).stdout.splitlines()]
    assert (row["event_id"], Decimal(row["would_be_usd"])) == ("e2", Decimal("0.0211"))
    (row,) = [json.loads(line) for line in escalon(*asked, "--since", "2026-11-02").stdout.splitlines()]
    assert row["event_id"] == "e4"


def test_a_parameter_is_bound_by_the_type_the_query_names(escalon: Escalon) -> None:
    sql = "SELECT event_id FROM outcomes WHERE run = {run:String} AND event_id IN {ids:Array(String)} ORDER BY 1"
    done = escalon("query", sql, "--run", RUN, "--param", 'ids=["e1", "e3"]', "--format", "csv")
    assert done.stdout.splitlines() == ["event_id", "e1", "e3"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("query",), "either SQL or --name"),
        (("query", "SELECT 1", "--name", "money"), "either SQL or --name"),
        (("query", "--name", "nonsense"), "there is no query 'nonsense'"),
        (("query", "SELECT {x:String}"), "Add --param x=VALUE"),
        (("query", "SELECT 1", "--param", "x"), "NAME=VALUE"),
        (("query", "SELECT {x:UInt8}", "--param", "x=many"), "ClickHouse refused the query"),
        (("query", "SELECT 1", "--since", "soon"), "is not a time"),
        (("query", "SELECT 1", "--format", "parquet"), "--out FILE.parquet"),
        (("query", "SELECT 1", "--out", "x.txt"), "a table cannot be written to a file"),
        (("query", "SELECT 1", "--format", "csv", "--out", "none/x.csv"), "cannot be written"),
        (("query", "DROP TABLE calls_rows"), "does more than read"),
        (("trace", "nobody"), "has no event 'nobody'"),
        (("trace", "waits"), "It is in: open. Add --run NAME."),
    ],
)
def test_a_mistake_is_reported_in_one_message(escalon: Escalon, arguments: tuple[str, ...], said: str) -> None:
    done = escalon(*arguments)
    assert (done.code, done.stdout) == (2, "")
    assert said in done.err
    assert "Traceback" not in done.err


def test_an_answer_that_was_cut_says_so_beside_the_rows(escalon: Escalon) -> None:
    done = escalon("query", "SELECT number FROM numbers(50)", "--max-rows", "7", "--format", "csv")
    assert len(done.stdout.splitlines()) == 1 + 7
    assert "more than 7 rows" in done.err
    assert escalon("query", "SELECT number FROM numbers(7)", "--max-rows", "7", "--json").err == ""


def test_files_are_written_in_each_format(escalon: Escalon, tmp_path: Path) -> None:
    sql = "SELECT event_id, saved_usd FROM calls WHERE run = 'known' AND tier = 'worker' ORDER BY event_id, attempt"
    for form in ("csv", "json", "parquet"):
        assert escalon("query", sql, "--format", form, "--out", f"out.{form}").code == 0
    rows = list(csv.reader(io.StringIO((tmp_path / "out.csv").read_text("utf-8"))))
    assert rows[0] == ["event_id", "saved_usd"]
    assert [row[1] for row in rows[1:]] == ["", "", "", "0.001000000000", ""]
    first = json.loads((tmp_path / "out.json").read_text("utf-8").splitlines()[0])
    assert first == {"event_id": "e1", "saved_usd": None}
    assert (tmp_path / "out.parquet").read_bytes()[:4] == b"PAR1"


def printed(answer: QueryResult, width: int, limit: int | None = 160) -> str:
    out = Console(width=width, file=io.StringIO(), force_terminal=True, color_system=None)
    print_table(answer, out, limit)
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


@pytest.mark.parametrize(
    ("word", "remedy"),
    [
        ("money", "that is a named query. Run it with: escalon query --name money"),
        ("labels", "'labels' is not SQL. Write a SELECT, such as"),
    ],
)
def test_a_single_word_is_refused_with_the_remedy(escalon: Escalon, word: str, remedy: str) -> None:
    done = escalon("query", word)
    assert (done.code, remedy in done.err) == (2, True)


def test_a_table_shows_what_is_null_nested_and_huge() -> None:
    answer = QueryResult(["a", "b", "c"], [], [[None, {"k": [1, None]}, "x" * 500]])
    shown = printed(answer, 300)
    assert "–" in shown
    assert '{"k": [1, null]}' in shown
    assert "x" * 160 + "… (+340)" in shown
    assert "x" * 500 in printed(answer, 700, limit=None)


def test_amounts_are_short_for_people_and_never_vanish() -> None:
    assert cell(Decimal("1.234567890123"), CELL_CHARACTERS) == "1.234568"
    assert cell(Decimal("0.000000000123"), CELL_CHARACTERS) == "0.000000000123"
    assert cell(Decimal("1.234567890123")) == "1.234567890123"
    assert cell(Decimal("100.000000000000")) == "100"


def test_a_row_too_wide_for_a_table_becomes_a_block() -> None:
    answer = QueryResult([f"column_{n}" for n in range(12)], [], [list(range(12)), list(range(12))])
    shown = printed(answer, 60)
    assert shown.count("row ") == 2
    assert "  column_11  11" in shown
    assert "row " not in printed(answer, 140)
    assert max(len(line) for line in shown.splitlines()) <= 60


def test_an_id_is_never_broken() -> None:
    answer = QueryResult(["event_id", "call_id", "text"], [], [["mail-" + "7" * 30, "c" * 32, "word " * 20]])
    shown = printed(answer, 80)
    assert all(one in shown for one in ("mail-" + "7" * 30, "c" * 32))
    assert max(len(line.rstrip()) for line in shown.splitlines()) <= 80


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (float("nan"), None),
        (Decimal("0E-12"), "0.000000000000"),
        (b"\xffid", "\\xffid"),
        ((1, {"a": b"x"}), [1, {"a": "x"}]),
        ({1: {2.5}}, {"1": [2.5]}),
        (timedelta(seconds=5), "0:00:05"),
    ],
)
def test_every_value_has_a_json_form(value: Any, expected: Any) -> None:
    assert plain(value) == expected
    json.dumps(plain(value), allow_nan=False)
    assert isinstance(cell(value), str)


def test_text_from_outside_steers_neither_the_terminal_nor_the_markup() -> None:
    shown = printed(QueryResult(["text"], [], [[NASTY]]), 80)
    assert "\x1b[31m" not in shown
    assert "\u202e" not in shown
    assert "[bold]loud[/bold]" in shown
    assert one_line("a\nb\tc\x1b\x9b") == "a⏎b c\\u001b\\u009b"
    assert lines("a\nb\x07") == "a\nb\\u0007"


def drawn(trace: Trace, *, full: bool = False, width: int = 80) -> str:
    out = Console(width=width, file=io.StringIO(), color_system=None)
    out.print(tree_of(trace, Show(full)))
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


def test_the_tree_follows_what_led_to_what(audit: Audit) -> None:
    shown = drawn(read_trace(audit, "e2", RUN)).splitlines()
    place = {text: next(n for n, line in enumerate(shown) if text in line) for text in (
        "listener rules", "verdict work", "worker answer", "reasoner think", "outcome answered", "judgement",
    )}  # fmt: skip
    assert list(place.values()) == sorted(place.values())
    depth = {text: shown[line].index(text) for text, line in place.items()}
    chain = ["listener rules", "verdict work", "worker answer", "reasoner think"]
    assert [depth[one] for one in chain] == sorted({depth[one] for one in chain})
    assert depth["outcome answered"] == depth["judgement"] == depth["listener rules"]
    whole = " ".join(" ".join(shown).split())
    assert "refused, policy: about a neighbour" in whole
    assert "500 tokens in, 50 out" in whole
    assert "found order (0.750)" in whole


def test_a_call_in_a_batch_names_the_batch(audit: Audit) -> None:
    trace = read_trace(audit, "e2", RUN)
    assert "batch" not in drawn(trace, width=200)
    calls = [{**one, "batch_id": "msgbatch_7" if one["tier"] == "worker" else None} for one in trace.calls]
    assert drawn(replace(trace, calls=calls), width=200).count("batch msgbatch_7") == 1


def test_tries_stand_beside_each_other_with_their_numbers_and_errors(audit: Audit) -> None:
    shown = drawn(read_trace(audit, "e1", RUN))
    assert shown.index("worker answer attempt 1  failed, retried") < shown.index("worker answer attempt 2  answered")
    assert "overloaded: busy" in shown
    assert "cost unknown" in shown
    assert "confidence 0.900, threshold 0.800" in shown
    assert 'label of the answer by desk: "7"' in shown


def test_what_came_from_a_store_is_marked_with_what_it_saved(audit: Audit) -> None:
    shown = drawn(read_trace(audit, "e4", RUN), width=120)
    assert "small (recorded), from the store" in shown
    assert "saved $0.001000" in shown
    assert "asked the reasoner as well (1 in 10)" in shown
    again = drawn(read_trace(audit, "e1", AGAIN), width=120)
    assert "reused from run known" in again
    assert "took then 2.000 s" in again


@pytest.mark.parametrize(
    ("event_id", "said"),
    [
        ("heard", "no verdict is recorded yet"),
        ("waits", "routed to answer, and waits for it, its budget or a batch"),
        ("deferred", "deferred 2 times so far"),
        ("passed", "escalated, and waits for a reasoner"),
        ("later", "is called again later"),
        ("failing", "is retried"),
        ("nasty", "the outcome is not recorded yet"),
        ("dead", "dead letter: invalid_utf8"),
    ],
)
def test_what_is_missing_is_said(audit: Audit, event_id: str, said: str) -> None:
    assert said in drawn(read_trace(audit, event_id, "open"), width=120)


def test_an_event_that_ended_is_not_open(audit: Audit) -> None:
    assert read_trace(audit, "e3", RUN).open_for() is None
    assert read_trace(audit, "dead", "open").open_for() is None


def test_texts_are_cut_unless_all_is_asked_for(audit: Audit) -> None:
    trace = read_trace(audit, "nasty", "open")
    short, whole = drawn(trace), drawn(trace, full=True)
    assert "characters; --full)" in " ".join(short.split())
    assert "be brief" not in short
    assert "system: be brief" in whole
    assert whole.count("long") >= 3 * 200
    for shown in (short, whole):
        assert "\x1b" not in shown
        assert "[bold]loud[/bold]" in " ".join(shown.split())


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_waterfall_fits_its_width_and_ends_with_the_outcome(audit: Audit, width: int) -> None:
    trace = read_trace(audit, "e2", RUN)
    assert trace.outcome is not None
    shown = waterfall(bars_of(trace.calls), trace.outcome["settled_at"], width).plain.splitlines()
    assert max(len(line) for line in shown) <= width
    assert len(shown) == len(trace.calls) + 2
    assert all("█" in line for line in shown[:3])
    assert "◆" in shown[3]
    assert shown[-1].endswith(" s")


def test_the_command_draws_the_tree_the_times_and_the_other_runs(escalon: Escalon) -> None:
    done = escalon("trace", "e1", "--run", AGAIN)
    assert done.code == 0
    assert "e1 in run again" in done.out
    assert "Times (dots: waiting)" in done.out
    assert "Also in: live, known. Add --run NAME." in done.out


def test_programs_get_the_whole_trace_as_json(escalon: Escalon) -> None:
    told = json.loads(escalon("trace", "e2", "--run", RUN, "--json").stdout)
    assert [call["tier"] for call in told["calls"]] == ["listener", "worker", "reasoner"]
    assert told["calls"][2]["parent_call_id"] == told["calls"][1]["call_id"]
    assert told["outcome"]["state"] == "answered"
    assert told["runs"] == ["live", AGAIN, RUN]
    assert told["open"] is None


def test_only_dead_letters_make_a_trace_too(audit: Audit) -> None:
    trace = read_trace(audit, "dead", "open")
    assert (trace.origin, list(trace.calls)) == (None, [])
    with pytest.raises(ConfigError):
        read_trace(audit, "dead", "never")
