"""Requests of a pipeline, checked before anybody is asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from streams.app.provider_limits import not_held_to
from streams.app.providers import Providers
from streams.app.settings import read_settings
from streams.core.errors import ConfigError
from streams.pipeline.load import Pipeline
from tests.harness.pipeline_files import BASE, changed, loaded
from tests.harness.stages import Clock, FakeAnswers, call_services

CLAUDE = 'provider = "claude"\nmodel = "claude-haiku-4-5"'
LOCAL = 'provider = "local"\nmodel = "none.gguf"'
LIMITS = changed("parameters = { seed = 1 }", "", BASE)
TAGS = {
    "type": "object",
    "properties": {"tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": True}},
    "required": ["tags"],
}


def pipeline_of(directory: Path, model: str, schema: Any) -> Pipeline:
    text = changed('provider = "recorded"\nmodel = "small"\ncassette = "none.jsonl"', model, LIMITS)
    return loaded(directory, text, {"schema.json": json.dumps(schema)})


def check(directory: Path, pipeline: Pipeline) -> None:
    Providers(pipeline, read_settings({"ESCALON_DATA": str(directory)})).check([pipeline.workers["work"]])


def refused(directory: Path, model: str, schema: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        check(directory, pipeline_of(directory, model, schema))
    assert (caught.value.key, bool(caught.value.remedy)) == ("workers.work", True)
    return caught.value


@pytest.mark.parametrize(("model", "name"), [(CLAUDE, "Claude"), (LOCAL, "llama.cpp")])
def test_a_limit_that_the_provider_cannot_enforce_is_noted(tmp_path: Path, model: str, name: str) -> None:
    pipeline = pipeline_of(tmp_path, model, TAGS)
    check(tmp_path, pipeline)
    (note,) = not_held_to([pipeline.workers["work"], pipeline.listeners["label"]], pipeline)
    said = "uniqueItems (answer.tags). An answer that breaks it is invalid."
    assert note == f"workers.work: {name} is not held to {said}"


def test_a_cassette_has_no_limits(tmp_path: Path) -> None:
    pipeline = loaded(tmp_path)
    assert list(not_held_to([*pipeline.workers.values(), *pipeline.listeners.values()], pipeline)) == []


def test_a_free_object_is_refused_for_claude_alone(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"fields": {"type": "object"}}, "required": ["fields"]}
    assert "at answer.fields" in refused(tmp_path, CLAUDE, schema).what
    check(tmp_path, pipeline_of(tmp_path, LOCAL, schema))


def test_a_pattern_that_looks_ahead_is_refused_for_llama_cpp_alone(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    schema = {"type": "object", "properties": {"sku": {"type": "string", "pattern": "^(?=A)A$"}}, "required": ["sku"]}
    assert 'at answer.sku: pattern = "^(?=A)A$"' in refused(tmp_path, LOCAL, schema).what
    check(tmp_path, pipeline_of(tmp_path, CLAUDE, schema))


def test_a_tier_does_not_start_with_a_request_that_its_model_would_not_take(tmp_path: Path) -> None:
    pipeline = pipeline_of(tmp_path, CLAUDE, {"type": "object"})
    settings = read_settings({"ESCALON_DATA": str(tmp_path), "ANTHROPIC_API_KEY": "planted"})
    with pytest.raises(ConfigError, match="at answer") as caught:
        Providers(pipeline, settings).callers(pipeline.workers, call_services(pipeline, Clock(), FakeAnswers()))
    assert caught.value.key == "workers.work"


def test_an_answer_that_is_impossible_is_refused_even_where_a_refusal_is_possible(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 5, "maximum": 4}}, "required": ["n"]}
    pipeline = pipeline_of(tmp_path, LOCAL, schema)
    assert pipeline.workers["work"].prompts.refusal == "field"
    assert "at answer.n" in refused(tmp_path, LOCAL, schema).what
