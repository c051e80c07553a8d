"""`escalon calibrate`, on labelled cases in the audit."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from streams.adapters.clickhouse import ClickHouseConfig
from streams.calibration.artifact import CalibrationArtifact
from streams.cli.labelled_cases import labels_from
from streams.cli.times import parse_time
from streams.core.errors import ConfigError
from streams.core.messages import Call, Label
from streams.pipeline.code import ANY_PYTHON
from streams.pipeline.load import load_pipeline
from tests.builders import event, label, thought
from tests.harness.audit import write
from tests.harness.commands import Escalon
from tests.harness.panels import answer, panel, said, stratum
from tests.harness.panels import case as panel_case
from tests.harness.shop import PIPELINE, honest_cases, messages_of, shop

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
CASES = 300
TARGET = ("calibrate", "--handler", "answer", "--max-error", "0.2")


@pytest.fixture(scope="module")
def config(config: ClickHouseConfig, tmp_path_factory: pytest.TempPathFactory) -> ClickHouseConfig:
    version = shop(tmp_path_factory.mktemp("shop")).workers["answer"].version
    write(config, *messages_of(honest_cases(CASES), version))
    write(config, *messages_of(honest_cases(30, seed=1), version, run="few"))
    write(config, *messages_of(honest_cases(200, seed=2), "an earlier version", run="old"))
    return config


def test_it_writes_the_calibration_and_says_how_to_reference_it(escalon: Escalon, tmp_path: Path) -> None:
    done = escalon(*TARGET)
    assert (done.code, done.err) == (0, "")
    artifact = CalibrationArtifact.parse((tmp_path / "calibration" / "answer.json").read_text("utf-8"))
    assert (artifact.n, artifact.max_error, artifact.certainty, artifact.labels_source) == (CASES, 0.2, 0.9, "people")
    assert 'In [workers.answer] write calibration = "calibration/answer.json"' in done.out
    assert "and remove threshold" in done.out
    assert f"accepts {artifact.coverage:.0%} of the {CASES} labelled cases" in done.out
    text = PIPELINE.replace("threshold = 0.8", 'calibration = "calibration/answer.json"')
    (tmp_path / "pipeline.toml").write_text(text, "utf-8")
    config = load_pipeline(tmp_path / "pipeline.toml", ANY_PYTHON).workers["answer"].confidence
    assert config is not None
    assert config.current_threshold.threshold == artifact.threshold
    again = escalon(*TARGET)
    assert again.code == 0
    assert "remove threshold" not in again.out


def test_for_programs_it_prints_one_json_document_and_draws_the_plots(escalon: Escalon, tmp_path: Path) -> None:
    done = escalon(*TARGET, "--out", "mine.json", "--plots", "plots", "--json")
    figures = json.loads(done.stdout)
    artifact = CalibrationArtifact.parse((tmp_path / "mine.json").read_text("utf-8"))
    assert figures["artifact"] == "mine.json"
    assert (figures["id"], figures["threshold"], figures["n"]) == (artifact.id, artifact.threshold, CASES)
    plots = sorted((tmp_path / "plots").iterdir())
    assert [path.name for path in plots] == ["answer-guarantee.svg", "answer-reliability.svg"]
    assert all("<svg" in path.read_text("utf-8") for path in plots)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--run", "few", "--max-error", "0.01"), "30 cases, even if all were right, are fewer than"),
        (("--run", "nowhere"), "the current version of answer has no labelled case"),
        (("--run", "old"), "the current version of answer has no labelled case"),
        (("--since", "2030-01-01"), "the current version of answer has no labelled case"),
        (("--since", "yesterday"), "'yesterday' is not a time"),
        (("--labels", "reasoner"), "Set explore = 0.01 or more"),
        (("--labels", "nobody"), "'nobody' is not a source of labels"),
        (("--labels", "panel"), "no panel on live has a case that all its raters judged"),
        (("--handler", "nobody"), "no worker 'nobody'. Use one of: answer, name, add"),
        (("--max-error", "5"), "max_error: 5.0 is not between 0 and 1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_mistake_is_reported_in_plain_words(
    escalon: Escalon, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    done = escalon(*TARGET, *arguments)
    assert done.code == 2
    assert words in done.err
    assert not (tmp_path / "calibration").exists()


def test_the_reasoners_word_is_taken_where_something_was_explored(
    escalon: Escalon, tmp_path: Path, config: ClickHouseConfig
) -> None:
    version = load_pipeline(tmp_path / "pipeline.toml", ANY_PYTHON).workers["answer"].version
    rows = [one for one in messages_of(honest_cases(200), version, run="explored") if not isinstance(one, Label)]
    rows = [replace(one, propensity=1.0, explored=True) if isinstance(one, Call) else one for one in rows]
    said = [thought(event(f"e{n}", run="explored"), {"number": "7"}, decision="explored") for n in range(200)]
    write(config, *rows, *said, label(event("e0", run="explored"), "8"))
    done = escalon(*TARGET, "--run", "explored", "--labels", "reasoner", "--json")
    assert done.code == 0
    assert (json.loads(done.stdout)["n"], json.loads(done.stdout)["errors"]) == (200, 0)


def test_a_panels_verdicts_are_the_truth_about_the_answers_that_it_judged(
    escalon: Escalon, tmp_path: Path, config: ClickHouseConfig
) -> None:
    """Every second task has eight times the weight, so that thinning leaves about half of the judged cases."""
    version = load_pipeline(tmp_path / "pipeline.toml", ANY_PYTHON).workers["answer"].version
    cases = honest_cases(200, seed=3)
    rows = [one for one in messages_of(cases, version, run="judged") if not isinstance(one, Label)]
    ids = {one.origin.event_id: one.call_id for one in rows if isinstance(one, Call)}
    drawn = [
        panel_case(
            place, answer(call_id=ids[one.event_id], run="judged"), event_id=one.event_id, run="judged",
            event_time=one.event_time, weight=8.0 if place % 2 else 1.0,
        )
        for place, (one, _) in enumerate(cases, start=1)
    ]  # fmt: skip
    judgements = [said(f"c{n}", "anna", "yes" if right else "no") for n, (_, right) in enumerate(cases, start=1)]
    of = panel(stratum(tasks=1000, weight=4500.0), run="judged", raters_per_case=1)
    write(config, *rows, of, *drawn, *judgements)
    done = escalon(*TARGET, "--run", "judged", "--labels", "panel", "--json")
    figures = json.loads(done.stdout)
    assert 100 <= figures["n"] <= 140
    assert f"Truth by week-48: {figures['n']} of 200 judged cases" in done.err
    assert figures["errors"] > 0
    artifact = CalibrationArtifact.parse((tmp_path / "calibration" / "answer.json").read_text("utf-8"))
    assert artifact.labels_source == "panel"


def test_a_report_says_that_a_calibration_holds_and_what_tiering_is_worth(
    escalon: Escalon, config: ClickHouseConfig, tmp_path: Path
) -> None:
    escalon(*TARGET)
    text = PIPELINE.replace("threshold = 0.8", 'calibration = "calibration/answer.json"')
    (tmp_path / "pipeline.toml").write_text(text, "utf-8")
    document = json.loads(escalon("report", "--advice", "--json").stdout)
    (standing,) = document["calibrations"]
    assert (standing["worker"], standing["state"], standing["scores"]) == ("answer", "not enough evidence", 0)
    assert "not known yet" in escalon("report").out
    assert {"economy", "refusal_quality", "over_budget", "advice"} <= set(document)
    (worth,) = document["advice"]["workers"]
    assert (worth["worker"], worth["events"], worth["escalated"]) == ("answer", CASES, 0.0)
    assert worth["worker_usd"] == "0.300000000000"
    assert "advice" not in json.loads(escalon("report", "--json").stdout)
    assert config.url


# ---- Moments and labels ----


@pytest.mark.parametrize(
    ("text", "at"),
    [
        (None, datetime(1970, 1, 1, tzinfo=UTC)),
        ("7d", NOW - timedelta(days=7)),
        ("90m", NOW - timedelta(minutes=90)),
        ("1.5h", NOW - timedelta(minutes=90)),
        ("99999d", datetime(1970, 1, 1, tzinfo=UTC)),
        ("1000000000d", datetime(1970, 1, 1, tzinfo=UTC)),
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01T09:30", datetime(2026, 11, 1, 9, 30, tzinfo=UTC)),
        ("2026-11-01T09:00+01:00", datetime(2026, 11, 1, 9, tzinfo=timezone(timedelta(hours=1)))),
    ],
)
def test_a_moment_is_a_date_a_time_or_how_long_ago(text: str | None, at: datetime) -> None:
    found = parse_time(text, lambda: NOW)
    assert found == at
    assert found.tzinfo is not None


@pytest.mark.parametrize("text", ["", "7", "7w", "tomorrow", "2026-13-01", "-7d"])
def test_a_text_that_is_not_a_time_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a time") as caught:
        parse_time(text, lambda: NOW)
    assert caught.value.key == "since"


def test_labels_come_from_people_or_from_the_reasoner() -> None:
    assert (labels_from("people"), labels_from("reasoner")) == ("people", "reasoner")
    with pytest.raises(ConfigError, match="Use people or reasoner"):
        labels_from("People")


def test_labels_that_no_answer_could_equal_are_named_and_so_is_what_redaction_hid(
    escalon: Escalon, tmp_path: Path, config: ClickHouseConfig
) -> None:
    version = load_pipeline(tmp_path / "pipeline.toml", ANY_PYTHON).workers["answer"].version
    odd = [one for one in messages_of(honest_cases(20), version, run="odd") if not isinstance(one, Label)]
    labels = [label(event(f"e{n}", run="odd"), {"nummer": "7"} if n < 15 else "[phone]") for n in range(20)]
    write(config, *odd, *labels)
    done = escalon(*TARGET, "--run", "odd")
    assert done.code == 2
    assert "15 answers count as neither right nor wrong" in done.err
    assert "the label has no field 'number'; is 'nummer' meant? (for example, event e0)" in done.err
    assert "5 answers count as neither right nor wrong" in done.err
    assert "redaction hid a part of it" in done.err
    assert "no answer of answer can be compared" in done.err
