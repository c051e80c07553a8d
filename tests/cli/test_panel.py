"""escalon panel new, list and rubric check, on servers that record what is published."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streams.adapters.clickhouse import ClickHouseConfig
from streams.app.settings import Settings, read_settings
from streams.embedded.recording import recording_servers
from streams.panels.publication import await_recorded
from tests.builders import event, label
from tests.harness.audit import write
from tests.harness.commands import Escalon, in_shop
from tests.harness.panel_stream import EIGHT, SEVEN, accepted, escalated, explored
from tests.harness.panels import RUBRIC
from tests.harness.shop import shop

pytestmark = pytest.mark.embedded
EVENTS = 40


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Kafka, ClickHouse and RECORD, and a stream in the audit: 10 escalated events, 5 explored ones, 5 labels."""
    settings = read_settings({"ESCALON_DATA": str(tmp_path_factory.mktemp("data")), "ESCALON_PARTITIONS": "1"})
    with recording_servers(settings, None) as running:
        assert running.clickhouse is not None
        write(running.clickhouse, *_stream())
        yield running


def _stream() -> Iterator[Any]:
    for number in range(EVENTS):
        of = event(f"e{number}", f"order {number}", hour=number / 10)
        if number % 4 == 0:
            yield from escalated(of, refused=number % 8 == 0)
        elif number % 8 == 1:
            yield from explored(of, EIGHT)
        else:
            yield from accepted(of, 0.8 + number / 400)
        if number % 8 == 2:
            yield label(of, SEVEN if number > 8 else EIGHT, source="desk")


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
    assert (found["state"], found["cases"], found["judged"], found["people"]) == ("open", 20, 0, 0)
    assert "0 of 20" in escalon("panel", "list").out


def test_the_same_seed_gives_the_same_cases_under_another_name(escalon: Escalon, servers: Settings) -> None:
    for name in ("first", "second"):
        asked = ("--rubric", "rubric.toml", "--cases", "5", "--seed", "3", "--until", "2026-11-02")
        assert escalon("panel", "new", name, *asked).code == 0
    sql = "SELECT event_id, purpose, position, probability, `left` FROM panel_cases WHERE panel = {panel:String}"
    one, other = ({tuple(row.items()) for row in rows(servers, sql, name)} for name in ("first", "second"))
    assert one == other
    assert len(one) > 5


def test_a_comparison_shows_both_answers_where_both_exist(escalon: Escalon, servers: Settings) -> None:
    asked = ("--rubric", "rubric.toml", "--compare", "worker,reasoner", "--cases", "40", "--json")
    said = json.loads(escalon("panel", "new", "pairs", *asked).stdout)
    assert said["options"] == ["worker", "reasoner"]
    assert said["reasons"]["tiers disagree"] == 10
    assert said["reasons"]["needless refusal"] == 5
    sql = "SELECT answers FROM panel_cases WHERE panel = {panel:String} AND purpose = 'sample'"
    assert Counter(len(row["answers"]) for row in rows(servers, sql, "pairs")) == {1: 30, 2: 10}


def test_a_name_is_used_once(escalon: Escalon, servers: Settings) -> None:
    assert escalon("panel", "new", "once", "--rubric", "rubric.toml", "--cases", "2").code == 0
    await_recorded(servers)
    done = escalon("panel", "new", "once", "--rubric", "rubric.toml", "--cases", "2")
    assert done.code == 2
    assert "there is a panel 'once' already. Choose another name" in done.err


def test_minutes_are_turned_into_cases(escalon: Escalon) -> None:
    said = json.loads(escalon("panel", "new", "short", "--rubric", "rubric.toml", "--minutes", "8", "--json").stdout)
    assert said["cases"]["sample"] == 10  # 8 minutes hold 12 showings of 40 s, of which a sixth are checks


def test_fewer_tasks_than_asked_for_are_all_drawn(escalon: Escalon) -> None:
    done = escalon("panel", "new", "all", "--rubric", "rubric.toml", "--cases", "90")
    assert "all: 40 cases drawn from 40 tasks" in done.out
    assert "These are all tasks that there are, fewer than 90." in done.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("a/b",), "name: 'a/b' is not a name for a panel. Use letters"),
        (("p", "--cases", "5", "--minutes", "5"), "minutes: it is given beside --cases"),
        (("p", "--compare", "worker"), "compare: 'worker' cannot be compared. Write --compare worker,reasoner"),
        (("p", "--compare", "worker,reasoner", "--run", "live,b"), "a panel compares tiers or runs, not both"),
        (("p", "--run", "live,live"), "run: 'live,live' names neither one run nor two"),
        (("p", "--run", "gone"), "no event of the run 'gone' ended with an answer"),
        (("p", "--since", "2030-01-01"), "since: it is not before --until"),
        (("p", "--stop", "all is well"), "'all is well' is not a claim"),
        (("p", "--random", "0"), "random: 0 is not a share above 0"),
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
