"""The commands that need no server, as a user types them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


def escalon(*arguments: str, cwd: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(cwd), "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(
        [sys.executable, "-m", "streams", *arguments],
        cwd=cwd,
        env=environment | settings,
        capture_output=True,
        text=True,
        timeout=120,
    )


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
    done = escalon("init", "desk", "--models", "claude", cwd=directory)
    assert done.returncode == 0, done.stderr
    return directory / "desk"


def test_the_starter_pipeline_is_in_order_as_it_is_written(desk: Path) -> None:
    done = escalon("check", "pipeline.toml", cwd=desk)
    assert done.returncode == 0, done.stderr
    assert "is valid" in done.stdout


def test_a_starter_does_not_overwrite_files(desk: Path) -> None:
    done = escalon("init", ".", cwd=desk)
    assert done.returncode == 2
    assert "not empty" in done.stderr


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("treshold = 0.5\n", ("workers.answer.treshold", "Did you mean 'threshold'?")),
        ('handler = "desk:answer"\n', ("workers.answer",)),
    ],
)
def test_a_mistake_is_named_with_its_key_and_the_remedy(desk: Path, wrong: str, said: tuple[str, ...]) -> None:
    text = (desk / "pipeline.toml").read_text("utf-8")
    broken = desk / "broken.toml"
    broken.write_text(text.replace("[workers.answer]\n", f"[workers.answer]\n{wrong}"), "utf-8")
    done = escalon("check", "broken.toml", cwd=desk)
    assert done.returncode == 2
    told = " ".join(done.stderr.split())
    assert all(words in told for words in said), told


def test_training_prints_its_figures_as_json_for_programs(desk: Path) -> None:
    done = escalon("train", "listener", "intents.jsonl", "--out", "again.npz", "--json", cwd=desk)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["accuracy"] > 0.8
    assert (desk / "again.npz").read_bytes()[:2] == b"PK"


def test_without_a_broker_a_command_says_how_to_get_one(tmp_path: Path) -> None:
    done = escalon("outcomes", cwd=tmp_path)
    assert done.returncode == 1
    assert "escalon up" in " ".join(done.stderr.split())  # which the width of the terminal may break


def test_what_the_models_need_and_is_not_here_is_warned_of(desk: Path) -> None:
    without_key = escalon("check", "pipeline.toml", cwd=desk)
    assert without_key.returncode == 0
    assert without_key.stderr.count("ANTHROPIC_API_KEY: no key is set") == 1
    (desk / "local.toml").write_text(LOCAL, "utf-8")
    without_weights = escalon("check", "local.toml", cwd=desk)
    assert without_weights.returncode == 0, without_weights.stderr
    assert "Run `escalon models pull qwen2.5-coder-0.5b-instruct-q4_k_m`." in without_weights.stderr
    assert "mine.gguf" in without_weights.stderr
    with_key = escalon("check", "pipeline.toml", cwd=desk, ANTHROPIC_API_KEY="planted")
    assert "Warning" not in with_key.stderr


def test_weights_are_listed_without_a_network(tmp_path: Path) -> None:
    done = escalon("models", "list", cwd=tmp_path)
    assert done.returncode == 0
    assert "qwen2.5-coder-1.5b-instruct-q4_k_m" in done.stdout


def test_a_prompt_that_prints_an_event_s_words_as_they_are_is_warned_of(desk: Path) -> None:
    clean = escalon("check", "pipeline.toml", cwd=desk)
    assert "outside a fence" not in clean.stderr
    prompt = desk / "prompts" / "extract.j2"
    kept = prompt.read_text("utf-8")
    prompt.write_text(kept.replace("{{ text | fenced }}", "{{ text }}"), "utf-8")
    done = escalon("check", "pipeline.toml", cwd=desk)
    prompt.write_text(kept, "utf-8")
    assert done.returncode == 0
    assert "workers.extract: prompts/extract.j2" in " ".join(done.stderr.split())
    assert "{{ text | fenced }}" in done.stderr


def test_what_thinking_may_take_and_what_the_provider_does_not_enforce_is_said(desk: Path) -> None:
    good = escalon("check", "pipeline.toml", cwd=desk)
    assert "thinks before it answers" not in good.stderr
    assert "Note: workers.extract: Claude is not held to maxItems (answer.items)" in good.stderr
    text = (desk / "pipeline.toml").read_text("utf-8")
    (desk / "tight.toml").write_text(text.replace("max_tokens = 8000", "max_tokens = 300"), "utf-8")
    tight = escalon("check", "tight.toml", cwd=desk)
    assert tight.returncode == 0
    assert "Warning: reasoners.resolve: claude-opus-5-5 thinks before it answers" in tight.stderr
    assert "max_tokens = 300" in tight.stderr
