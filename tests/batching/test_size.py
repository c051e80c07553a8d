"""The size of a question with an image, and questions whose image cannot be read."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from streams.adapters.blobs import BlobStore
from streams.app.batches import Questions
from streams.app.providers import Providers
from streams.app.settings import read_settings
from streams.batching.waiting import size_of
from streams.core.errors import ConfigError
from streams.models.providers.claude_request import message_arguments
from streams.models.providers.protocol import ImagePart, ModelRequest
from tests.builders import event, verdict
from tests.harness.drawn_images import photo
from tests.harness.over_http import DESK, SEEING, with_options
from tests.harness.stages import build


def test_an_image_counts_into_the_bytes_of_a_batch_as_it_is_sent() -> None:
    plain = ModelRequest("m", "Be brief.", "What is it?", 100)
    seen = replace(plain, images=(ImagePart("5e" * 32, "image/jpeg", bytes(99_999)),))
    assert size_of(seen) >= len(json.dumps(message_arguments(seen)))
    assert 0 <= size_of(seen) - size_of(plain) - 4 * 33_333 < 1_000


@pytest.mark.parametrize("readable", [True, False])
def test_a_question_holds_its_image_or_goes_back_to_its_tier(readable: bool, tmp_path: Path) -> None:
    text = with_options(SEEING, workers_answer='batch = "1h"')
    pipeline = build(tmp_path, text)
    settings = read_settings({"ESCALON_DATA": str(tmp_path), "ANTHROPIC_API_KEY": "planted"})
    sha = BlobStore(settings.blobs).put(photo() if readable else b"no image")
    with closing(Questions(pipeline, Providers(pipeline, settings))) as ask:
        question = ask(verdict(event("e1", "what is it?", image=sha)))
    assert (question is not None) is readable
    if question is not None:
        assert [one.sha256 for one in question.request.images] == [sha]
        assert question.size > len(question.request.images[0].data)


def test_a_cloud_has_no_batches_here(tmp_path: Path) -> None:
    text = with_options(DESK, workers_answer='batch = "1h"').replace(
        'model = "claude-haiku-4-5"', 'model = "claude-haiku-4-5"\nat = "bedrock"\nregion = "us-east-1"'
    )
    pipeline = build(tmp_path, text)
    with pytest.raises(ConfigError, match="no batch API") as caught:
        Providers(pipeline, read_settings({})).check([pipeline.workers["answer"]])
    assert "not at a cloud" in caught.value.remedy
