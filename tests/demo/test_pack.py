"""The packaged support desk keeps what the demo promises."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from streams.cli.classifier_training import train_classifier
from streams.cli.event_source import read_source
from streams.demo.starter import Server, write_pack
from streams.models.listeners.classifier import Classifier
from streams.models.listeners.image import perceptual_hash
from streams.panels.rubric import read_rubric
from streams.pipeline.code import ANY_PYTHON
from streams.pipeline.load import load_pipeline
from streams.pipeline.model_specs import OpenAIModelSpec

PACK = Path(__file__).parents[2] / "streams" / "demo" / "pack"
EVENTS = [json.loads(line) for line in (PACK / "events.jsonl").read_text("utf-8").splitlines()]
TRUTH = {row["id"]: row for row in map(json.loads, (PACK / "truth.jsonl").read_text("utf-8").splitlines())}


def test_the_stream_has_at_least_80_events_each_with_its_truth_and_an_id_of_its_own() -> None:
    ids = [event["id"] for event in EVENTS]
    assert len(ids) >= 80
    assert len(set(ids)) == len(ids)
    assert set(ids) == set(TRUTH)


def test_every_event_can_be_published() -> None:
    read = list(read_source(str(PACK / "events.jsonl")))
    assert len(read) == len(EVENTS)
    assert sum(item.image is not None for item in read) == 10


def test_copies_of_an_image_are_near_and_other_images_are_far() -> None:
    hashes = {e["id"]: perceptual_hash((PACK / e["image"]).read_bytes()) for e in EVENTS if e["channel"] == "image"}
    for one, first in hashes.items():
        for other, second in hashes.items():
            if one < other:
                copies = TRUTH[other].get("duplicate_of") == one or TRUTH[one].get("duplicate_of") == other
                distance = (first ^ second).bit_count()
                assert (distance <= 10) == copies, (one, other, distance)


@pytest.mark.parametrize("models", ["local", "claude", "openai"])
def test_the_pipeline_loads_and_its_classifier_knows_the_events(models: str, tmp_path: Path) -> None:
    pipeline = write_pack(tmp_path, models)
    train_classifier(tmp_path / "intents.jsonl", tmp_path / "intents.npz", quiet=True)
    assert load_pipeline(pipeline, ANY_PYTHON).name == "support-desk"
    ruled = ("injection", "delicate", "law")
    texts = [event for event in EVENTS if event["channel"] != "image" and TRUTH[event["id"]]["intent"] not in ruled]
    predicted = Classifier.load(tmp_path / "intents.npz").predict([event["text"] for event in texts])
    right = sum(best[0][0] == TRUTH[event["id"]]["intent"] for best, event in zip(predicted, texts, strict=True))
    assert right / len(texts) >= 0.95


def test_a_server_has_its_address_its_models_and_what_its_dialect_lacks(tmp_path: Path) -> None:
    server = Server(base_url="http://127.0.0.1:4000/v1", dialect="litellm", worker="small", reasoner='a "large" one')
    pipeline = write_pack(tmp_path, "openai", server)
    train_classifier(tmp_path / "intents.jsonl", tmp_path / "intents.npz", quiet=True)
    spec = load_pipeline(pipeline, ANY_PYTHON).spec
    models = {name: one for name, one in spec.models.items() if isinstance(one, OpenAIModelSpec)}
    assert {name: one.model for name, one in models.items()} == {"worker": "small", "reasoner": 'a "large" one'}
    assert {one.base_url for one in models.values()} == {"http://127.0.0.1:4000/v1"}
    assert {one.dialect for one in models.values()} == {"litellm"}
    assert "verbalized" in spec.workers["answer"].confidence
    assert spec.workers["answer"].parameters == {"temperature": 0}


def test_the_rubric_is_valid_and_asks_if_an_answer_is_right() -> None:
    rubric = read_rubric((PACK / "rubric.toml").read_text("utf-8"))
    assert [one.type for one in rubric.questions] == ["yes/no", "scale", "pick"]
    assert rubric.right_question == rubric.questions[0]


def test_no_event_is_among_the_training_rows() -> None:
    rows = {json.loads(line)["text"] for line in (PACK / "intents.jsonl").read_text("utf-8").splitlines()}
    assert not rows & {event["text"] for event in EVENTS}
