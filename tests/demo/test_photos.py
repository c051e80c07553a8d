"""The demo's photos: filed by plain code, or by a model that is shown them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from streams.adapters.blobs import BlobStore
from streams.app.providers import Providers
from streams.app.settings import read_settings
from streams.calling.task import Task
from streams.cli.classifier_training import train_classifier
from streams.demo.starter import write_pack
from streams.pipeline.code import ANY_PYTHON
from streams.pipeline.load import Pipeline, load_pipeline
from tests.harness.fakes.messages_images import images_of
from tests.harness.fakes.messages_thread import MessagesThread

SAID = {"subject": "tent", "caption": "A green tent on a meadow."}


def packed(directory: Path, models: str) -> Pipeline:
    file = write_pack(directory, models)
    train_classifier(directory / "intents.jsonl", directory / "intents.npz", quiet=True)
    return load_pipeline(file, ANY_PYTHON)


def test_without_a_model_that_sees_a_photo_is_filed_by_plain_code(tmp_path: Path) -> None:
    assert packed(tmp_path, "local").workers["file"].function == "desk:file_photo"


async def test_claude_is_shown_the_photo_and_files_it_under_what_it_shows(tmp_path: Path) -> None:
    pipeline, bodies = packed(tmp_path, "claude"), list[Mapping[str, Any]]()

    def answer(body: Mapping[str, Any]) -> Mapping[str, Any]:
        bodies.append(body)
        return {"answer": SAID}

    blobs = BlobStore(f"file://{tmp_path / 'blobs'}")
    sha = blobs.put((tmp_path / "images" / "tent-meadow.jpg").read_bytes())
    with MessagesThread(answer) as provider:
        environment = {"ANTHROPIC_API_KEY": "planted", "ANTHROPIC_BASE_URL": provider.url}
        providers = Providers(pipeline, read_settings({"ESCALON_DATA": str(tmp_path), **environment}))
        reply = await providers.backend(pipeline.workers["file"]).backend.ask(Task(text="first night", image=sha))
        await providers.close()
    assert json.loads(reply.reading.answer or "") == SAID
    assert len(images_of(bodies[0])) == 1


@pytest.mark.parametrize("name", ["extract", "answer", "reread", "resolve"])
def test_only_the_handler_of_photos_is_shown_them(name: str, tmp_path: Path) -> None:
    pipeline = packed(tmp_path, "claude")
    prompting = {**pipeline.workers, **pipeline.reasoners}[name].prompting
    assert prompting is not None
    assert not prompting.sees_images
