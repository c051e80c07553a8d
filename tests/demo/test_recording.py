"""The packaged recording holds the answers of the demo's models to the demo's present prompts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from streams.cli.classifier_training import train_classifier
from streams.core.errors import ConfigError
from streams.demo.recording import begin_recording, finish_recording, read_recording
from streams.demo.starter import write_pack
from streams.models.providers.cassette import request_key
from streams.models.providers.protocol import ModelRequest
from streams.pipeline.code import ANY_PYTHON
from streams.pipeline.handlers import Handler
from streams.pipeline.load import Pipeline, load_pipeline

ASK = {"question": "answer", "order": "extract"}
"""By intent, the worker that a model answers for."""


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    file = write_pack(tmp_path_factory.mktemp("demo"), "local")
    train_classifier(file.parent / "intents.jsonl", file.parent / "intents.npz", quiet=True)
    return load_pipeline(file, ANY_PYTHON)


def requests(pipeline: Pipeline) -> Iterator[tuple[str, ModelRequest]]:
    """Yield what the workers ask their model about the packaged events."""
    directory = pipeline.path.parent
    rows = [[json.loads(one) for one in (directory / name).read_text("utf-8").splitlines()] for name in ("events.jsonl", "truth.jsonl")]  # fmt: skip # noqa: E501
    for event, truth in zip(*rows, strict=True):
        if truth["intent"] in ASK and not truth.get("duplicate_of"):
            yield event["id"], request(pipeline, pipeline.workers[ASK[truth["intent"]]], event["text"])


def request(pipeline: Pipeline, handler: Handler, text: str) -> ModelRequest:
    assert handler.prompting is not None
    variables: dict[str, object] = {"text": text, "data": {}, "image": None, "knowledge": handler.prompting.knowledge}
    system, prompt = handler.prompting.template.render(
        variables | {"labels": handler.prompting.labels, "reason": None, "attempt": None}
    )
    spec, model = handler.prompts, pipeline.spec.models["worker"].model
    return ModelRequest(model, system, prompt, spec.max_tokens, handler.prompting.contract.wire_schema, spec.parameters)


def test_the_recording_holds_an_answer_to_every_prompt_of_a_worker(pipeline: Pipeline) -> None:
    lines = read_recording(pipeline.path.parent).cassette.read_text("utf-8").splitlines()
    recorded = {json.loads(one)["key"] for one in lines}
    missing = [name for name, one in requests(pipeline) if request_key(one) not in recorded]
    assert not missing, "record the demo again: docs/demo.md"


def test_the_recording_is_of_the_models_that_the_pipeline_names(pipeline: Pipeline) -> None:
    recording = read_recording(pipeline.path.parent)
    models = {one.model for one in pipeline.spec.models.values()}
    assert set(recording.models) == models
    assert {json.loads(one)["request"]["model"] for one in recording.cassette.read_text("utf-8").splitlines()} == models
    assert recording.recorded_on in recording.label


def test_a_recording_is_begun_without_the_earlier_one_and_finished_with_its_date(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    begin_recording(tmp_path).write_text("b\na\n", "utf-8")
    finish_recording(tmp_path, pipeline, date(2026, 11, 30))
    found = read_recording(tmp_path)
    assert (found.recorded_on, found.cassette.read_text("utf-8")) == ("2026-11-30", "a\nb\n")
    begin_recording(tmp_path)
    with pytest.raises(ConfigError, match="no recording"):
        read_recording(tmp_path)
