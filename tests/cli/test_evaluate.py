from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from streams.adapters.clickhouse import ClickHouseConfig
from streams.cli.evaluation_view import print_evaluation_table
from streams.evaluation.tiers.sections import EvaluationTable
from tests.harness.audit import write
from tests.harness.commands import Escalon, widest
from tests.harness.evaluated_audit import ANSWERED, HEARD, everything, pipeline

pytestmark = pytest.mark.embedded


@pytest.fixture(scope="module")
def config(config: ClickHouseConfig) -> ClickHouseConfig:
    write(config, *everything())
    return config


@pytest.fixture
def evaluate(escalon: Escalon, tmp_path: Path) -> Escalon:
    pipeline(tmp_path)  # the shop's, with a listener for images
    return lambda *arguments: escalon("evaluate", *arguments)


def test_the_terminal_shows_every_tier_with_its_shares_and_intervals(evaluate: Escalon) -> None:
    done = evaluate("--run", ANSWERED)
    assert done.code == 0
    assert "Run answered: 10 tasks, 11 events." in done.out
    for heading in ("Sources of truth", "Tier 1: listeners", "Tier 2: workers", "Tier 3: reasoners"):
        assert heading in done.out
    assert "66.7 % (20.8–93.9)" in done.out  # the worker's delivered answers by people:ann
    assert widest(done) <= 80


@pytest.mark.parametrize(("second", "title"), [("crm", "Right (source: crm)"), ("ann", "Right")])
def test_a_source_that_all_rows_share_is_named_once(second: str, title: str) -> None:
    out = Console(width=80, file=io.StringIO())
    table = EvaluationTable(
        title="Right", columns=("source", "tasks"), rows=(("crm", "7"), (second, "8")), numeric=(1,)
    )
    print_evaluation_table(table, out)
    assert isinstance(out.file, io.StringIO)
    assert out.file.getvalue().splitlines()[0] == title
    assert ("source " in out.file.getvalue()) == (second == "ann")


def printed(table: EvaluationTable, shared: str | None = None) -> list[str]:
    out = Console(width=80, file=io.StringIO())
    print_evaluation_table(table, out, shared)
    assert isinstance(out.file, io.StringIO)
    return [line.rstrip() for line in out.file.getvalue().splitlines()]


def test_a_table_that_would_break_its_words_is_shown_in_blocks() -> None:
    wide = tuple(f"column {place}" for place in range(9))
    row = ("(no source)", *(f"{place}0.0 % (60.3–78.4)" for place in range(1, 9)))
    title, *lines = printed(EvaluationTable(title="Wide", columns=wide, rows=(row, row)))
    assert lines[:2] == ["- column 0  (no source)", "  column 1  10.0 % (60.3–78.4)"]
    assert (title, len(lines)) == ("Wide", 18)


def test_a_table_folds_at_spaces_while_its_words_fit() -> None:
    row = ("7", "a longer remark about the worker", *("70.1 % (60.3–78.4)" for _ in range(4)))
    columns = ("only reasoner", "remark", *"abcd")
    _, *lines = printed(EvaluationTable(title="Narrow", columns=columns, rows=(row,), numeric=(0,)))
    assert {word for line in lines for word in line.split()} == set(" ".join((*columns, *row)).split())
    assert max(map(len, lines)) <= 80
    assert len(lines) > 2


def test_the_only_source_of_an_evaluation_is_not_repeated() -> None:
    table = EvaluationTable(title="Right", columns=("source", "tasks"), rows=(("crm", "7"),))
    assert printed(table, "crm") == ["Right", "tasks", "7"]


def test_the_json_document_has_every_figure_and_null_for_what_was_not_asked_for(evaluate: Escalon) -> None:
    done = evaluate("--run", ANSWERED, "--tier", "worker", "--json", "--since", "2026-11-01")
    made = json.loads(done.stdout)
    assert (made["run"], made["listener"], made["reasoner"]) == (ANSWERED, None, None)
    assert (made["since"], made["until"]) == ("2026-11-01T00:00:00+00:00", None)
    (worker,) = made["workers"]
    assert worker["whole"]["refusals"]["needless"] == pytest.approx(
        {"hits": 1, "n": 2, "value": 0.5, "low": 0.0945, "high": 0.9055}, abs=1e-4
    )
    assert [one["source"] for one in made["accuracies"]] == [
        {"name": "people:ann", "kind": "people"},
        {"name": "system:crm", "kind": "system"},
        {"name": "panel:week-48", "kind": "panel"},
    ]


def test_a_panel_is_shown_beside_the_labels_and_their_disagreement_names_the_event(evaluate: Escalon) -> None:
    made = json.loads(evaluate("--run", ANSWERED, "--json").stdout)
    (whole, worker) = made["reasoner"]["panels"]["rates"]
    assert (whole["tier"], worker["tier"], worker["cases"], worker["value"]) == ("", "worker", 2, 0.5)
    by_panel = [one for one in made["accuracies"] if one["source"]["kind"] == "panel"]
    assert [(one["tier"], one["value"], one["reweighted"]) for one in by_panel] == [("worker", 0.5, True)]
    found = [one for one in made["conflicts"] if one["b"]["kind"] == "people" or one["a"]["kind"] == "people"]
    panel = next(one for one in found if "panel" in (one["a"]["kind"], one["b"]["kind"]))
    assert (panel["pairs"]["only_a"], panel["pairs"]["only_b"], panel["examples"]) == (1, 1, ["w2", "w3"])


def test_judgements_outside_of_panels_are_counted_apart(evaluate: Escalon) -> None:
    made = json.loads(evaluate("--run", ANSWERED, "--tier", "reasoner", "--json").stdout)
    (other,) = made["reasoner"]["other_verdicts"]
    assert (other["panel"], other["question"], other["verdict"], other["judgements"]) == ("", "right", "no", 1)


def test_events_after_until_are_left_out(evaluate: Escalon) -> None:
    made = json.loads(evaluate("--run", ANSWERED, "--json", "--until", "2026-11-01T14:30").stdout)  # w1 and w2
    assert (made["totals"]["events"], made["workers"][0]["whole"]["answers"]["events"]) == (2, 2)


def test_the_page_holds_the_tables_and_loads_nothing(evaluate: Escalon, tmp_path: Path) -> None:
    done = evaluate("--run", HEARD, "--html", "page.html")
    assert "Wrote page.html." in done.out
    text = (tmp_path / "page.html").read_text("utf-8")
    assert "<h3>Confusion matrix by people:ann: true intents down, found ones across</h3>" in text
    assert "default-src 'none'; style-src 'unsafe-inline'\"" in text
    assert "<script" not in text
    assert "src=" not in text


def test_an_unknown_tier_is_refused_with_the_tiers_that_exist(evaluate: Escalon) -> None:
    done = evaluate("--tier", "manager")
    assert done.code == 2
    assert "'manager' is not a tier. Use listener, worker or reasoner." in done.err


def test_a_missing_directory_of_the_page_is_refused_before_anything_is_read(evaluate: Escalon) -> None:
    done = evaluate("--html", "missing/page.html")
    assert done.code == 2
    assert "there is no directory" in done.err


def test_a_run_without_events_is_refused_with_those_that_have_some(evaluate: Escalon) -> None:
    done = evaluate("--run", "gone")
    assert (done.code, done.stdout) == (2, "")
    assert "Use one of: answered, heard." in done.err
