"""`escalon panel report`, on a panel in a real audit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from streams.adapters.clickhouse import ClickHouseConfig
from tests.builders import call, event, outcome
from tests.harness.audit import write
from tests.harness.commands import Escalon
from tests.harness.panels import ERRORS_ONLY, NAME, answer, case, panel, said, stratum
from tests.harness.simulated_panel import Simulation

pytestmark = pytest.mark.embedded
CASES = 150


def judged_desk() -> Iterator[Any]:
    """A panel on answers with confidences from 0.5 to 1, of which those below 0.6 are wrong."""
    yield panel(stratum(tasks=2000), raters_per_case=1, rubric=ERRORS_ONLY, panel="desk")
    for number in range(1, CASES + 1):
        of, confidence = event(f"e{number}", "order", run="live"), round(0.5 + number / 2 / CASES, 4)
        made = call(of, confidence=confidence, response="x" * number)
        yield made
        yield outcome(of)
        yield replace(case(number, answer(call_id=made.call_id), probability=0.1), panel="desk")
        yield said(f"c{number}", "anna", "no" if confidence < 0.6 else "yes", panel="desk")


@pytest.fixture(scope="module")
def config(config: ClickHouseConfig) -> ClickHouseConfig:
    found = Simulation(judge=60).evidence(stop="error <= 0.05")
    write(config, found.panel, *found.cases, *found.judgements, *judged_desk())
    return config


def test_the_report_has_the_conclusion_and_the_tables_on_80_columns(escalon: Escalon) -> None:
    done = escalon("panel", "report", NAME)
    assert (done.code, done.err) == (0, "")
    assert "120 of 120 cases are finished by 2 raters each" in done.out
    assert '"error <= 0.05" is not decided after 120 cases' in done.out
    for title in ("Wrong answers", "Questions", "Agreement of the raters", "Raters", "Models as judges"):
        assert title in done.out
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_for_programs_it_prints_one_json_document(escalon: Escalon) -> None:
    document = json.loads(escalon("panel", "report", NAME, "--json", "--certainty", "0.9").stdout)
    assert (document["panel"], document["certainty"], document["progress"]["counted"]) == (NAME, 0.9, 120)
    assert document["claim"]["decision"] == "open"


def test_it_writes_a_page(escalon: Escalon, tmp_path: Path) -> None:
    done = escalon("panel", "report", NAME, "--html", "week.html")
    assert "Wrote week.html." in done.out
    assert "Models as judges" in (tmp_path / "week.html").read_text("utf-8")


def test_a_proposal_is_written_beside_the_pipeline_as_a_diff_of_one_line(escalon: Escalon, tmp_path: Path) -> None:
    done = escalon("panel", "report", "desk", "--propose", "candidate.toml", "--max-error", "0.1")
    assert (done.code, done.err) == (0, "")
    before, after = ((tmp_path / name).read_text("utf-8").splitlines() for name in ("pipeline.toml", "candidate.toml"))
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert [old for old, _ in changed] == ["threshold = 0.8"]
    assert f"+{changed[0][1]}" in done.stdout.splitlines()
    setting = changed[0][1].replace(" ", "")
    assert f"escalon what-if --set workers.answer.{setting}" in done.out
    assert "escalon replay --pipeline candidate.toml --run desk-candidate" in done.out
    assert "escalon compare live desk-candidate" in done.out


def test_without_a_proposal_no_file_is_written_and_the_reasons_are_said(escalon: Escalon, tmp_path: Path) -> None:
    done = escalon("panel", "report", "desk", "--propose", "candidate.toml", "--max-error", "0.001")
    assert done.code == 0
    assert "Nothing is proposed, and no file was written:" in done.out
    assert "The threshold of answer: of its 50 most confident judged answers" in done.out
    assert not (tmp_path / "candidate.toml").exists()


def test_the_proposal_is_in_the_json_document(escalon: Escalon) -> None:
    options = ("--propose", "candidate.toml", "--max-error", "0.1", "--json")
    proposal = json.loads(escalon("panel", "report", "desk", *options).stdout)["proposal"]
    assert proposal["file"] == "candidate.toml"
    assert proposal["found"][0]["before"] == "0.8"
    assert "+++ candidate.toml" in proposal["diff"]


@pytest.mark.parametrize(
    ("arguments", "said_in_error"),
    [
        (("nowhere",), "there is no panel 'nowhere'."),
        ((NAME, "--certainty", "95"), "certainty: 95.0 is not a certainty from 0.5 to below 1."),
        ((NAME, "--html", "no/where.html"), "html: there is no directory"),
        (("desk", "--propose", "pipeline.toml"), "propose: pipeline.toml is the pipeline itself."),
        (("desk", "--propose", "../x.toml"), "is not in the pipeline's directory"),
        (("desk", "--propose", "x.toml", "--max-error", "5"), "max_error: 5.0 is not between 0 and 1."),
    ],
)
def test_wrong_arguments_are_named_with_the_remedy(
    escalon: Escalon, arguments: tuple[str, ...], said_in_error: str
) -> None:
    done = escalon("panel", "report", *arguments)
    assert done.code == 2
    assert said_in_error in done.err
