"""The pipeline's redaction as it is used: its function loaded, its first failure logged without its message."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from streams.app.redaction import redaction_policy, row_redactor
from streams.core.errors import ConfigError
from streams.core.redaction.policy import FAILED
from streams.pipeline.code import ANY_PYTHON
from streams.pipeline.load import Pipeline, load_pipeline
from tests.harness.stages import PIPELINE

Load = Callable[[str], Pipeline]
FUNCTIONS = """
def shout(text):
    return text.upper()

def fail(text):
    raise ValueError(text)

async def wait(text):
    return text

nothing = 5
"""


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    (tmp_path / "app_hides.py").write_text(FUNCTIONS, "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))

    def load(redaction: str) -> Pipeline:
        (tmp_path / "pipeline.toml").write_text(PIPELINE + redaction, "utf-8")
        return load_pipeline(tmp_path / "pipeline.toml", ANY_PYTHON)

    return load


def test_without_a_pipeline_or_its_table_rows_stay_as_they_are(loaded: Load) -> None:
    row = {"answer": "jo@x.org"}
    assert row_redactor(None)("outcomes_rows", row) == row
    assert row_redactor(loaded(""))("outcomes_rows", row) == row
    assert redaction_policy(loaded("")) is None


def test_the_function_is_called_after_the_rules(loaded: Load) -> None:
    pipeline = loaded("[redaction]\ndetect = ['email']\nfunction = 'app_hides:shout'\n")
    assert pipeline.redaction is not None
    row = row_redactor(pipeline)("outcomes_rows", {"answer": "to jo@x.org", "reasons": ["a"], "handler": "x"})
    assert row == {"answer": "TO [EMAIL]", "reasons": ["A"], "handler": "x", "redaction": pipeline.redaction.id}


def test_a_function_that_raises_is_logged_once_without_its_message(
    loaded: Load, caplog: pytest.LogCaptureFixture
) -> None:
    policy = redaction_policy(loaded("[redaction]\nfunction = 'app_hides:fail'\n"))
    assert policy is not None
    with caplog.at_level(logging.ERROR):
        assert {policy.text(text) for text in ("anna", "bob")} == {FAILED}
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "anna" not in caplog.text
    assert "ValueError" in caplog.text


@pytest.mark.parametrize(
    ("name", "said"), [("wait", "asynchronous"), ("nothing", "not a function"), ("gone", "imported")]
)
def test_a_function_that_cannot_be_used_is_refused_at_the_start(loaded: Load, name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        redaction_policy(loaded(f"[redaction]\nfunction = 'app_hides:{name}'\n"))
