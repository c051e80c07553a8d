"""`escalon check --sample` and `--topic`: what [source] makes of real records, before it runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.adapters.clickhouse import ClickHouseConfig
from streams.adapters.kafka import KafkaConfig
from streams.embedded.broker import Tansu
from streams.embedded.supervisor import Supervisor
from tests.harness.commands import Escalon, in_shop
from tests.harness.user_topics import Sent, create, send

NOWHERE = ClickHouseConfig(url="http://127.0.0.1:1")
PIPELINE = """\
name = "notes"

[listeners.words]
kind = "rules"
rules = { question = ["x"] }

[routes]
question = "ignore"
unsure = "ignore"
"""
NOTES = """
[[source]]
topics = ["crm.notes", "later"]
id = "/note/number"
text = ["/subject", "/body"]
unless = { "header:state" = "draft" }
"""
ORDERS = """
[[source]]
pattern = 'shop\\..*'
format = "debezium"
"""
RECORDS = [
    {"key": "C-7", "value": {"note": {"number": 11}, "subject": "Order 1234", "body": "Where is it?"}},
    {"value": {"note": {"number": 12}, "subject": "Half"}, "headers": {"state": "draft"}},
    {"key": {"id": 7}, "value": None},
    {"value": {"subject": "Without a number"}},
    {"note": {"number": 13}, "subject": "A value alone"},
]


@pytest.fixture
def escalon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Escalon]:
    """`escalon` beside a pipeline file and a sample, without servers."""
    (tmp_path / "pipeline.toml").write_text(PIPELINE + NOTES, "utf-8")
    (tmp_path / "notes.jsonl").write_text("\n".join(map(json.dumps, RECORDS)) + "\n\nplain text\n", "utf-8")
    for name in ("ESCALON_KAFKA", "ESCALON_PIPELINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ESCALON_DATA", str(tmp_path / "data"))
    with in_shop(tmp_path, NOWHERE, monkeypatch, capsys) as run:
        yield run


def test_each_record_is_shown_as_what_it_becomes(escalon: Escalon) -> None:
    done = escalon("check", "--sample", "notes.jsonl")
    assert done.code == 0, done.err
    said = [line for line in done.stdout.splitlines() if line.startswith("line")]
    assert said[:3] == ["line 1: event 11", "line 2: skipped (filtered)", "line 3: skipped (tombstone)"]
    assert said[3].startswith("line 4: dead letter bad_id: The record has no /note/number")
    assert said[4] == "line 5: event 13"
    assert said[5].startswith("line 7: dead letter bad_id")
    assert "Order 1234⏎Where is it?" in done.stdout
    assert "6 records read." in done.stdout


def test_a_pipeline_with_several_tables_needs_the_name_of_one(escalon: Escalon, tmp_path: Path) -> None:
    (tmp_path / "pipeline.toml").write_text(PIPELINE + NOTES + ORDERS, "utf-8")
    done = escalon("check", "--sample", "notes.jsonl")
    assert done.code == 2
    assert "several tables" in done.err
    assert "--topic" in done.err
    assert "line 1: event 11" in escalon("check", "--sample", "notes.jsonl", "--topic", "crm.notes").stdout
    orders = escalon("check", "--sample", "notes.jsonl", "--topic", "shop.orders").stdout
    assert "line 1: event (its id is made of the record)" in orders
    assert (
        "no [source] reads the topic elsewhere"
        in escalon("check", "--sample", "notes.jsonl", "--topic", "elsewhere").err
    )


def test_without_a_table_records_are_read_as_on_the_topic_events(escalon: Escalon, tmp_path: Path) -> None:
    (tmp_path / "pipeline.toml").write_text(PIPELINE, "utf-8")
    done = escalon("check", "--sample", "notes.jsonl")
    assert "line 7: event (its id is made of the record)" in done.stdout
    assert "text plain text" in done.out


def test_check_names_what_is_read_and_a_topic_that_may_not_be(escalon: Escalon, tmp_path: Path) -> None:
    assert "It reads crm.notes, later, besides" in escalon("check").out
    (tmp_path / "pipeline.toml").write_text(PIPELINE + NOTES.replace("later", "verdicts"), "utf-8")
    done = escalon("check")
    assert done.code == 2
    assert "source.topics: verdicts is a topic that escalon or Kafka keeps for itself" in done.err


@pytest.mark.embedded
def test_the_newest_records_of_a_topic_are_shown_and_a_missing_one_is_named(
    escalon: Escalon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Supervisor(tmp_path / "logs") as supervisor:
        kafka = KafkaConfig(servers=Tansu().start(supervisor))
        monkeypatch.setenv("ESCALON_KAFKA", kafka.servers)
        create(kafka, "crm.notes", 2)
        for number in range(25):
            send(kafka, "crm.notes", [Sent({"note": {"number": number}, "subject": "s"}, str(number))])
        done = escalon("check", "--topic", "crm.notes")
        assert done.code == 0, done.err
        shown = [line.split(": event ")[1] for line in done.stdout.splitlines() if ": event " in line]
        assert shown == [str(number) for number in range(15, 25)]
        missing = escalon("check", "--topic", "later")
        assert missing.code == 2
        assert "Kafka has no topic later" in missing.err
