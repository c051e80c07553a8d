"""The mistakes of a first hour: each command names the mistake and the remedy, and prints nothing else before that."""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streams.adapters.clickhouse_connection import ClickHouseConfig
from streams.adapters.clickhouse_migrations import migrate
from streams.adapters.kafka import KafkaConfig
from streams.adapters.kafka_admin import create_topics
from streams.cli.main import run
from streams.embedded.broker import Tansu
from streams.embedded.stack import EmbeddedStack
from tests.harness.panels import RUBRIC

REFUSING = "127.0.0.1:1"
PIPELINE = """\
name = "desk"

[models.small]
provider = "claude"
model = "claude-haiku-5-5"

[listeners.words]
kind = "rules"
applies_to = ["text"]
rules = { question = ["x"] }

[routes]
question = "workers.answer"
unsure = "ignore"

[workers.answer]
model = "small"
prompt = "answer.j2"
schema = "answer.json"
confidence = "verbalized"
threshold = 0.75
"""
PROMPT = "{% block system %}Answer.{% endblock %}{% block user %}{{ text | fenced }}{% endblock %}"
SCHEMA = '{"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}'
LABEL = '{"event_id": "mail-1", "label": {"answer": "here"}}\n'
WORKER = "[workers.answer]\n"
CLASSIFIER = 'kind = "classifier"\nartifact = "gone.npz"\n'
BUDGET = '[budgets.worker]\nusd_per_day = "1"\n[routes]'
KAFKA = f"Kafka at {REFUSING} cannot be reached (connection refused). Check that it runs and that ESCALON_KAFKA"
CLICKHOUSE = f"ClickHouse at http://{REFUSING} cannot be reached (connection refused). Check that it runs"

