"""Pipeline files of tests: a valid one, changes to it, and the errors of wrong ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from streams.core.errors import ConfigError
from streams.pipeline.code import ANY_PYTHON
from streams.pipeline.load import Pipeline, load_pipeline
from tests.harness import stages

TEMPLATE = "{% block system %}Be brief. {{ knowledge }}{% endblock %}{% block user %}{{ text | fenced }}{% endblock %}"
SCHEMA = '{"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}}'
FILES = {
    "prompt.j2": TEMPLATE,
    "schema.json": SCHEMA,
    "facts.md": "Parcels take two days.",
    "intents.npz": "the artifact",
    "desk.py": "def do(task): ...",
}
BASE = """
name = "desk"

[models.m]
provider = "recorded"
model = "small"
cassette = "none.jsonl"

[listeners.rules]
kind = "rules"
[listeners.rules.rules]
nothing = ["^ok$"]
order = ["order"]

[listeners.intent]
kind = "classifier"
artifact = "intents.npz"

[listeners.label]
kind = "language-model"
model = "m"
labels = ["order", "question"]

[routes]
nothing = "ignore"
order = "workers.work"
question = "reasoners.think"
unsure = "workers.code"

[workers.work]
model = "m"
prompt = "prompt.j2"
schema = "schema.json"
knowledge = "facts.md"
parameters = { seed = 1 }

[workers.code]
handler = "desk:do"

[reasoners.think]
model = "m"
task = "resolve"
"""


def loaded(directory: Path, text: str = BASE, files: Mapping[str, str] = FILES) -> Pipeline:
    """The pipeline of a file with all it names."""
    for name, content in (FILES | dict(files)).items():
        (directory / name).write_text(content, "utf-8")
    (directory / "pipeline.toml").write_text(text, "utf-8")
    return load_pipeline(directory / "pipeline.toml", ANY_PYTHON)


def changed(old: str, new: str, text: str = BASE) -> str:
    """The file with one place changed."""
    assert text.count(old) == 1, f"{old!r} stands there {text.count(old)} times"
    return text.replace(old, new)


def wrong(directory: Path, text: str = BASE, files: Mapping[str, str] = FILES) -> ConfigError:
    """The error of a file that is wrong."""
    with pytest.raises(ConfigError) as caught:
        loaded(directory, text, files)
    return caught.value


FUNCTION = "def hide(text):\n    return text\n"


def with_redaction(directory: Path, redaction: str = "", function: str = FUNCTION) -> Pipeline:
    """The pipeline of the stages' tests with a table [redaction] and the function that it may name."""
    (directory / "desk_hides.py").write_text(function, "utf-8")
    (directory / "pipeline.toml").write_text(stages.PIPELINE + redaction, "utf-8")
    return load_pipeline(directory / "pipeline.toml", ANY_PYTHON)
