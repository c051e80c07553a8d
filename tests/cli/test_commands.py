"""The commands that need no server, in a directory that `escalon init` has made."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.adapters.clickhouse import ClickHouseConfig
from streams.demo.starter import SAMPLE_EVENTS
from streams.embedded.supervisor import module_command, module_environment
from tests.harness.commands import Escalon, in_shop

NOWHERE = ClickHouseConfig(url="http://127.0.0.1:1")
LOCAL = """\
name = "local"

[models.known]
provider = "local"
model = "qwen2.5-coder-0.5b-instruct-q4_k_m"

[models.own]
provider = "local"
model = "mine.gguf"

[listeners.words]
kind = "rules"
applies_to = ["text"]
rules = { question = ["\\\\?"] }

[routes]
question = "workers.answer"
unsure = "ignore"

[workers.answer]
task = "answer"
model = "known"
inputs = ["text"]
"""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("starter")
    command = [*module_command("streams"), "init", "desk", "--models", "claude"]
    subprocess.run(command, cwd=directory, env=module_environment(), check=True)
    return directory / "desk"


@pytest.fixture
def escalon(desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Escalon]:
    """The commands in the starter's directory, for a user who has set nothing and has no weights."""
    for name in list(os.environ):
        if name.startswith(("ESCALON_", "ANTHROPIC_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(desk))
    with in_shop(desk, NOWHERE, monkeypatch, capsys) as escalon:
        yield escalon


def test_the_starter_pipeline_is_in_order_as_it_is_written(escalon: Escalon) -> None:
    done = escalon("check", "pipeline.toml")
    assert done.code == 0, done.err
    assert "is valid" in done.stdout
    assert "pipeline.toml is valid" in " ".join(escalon("check").stdout.split())


def test_the_sample_happens_when_it_is_published(desk: Path) -> None:
    rows = [json.loads(line) for line in (desk / "sample.jsonl").read_text("utf-8").splitlines()]
    assert [{"id", "channel", "text"}] * SAMPLE_EVENTS == [set(row) for row in rows]


def test_a_starter_does_not_overwrite_files(escalon: Escalon) -> None:
    done = escalon("init", ".")
    assert done.code == 2
    assert "not empty" in done.err


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("treshold = 0.5\n", ("workers.answer.treshold", "Did you mean 'threshold'?")),
        ('handler = "desk:answer"\n', ("workers.answer",)),
    ],
)
def test_a_mistake_is_named_with_its_key_and_the_remedy(
    escalon: Escalon, desk: Path, wrong: str, said: tuple[str, ...]
) -> None:
    text = (desk / "pipeline.toml").read_text("utf-8")
    broken = desk / "broken.toml"
    broken.write_text(text.replace("[workers.answer]\n", f"[workers.answer]\n{wrong}"), "utf-8")
    done = escalon("check", "broken.toml")
    assert done.code == 2
    assert all(words in done.err for words in said), done.err


def test_training_prints_its_figures_as_json_for_programs(escalon: Escalon, desk: Path) -> None:
    done = escalon("train", "listener", "intents.jsonl", "--out", "again.npz", "--json")
    assert done.code == 0, done.err
    figures = json.loads(done.stdout)
    assert figures["accuracy"] > 0.8
    assert (desk / "again.npz").read_bytes()[:2] == b"PK"


def test_without_a_broker_a_command_says_how_to_get_one(escalon: Escalon) -> None:
    done = escalon("outcomes")
    assert done.code == 1
    assert "escalon up" in done.err


def test_what_the_models_need_and_is_not_here_is_warned_of(
    escalon: Escalon, desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_key = escalon("check", "pipeline.toml")
    assert without_key.code == 0
    assert without_key.err.count("ANTHROPIC_API_KEY: no key is set") == 1
    (desk / "local.toml").write_text(LOCAL, "utf-8")
    without_weights = escalon("check", "local.toml")
    assert without_weights.code == 0, without_weights.err
    assert "Run `escalon models pull qwen2.5-coder-0.5b-instruct-q4_k_m`." in without_weights.err
    assert "mine.gguf" in without_weights.err
    monkeypatch.setenv("ANTHROPIC_API_KEY", "planted")
    with_key = escalon("check", "pipeline.toml")
    assert "Warning" not in with_key.err


def test_weights_are_listed_without_a_network(escalon: Escalon) -> None:
    done = escalon("models", "list")
    assert done.code == 0
    assert "qwen2.5-coder-1.5b-instruct-q4_k_m" in done.stdout


def test_a_prompt_that_prints_an_event_s_words_as_they_are_is_warned_of(escalon: Escalon, desk: Path) -> None:
    clean = escalon("check", "pipeline.toml")
    assert "outside a fence" not in clean.err
    prompt = desk / "prompts" / "extract.j2"
    kept = prompt.read_text("utf-8")
    prompt.write_text(kept.replace("{{ text | fenced }}", "{{ text }}"), "utf-8")
    done = escalon("check", "pipeline.toml")
    prompt.write_text(kept, "utf-8")
    assert done.code == 0
    assert "workers.extract: prompts/extract.j2" in done.err
    assert "{{ text | fenced }}" in done.err


def test_what_thinking_may_take_and_what_the_provider_does_not_enforce_is_said(escalon: Escalon, desk: Path) -> None:
    good = escalon("check", "pipeline.toml")
    assert "thinks before it answers" not in good.err
    assert "Note: workers.extract: Claude is not held to maxItems (answer.items)" in good.err
    text = (desk / "pipeline.toml").read_text("utf-8")
    (desk / "tight.toml").write_text(text.replace("max_tokens = 8000", "max_tokens = 300"), "utf-8")
    tight = escalon("check", "tight.toml")
    assert tight.code == 0
    assert "Warning: reasoners.resolve: claude-opus-5-5 thinks before it answers" in tight.err
    assert "max_tokens = 300" in tight.err