IN_THE_FILE = [
    (WORKER, f"{WORKER}treshold = 1\n", "workers.answer.treshold: unknown key.", "Did you mean 'threshold'?"),
    ("0.75", "1.7", "workers.answer.threshold: 1.7 is out of range.", "Write at most 1."),
    ("0.75", '"high"', "workers.answer.threshold: 'high' is not a number.", "Write a number without quotes"),
    ('"answer.j2"', '"gone.j2"', "workers.answer.prompt: gone.j2 cannot be read", "Give a path relative to"),
    ('"answer.json"', '"gone.json"', "workers.answer.schema: gone.json cannot be read", "Give a path relative to"),
    ('kind = "rules"\n', CLASSIFIER, "gone.npz cannot be read", "Make it with `escalon train listener FILE --out"),
    ("threshold = 0.75", 'calibration = "c.json"', "c.json cannot be read", "`escalon calibrate --handler answer"),
    ('"workers.answer"', '"workers.anser"', "'workers.anser' is not a target.", "Use one of: ignore, workers.answer"),
    ('unsure = "ignore"\n', "", "routes.unsure: is missing", 'Add for example unsure = "ignore"'),
    ('"verbalized"', '"logprob"', "Claude gives no log-probabilities.", 'Use "verbalized", or a local model.'),
    ("[routes]", "[routes", "pipeline.toml is not valid TOML", "Fix the line named above."),
    (
        '"claude"',
        '"oracle"',
        "models.small.provider: 'oracle' does not exist.",
        "Use one of 'claude', 'openai', 'local', 'recorded'",
    ),
    (WORKER, f'{WORKER}correct = "desk:same"\n', "the module desk", "allow it with ESCALON_ALLOW_PYTHON=desk"),
]
WITHOUT_SERVERS = [
    (["publish", "empty.jsonl"], 2, "empty.jsonl holds no events.", "Write one event a line: JSON or text."),
    (["publish", "events.txt"], 1, "No Kafka broker is configured", "Start one with `escalon up`"),
    (["trace", "mail-1"], 1, "There is no audit in", "Run `escalon demo` or `escalon up` first"),
    (["up", "-p", "nowhere.toml"], 2, "there is no pipeline file nowhere.toml", "Write a starter with `escalon init"),
    (["up"], 2, "ANTHROPIC_API_KEY: no key is set for Claude.", "Set it, or choose models that need no key"),
    (["models", "pull", "gpt"], 2, "by the name gpt", "Use one of"),
]
WITH_SERVERS = [
    (["query", "SELEC 1"], 2, "ClickHouse refused the query: Syntax error", "Expected one of"),
    (["query", "SELECT nothing FROM calls"], 2, "identifier `nothing`", 'escalon query "DESCRIBE calls"'),
    (["trace", "mail-7"], 2, "the run 'live' has no event 'mail-7'", "Look for it with escalon outcomes"),
    (["label", "wrong.jsonl"], 2, "labels that no answer can agree with: 1 of 1. Nothing was published.", "ansver"),
    (["label", "labels.jsonl"], 0, "1 of 1 labels are about events that the audit does not know", "Check their event"),
]
UNREACHABLE = [
    (KAFKA, ["publish", "events.txt"]),
    (KAFKA, ["label", "labels.jsonl"]),
    (KAFKA, ["outcomes"]),
    (KAFKA, ["watch"]),
    (KAFKA, ["topics"]),
    (KAFKA, ["replay", "-p", "pipeline.toml", "--run", "again"]),
    (KAFKA, ["up"]),
    (KAFKA, ["panel", "close", "week-48"]),
    (KAFKA, ["panel", "new", "week-48", "--rubric", "rubric.toml"]),
    (KAFKA, ["topics", "--create"]),
    (KAFKA, ["ui"]),
    (KAFKA, ["verify"]),
    (CLICKHOUSE, ["dead-letters", "retry", "--reason", "operator_error"]),
    (CLICKHOUSE, ["dead-letters", "drop", "0" * 32, "--reason", "a trial"]),
    (KAFKA, ["erase", "--subject", "customer-77"]),
    (CLICKHOUSE, ["query", "SELECT 1"]),
    (CLICKHOUSE, ["trace", "mail-1"]),
    (CLICKHOUSE, ["report"]),
    (CLICKHOUSE, ["migrate"]),
    (CLICKHOUSE, ["evaluate"]),
    (CLICKHOUSE, ["compare", "live", "again"]),
    (CLICKHOUSE, ["what-if", "--set", "workers.answer.threshold=0.9"]),
    (CLICKHOUSE, ["calibrate", "--handler", "answer", "--max-error", "0.05"]),
    (CLICKHOUSE, ["dead-letters", "list"]),
    (CLICKHOUSE, ["panel", "list"]),
    (CLICKHOUSE, ["panel", "report", "week-48"]),
    (KAFKA, ["panel", "judge", "week-48", "--model", "small"]),
    (CLICKHOUSE, ["certify"]),
]

