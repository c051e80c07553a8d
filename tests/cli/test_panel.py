"""escalon panel new, list and rubric check, on servers that record what is published."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from streams.adapters.clickhouse import ClickHouseConfig
from streams.app.settings import Settings, read_settings
from streams.embedded.recording import recording_servers
from streams.panels.publication import await_recorded
from tests.harness.audit import write
from tests.harness.commands import Escalon, in_shop
from tests.harness.panel_stream import stream
from tests.harness.panels import RUBRIC, said, skipped
from tests.harness.shop import shop

pytestmark = pytest.mark.embedded


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Kafka, ClickHouse and RECORD, and a stream of 40 events in the audit."""
    settings = read_settings({"ESCALON_DATA": str(tmp_path_factory.mktemp("data")), "ESCALON_PARTITIONS": "1"})
    with recording_servers(settings, None) as running:
        assert running.clickhouse is not None
        write(running.clickhouse, *stream())
        yield running


@pytest.fixture
def escalon(
    servers: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Escalon]:
    """The commands in the shop's directory, on the data directory of `servers`, with a rubric.toml."""
    shop(tmp_path)
    (tmp_path / "rubric.toml").write_text(RUBRIC, "utf-8")
    assert servers.clickhouse is not None
    with in_shop(tmp_path, servers.clickhouse, monkeypatch, capsys) as escalon:
        monkeypatch.delenv("ESCALON_CLICKHOUSE")
        monkeypatch.setenv("ESCALON_DATA", str(servers.data_dir))
        yield escalon


def rows(servers: Settings, sql: str, panel: str) -> list[dict[str, Any]]:
    await_recorded(servers)
    assert isinstance(servers.clickhouse, ClickHouseConfig)
    client = servers.clickhouse.connect()
    answer = client.query(sql, parameters={"panel": panel})
    client.close()
    return [dict(zip(answer.column_names, row, strict=True)) for row in answer.result_rows]


def test_a_list_without_panels_says_how_to_make_one(escalon: Escalon) -> None:
    done = escalon("panel", "list")
    assert done.code == 0
    assert "There is no panel yet. Make one: escalon panel new NAME --rubric FILE" in done.out


def test_a_panel_is_drawn_published_and_listed(escalon: Escalon, servers: Settings) -> None:
    done = escalon("panel", "new", "week-1", "--rubric", "rubric.toml", "--cases", "20", "--seed", "7")
    assert done.code == 0, done.err
    assert "week-1: 20 cases drawn from 40 tasks, seed 7" in done.out
    assert "Added to check the raters: 2 gold cases, 2 repeats. For a model alone: 20 cases." in done.out
    assert "About 16 minutes for each of 2 people, with 40 s a case (an assumption)." in done.out
    assert "escalon panel link week-1 anna ben" in done.out
    cases = rows(servers, "SELECT * FROM panel_cases WHERE panel = {panel:String} ORDER BY position", "week-1")
    assert Counter(case["purpose"] for case in cases) == {"sample": 20, "judge": 20, "gold": 2, "repeat": 2}
    assert all(len(case["content_digest"]) == 32 for case in cases)
    listed = [json.loads(line) for line in escalon("panel", "list", "--json").stdout.splitlines()]
    (found,) = (one for one in listed if one["panel"] == "week-1")
    assert (found["state"], found["cases"], found["finished"], found["people"]) == ("open", 20, 0, 0)
    assert "0 of 20" in escalon("panel", "list").out


def test_the_list_counts_a_case_when_all_its_raters_are_done_or_it_is_adjudicated(
    escalon: Escalon, servers: Settings
) -> None:
    escalon("panel", "new", "half", "--rubric", "rubric.toml", "--cases", "4", "--seed", "7")
    drawn = rows(servers, "SELECT * FROM panel_cases WHERE panel = {panel:String} AND purpose = 'sample'", "half")
    one, both, decided, _ = (str(case["case_id"]) for case in drawn)
    judged = [said(one, "anna", "yes"), said(both, "anna", "yes"), skipped(both, "ben")]
    judged.append(said(decided, "clara", "yes", kind="adjudication"))
    assert servers.clickhouse is not None
    write(servers.clickhouse, *(replace(judgement, panel="half") for judgement in judged))
    listed = [json.loads(line) for line in escalon("panel", "list", "--json").stdout.splitlines()]
    (found,) = (panel for panel in listed if panel["panel"] == "half")
    assert (found["finished"], found["cases"]) == (2, 4)


def test_a_name_is_used_once(escalon: Escalon) -> None:
    asked = ("panel", "new", "once", "--rubric", "rubric.toml", "--cases", "2", "--json")
    assert json.loads(escalon(*asked).stdout)["cases"] == {"sample": 2, "gold": 0, "repeat": 0, "judge": 8}
    done = escalon(*asked)
    assert done.code == 2
    assert "there is a panel 'once' already. Choose another name" in done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("a/b",), "name: 'a/b' is not a name for a panel. Use letters"),
        (("p", "--run", "gone"), "no event of the run 'gone' ended with an answer"),
        (("p", "--random", "0"), "random: 0 is not a share above 0"),
        (("p", "--since", "yesterday"), "since: 'yesterday' is not a time"),
        (("p", "--rubric", "none.toml"), "none.toml cannot be read (No such file or directory)"),
    ],
)
def test_a_wrong_request_is_refused_in_words(escalon: Escalon, arguments: tuple[str, ...], said: str) -> None:
    done = escalon("panel", "new", "--rubric", "rubric.toml", *arguments)
    assert done.code == 2
    assert said in done.err


def test_the_check_of_a_rubric_shows_what_a_rater_is_asked(escalon: Escalon) -> None:
    done = escalon("panel", "rubric", "check", "rubric.toml")
    assert done.code == 0
    assert "1. Is the answer right? (right, for each answer) ( ) Yes = the answer is right ( ) No" in done.out
    assert "2. How polite is the answer? (tone, for each answer) ( ) 1 rude ( ) 2 neutral ( ) 3 kind" in done.out
    assert "3. Which answer is better? (better, compares the two answers)" in done.out
    assert "The rubric is valid" in done.out
