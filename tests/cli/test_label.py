"""The command `escalon label`, as far as it needs no server."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streams.cli.label import MAX_LABELS, SHOWN_FAULTS, read_labels
from streams.cli.main import app
from streams.core.errors import ConfigError, ServiceError
from streams.core.messages import Label
from tests.harness.shop import ONLY_ORDERS, shop

AT = datetime(2026, 11, 1, tzinfo=UTC)


def written(path: Path, *lines: str) -> str:
    file = path / "labels.jsonl"
    file.write_text("\n".join(lines), "utf-8")
    return str(file)


def test_every_line_is_a_label_and_empty_lines_are_none(tmp_path: Path) -> None:
    file = written(tmp_path, '{"event_id": "a", "label": {"intent": "order"}}', "", '{"event_id": "b", "label": "no"}')
    assert read_labels(file, AT) == [
        Label(event_id="a", label='{"intent": "order"}', labelled_at=AT),
        Label(event_id="b", label="no", labelled_at=AT),
    ]


def test_wrong_lines_are_named_with_their_numbers_and_nothing_is_published(tmp_path: Path) -> None:
    file = written(tmp_path, '{"event_id": "a", "label": "x"}', '{"event_id": "b"}', "", "plain text")
    with pytest.raises(ConfigError) as refused:
        read_labels(file, AT)
    told = str(refused.value)
    assert "invalid lines: 2. Nothing was published." in told
    assert "line 2: The key 'label' is missing." in told
    assert "line 4: This is not JSON" in told
    assert "line 1" not in told


def test_only_the_first_of_many_wrong_lines_are_listed(tmp_path: Path) -> None:
    file = written(tmp_path, *["wrong"] * (SHOWN_FAULTS + 5))
    with pytest.raises(ConfigError, match="and 5 more lines") as refused:
        read_labels(file, AT)
    assert str(refused.value).count("line ") == SHOWN_FAULTS


def test_a_missing_file_is_the_users_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_labels(str(tmp_path / "none.jsonl"), AT)


def test_more_labels_than_fit_are_refused(tmp_path: Path) -> None:
    assert MAX_LABELS == 1_000_000
    file = written(tmp_path, *['{"event_id": "a", "label": "x"}'] * 3)
    with pytest.raises(ConfigError, match="more than 2 labels"):
        read_labels(file, AT, most=2)


def test_wrong_lines_from_stdin_are_refused_before_a_broker_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ESCALON_DATA", str(tmp_path))
    monkeypatch.delenv("ESCALON_KAFKA", raising=False)
    refused = CliRunner().invoke(app, ["label", "-"], input="nonsense\n")
    assert isinstance(refused.exception, ConfigError)
    assert "standard input: invalid lines: 1." in str(refused.exception)
    unplaced = CliRunner().invoke(app, ["label", "-"], input=json.dumps({"event_id": "a", "label": 1}))
    assert isinstance(unplaced.exception, ServiceError)
    assert "escalon up" in unplaced.exception.remedy


def test_labels_that_no_answer_can_agree_with_are_refused_before_a_broker_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ESCALON_DATA", str(tmp_path))
    monkeypatch.delenv("ESCALON_KAFKA", raising=False)
    shop(tmp_path, ONLY_ORDERS)
    lines = '{"event_id": "a", "label": {"number": "7"}}\n{"event_id": "b", "label": {"nubmer": "7"}}\n'
    command = ["label", "-", "-p", str(tmp_path / "pipeline.toml")]
    refused = CliRunner().invoke(app, command, input=lines)
    assert isinstance(refused.exception, ConfigError)
    said = str(refused.exception)
    assert "labels that no answer can agree with: 1 of 2. Nothing was published." in said
    assert "event b: no handler can give such an answer; workers.answer: the label has no field 'number'" in said