Said = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The settings of a broker and ClickHouse with topics and tables."""
    with EmbeddedStack(tmp_path_factory.mktemp("servers"), Tansu()) as stack:
        create_topics(KafkaConfig(servers=stack.addresses.kafka), "", 1, 1)
        migrate(ClickHouseConfig(url=stack.addresses.clickhouse))
        yield {"ESCALON_KAFKA": stack.addresses.kafka, "ESCALON_CLICKHOUSE": stack.addresses.clickhouse}


@pytest.fixture
def escalon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Said]:
    """Run commands as the program does, in a directory with a pipeline, without servers, keys and settings.

    The result is the exit code, and all that was written to standard error as one line.
    """
    for name in [name for name in os.environ if name.startswith(("ESCALON_", "ANTHROPIC_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ESCALON_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    files = {"pipeline.toml": PIPELINE, "answer.j2": PROMPT, "answer.json": SCHEMA, "empty.jsonl": ""}
    files |= {"events.txt": "Where is it?\n", "rubric.toml": RUBRIC}
    files |= {"labels.jsonl": LABEL, "wrong.jsonl": LABEL.replace("answer", "ansver")}
    for name, text in files.items():
        (tmp_path / name).write_text(text, "utf-8")

    def said(*arguments: str, **settings: str) -> tuple[int, str]:
        with monkeypatch.context() as patched:
            for name, value in settings.items():
                patched.setenv(name, value)
            patched.setattr(sys, "argv", ["escalon", *arguments])
            patched.setattr(logging.getLogger(), "handlers", [])  # pytest's would hide what Python prints itself
            with pytest.raises(SystemExit) as ended:
                run()
        return int(str(ended.value.code or 0)), " ".join(capfd.readouterr().err.split())

    terminating = signal.getsignal(signal.SIGTERM)
    yield said
    signal.signal(signal.SIGTERM, terminating)  # run() sets it


@pytest.mark.parametrize(("old", "new", "what", "remedy"), IN_THE_FILE)
def test_a_mistake_in_the_pipeline_file_is_named_by_check(
    escalon: Said, old: str, new: str, what: str, remedy: str
) -> None:
    assert old in PIPELINE
    Path("pipeline.toml").write_text(PIPELINE.replace(old, new, 1), "utf-8")
    code, said = escalon("check", "pipeline.toml")
    assert code == 2
    assert what in said
    assert remedy in said


def test_a_model_without_a_price_under_a_budget_is_named(escalon: Said) -> None:
    text = PIPELINE.replace("[routes]", BUDGET).replace('"claude-haiku-5-5"', '"claude-of-the-house"')
    Path("pipeline.toml").write_text(text, "utf-8")
    code, said = escalon("check", "pipeline.toml")
    assert code == 2
    assert "models.small.priced_as: its calls have no price, so the workers' budget cannot be kept." in said
    assert "Set priced_as to a model of the price list." in said


@pytest.mark.parametrize(("arguments", "code", "what", "remedy"), WITHOUT_SERVERS)
def test_what_is_missing_is_named_with_the_remedy(
    escalon: Said, arguments: list[str], code: int, what: str, remedy: str
) -> None:
    ended, said = escalon(*arguments)
    assert ended == code
    assert what in said
    assert remedy in said


@pytest.mark.parametrize(("arguments", "code", "what", "remedy"), WITH_SERVERS)
def test_a_mistake_in_what_is_asked_or_published_is_named(
    escalon: Said, servers: dict[str, str], arguments: list[str], code: int, what: str, remedy: str
) -> None:
    ended, said = escalon(*arguments, **servers)
    assert ended == code, said
    assert what in said
    assert remedy in said


@pytest.mark.parametrize("arguments", [["outcomes"], ["report"]])
def test_a_server_that_accepts_connections_and_is_silent_is_named(escalon: Said, arguments: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        code, said = escalon(*arguments, ESCALON_KAFKA=address, ESCALON_CLICKHOUSE=f"http://{address}")
    assert code == 1
    assert f"{address} cannot be reached (no answer within 2 s)." in said


@pytest.mark.parametrize(("expected", "arguments"), UNREACHABLE)
def test_an_unreachable_server_is_named_and_no_client_says_anything(
    escalon: Said, expected: str, arguments: list[str]
) -> None:
    servers = {"ESCALON_KAFKA": REFUSING, "ESCALON_CLICKHOUSE": f"http://{REFUSING}"}
    code, said = escalon(*arguments, **servers, ANTHROPIC_API_KEY="planted")
    assert code == 1
    assert said.startswith(f"escalon: {expected}")


def test_a_model_at_an_address_of_this_machine_needs_no_key(escalon: Said) -> None:
    text = PIPELINE.replace('"claude"\n', '"claude"\nbase_url = "http://127.0.0.1:8000"\n', 1)
    Path("pipeline.toml").write_text(text, "utf-8")
    code, said = escalon("check", "pipeline.toml")
    assert (code, "ANTHROPIC_API_KEY" in said) == (0, False)


def test_a_taken_port_is_named(escalon: Said) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, said = escalon("ui", "--port", str(taken.getsockname()[1]), ANTHROPIC_API_KEY="planted")
    assert code == 1
    assert "cannot be listened on" in said
    assert "--port" in said


def test_a_second_stack_on_one_directory_is_refused(escalon: Said, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with (tmp_path / "data" / "embedded.lock").open("w") as lock:
        lock.write("4711")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, said = escalon("up", ANTHROPIC_API_KEY="planted")
    assert code == 1
    assert "is in use by process 4711. Stop that process, or set ESCALON_DATA to another directory." in said
