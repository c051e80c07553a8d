from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from streams.core.errors import ConfigError
from streams.models.listeners.classifier import Classifier, softmax
from streams.models.listeners.embedding import NgramHasher, Vectors
from streams.models.listeners.training import (
    MAX_ROWS,
    Row,
    _folds,
    brier_score,
    expected_calibration_error,
    fit_temperature,
    log_loss,
    measure,
    read_labelled,
    train,
)

HASHER = NgramHasher(buckets=256)
WORDS = {
    "order": ["parcel", "delivery", "shipped", "tracking", "courier"],
    "refund": ["money", "refund", "charged", "invoice", "payment"],
    "chat": ["hello", "thanks", "morning", "weekend", "cheers"],
}


class LengthEmbedder:
    """A fake at the protocol that separates short texts from long ones and nothing else."""

    name = "length"
    dim = 2

    def embed(self, texts: Sequence[str]) -> Vectors:
        angles = np.array([min(len(text), 100) / 100 for text in texts], dtype=np.float32)
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def labelled(count: int, labels: Sequence[str] = tuple(WORDS), seed: int = 0) -> list[Row]:
    rng = random.Random(seed)
    filler = ["please", "the", "about", "my", "today", "again", "it", "we"]
    rows = []
    for number in range(count):
        for label in labels:
            said = [*rng.sample(WORDS[label], 2), *rng.sample(filler, 3), str(number)]
            rows.append((" ".join(rng.sample(said, len(said))), label))
    return rows


def trained(rows: Sequence[Row], seed: int = 0) -> Classifier:
    return train(rows, embedder=LengthEmbedder(), hasher=HASHER, seed=seed, date="2026-11-23")


@pytest.mark.parametrize("labels", [("order", "chat"), ("order", "refund", "chat")], ids=["two", "three"])
def test_a_trained_classifier_recognises_new_texts(labels: tuple[str, ...]) -> None:
    model = trained(labelled(20, labels))
    fresh = labelled(20, labels, seed=1)
    right = [model.predict([text])[0][0][0] == label for text, label in fresh]
    assert np.mean(right) > 0.9
    assert model.labels == tuple(sorted(labels))


def test_the_embedding_alone_can_be_trained_on() -> None:
    rows = [("x" * n, "short") for n in range(1, 30)] + [("x" * n, "long") for n in range(60, 90)]
    model = train(rows, embedder=LengthEmbedder(), hasher=None)
    assert model.weights.shape == (2, 2)
    assert model.predict(["xx"])[0][0][0] == "short"


def test_probabilities_are_calibrated_where_the_labels_are_noise() -> None:
    rng = random.Random(7)
    noisy = [(text, label if rng.random() < 0.7 else "refund") for text, label in labelled(80, ("order", "refund"))]
    metrics = trained(noisy).provenance.metrics
    assert metrics["ece"] < 0.1
    assert 0.6 < metrics["accuracy"] < 0.95


def test_the_artifact_is_the_same_for_the_same_rows_in_any_order() -> None:
    rows = labelled(8)
    shuffled = random.Random(3).sample(rows + rows[:5], len(rows) + 5)
    assert trained(rows).to_bytes() == trained(shuffled).to_bytes()


def test_a_text_with_several_labels_is_on_one_side_of_every_fold() -> None:
    """With other labels than its own on the other side, a text learnt by heart would pass for one that is new."""
    texts = [text for text, _ in labelled(40, ("order",))]
    kinds = [(text, label) for text in texts for label in ("order", "chat")]
    alone = [(f"{text} alone", "chat") for text in texts]
    rows = sorted({*kinds, *alone})
    folds = _folds([text for text, _ in rows], np.array([len(label) % 5 for _, label in rows]), 0)
    for text in texts:
        assert len({folds[place] for place, (other, _) in enumerate(rows) if other == text}) == 1


def test_a_text_counts_once_however_its_white_space_and_unicode_are_written() -> None:
    rows = [*labelled(8), ("Café order", "order")]
    again = [*rows, (f" {unicodedata.normalize('NFD', 'Café order')}\n", "order")]
    assert trained(again).to_bytes() == trained(rows).to_bytes()


def test_a_label_whose_texts_all_have_another_one_is_refused() -> None:
    shared = [(text, label) for text, _ in labelled(5, ("order",)) for label in ("order", "chat")]
    with pytest.raises(ConfigError, match="not another label's as well"):
        trained([*shared, *labelled(20, ("refund",))])


def test_training_holds_every_library_to_one_thread_so_that_the_artifact_does_not_follow_the_machine() -> None:
    program = (
        "from threadpoolctl import threadpool_info\n"
        "from streams.models.listeners.training import train\n"
        "rows = [(f'{label} {n}', label) for n in range(5) for label in ('order', 'chat')]\n"
        "seen = set()\n"
        "train(rows, progress=lambda *_: seen.update(library['num_threads'] for library in threadpool_info()))\n"
        "print(seen)"
    )
    several = {"OMP_NUM_THREADS": "3", "OPENBLAS_NUM_THREADS": "3"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={**os.environ, **several}
    )
    assert done.stdout.strip() == "{1}"


def test_other_rows_give_another_training_set_hash() -> None:
    rows = labelled(8)
    assert trained(rows).provenance.training_set != trained(rows[:-3]).provenance.training_set


def test_the_report_counts_the_rows_of_each_label_and_measures_out_of_fold() -> None:
    metrics = trained([*labelled(10), *labelled(4, ("chat",), seed=5)]).provenance.metrics
    assert metrics["rows_per_label"] == {"chat": 14, "order": 10, "refund": 10}
    assert metrics["rows"] == 34
    assert set(metrics) >= {"accuracy", "log_loss", "brier", "ece", "strength"}
    assert json.loads(json.dumps(metrics)) == metrics


def test_metrics_do_not_come_from_rows_the_model_has_seen() -> None:
    rng = random.Random(1)
    rows = [(f"{rng.random()}", rng.choice(["heads", "tails"])) for _ in range(200)]
    model = trained(rows)
    assert 0.35 < model.provenance.metrics["accuracy"] < 0.65
    assert np.mean([model.predict([text])[0][0][0] == label for text, label in rows]) > 0.9


def test_progress_counts_up_to_all_fits() -> None:
    told: list[tuple[int, int]] = []
    train(labelled(5), embedder=LengthEmbedder(), hasher=HASHER, progress=lambda *step: told.append(step))
    assert [done for done, _ in told] == list(range(1, len(told) + 1))
    assert {total for _, total in told} == {len(told)}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "0 labels"),
        (labelled(20, ("order",)), "1 labels"),
        (labelled(4), "chat has 4"),
        ([("same", "chat")] * 50 + labelled(20, ("order",)), "chat has 1"),
        ([*labelled(20), (" \n", "chat")], "Row 61 has an empty text"),
        ([*labelled(20), ("text", "")], "Row 61"),
        ([("a", "b")] * (MAX_ROWS + 1), "are more than"),
    ],
    ids=["none", "one label", "too few", "too few different", "empty text", "empty label", "too many"],
)
def test_rows_that_cannot_be_trained_on_are_refused_in_plain_words(rows: list[Row], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        trained(rows)
    assert error.value.remedy


def test_a_temperature_is_recovered_from_labels_drawn_at_it() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 4))
    chances = softmax(logits / 0.4).cumsum(axis=1)
    truth = (rng.random((len(logits), 1)) > chances).sum(axis=1)
    assert fit_temperature(logits, truth) == pytest.approx(0.4, rel=0.05)


TRUTH = np.array([0, 0, 1, 1])
CHANCES = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]])


def test_metrics_agree_with_sums_done_by_hand() -> None:
    assert measure(CHANCES, TRUTH)["accuracy"] == 0.75
    assert log_loss(CHANCES, TRUTH) == pytest.approx(-np.log([0.9, 0.4, 0.8, 0.7]).mean())
    assert brier_score(CHANCES, TRUTH) == pytest.approx(2 * (0.01 + 0.36 + 0.04 + 0.09) / 4)
    assert expected_calibration_error(CHANCES, TRUTH, bins=1) == pytest.approx(0)
    assert expected_calibration_error(CHANCES, TRUTH, bins=10) == pytest.approx((0.1 + 0.6 + 0.2 + 0.3) / 4)


def test_a_certain_mistake_costs_a_finite_loss() -> None:
    assert np.isfinite(log_loss(np.array([[1.0, 0.0]]), np.array([1])))


@settings(deadline=None)
@given(
    arrays.arrays(np.float64, (12, 3), elements=st.floats(-50, 50)),
    st.lists(st.integers(0, 2), min_size=12, max_size=12),
)
def test_metrics_stay_in_their_ranges(logits: np.ndarray, labels: list[int]) -> None:
    found = measure(softmax(logits), np.array(labels))
    assert 0 <= found["accuracy"] <= 1
    assert 0 <= found["ece"] <= 1
    assert 0 <= found["brier"] <= 2
    assert found["log_loss"] >= 0


def test_json_lines_are_read_under_either_label_key(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"text": "hi", "label": "chat"}\n\n{"text": "größe", "intent": "order"}\n', encoding="utf-8")
    assert read_labelled(file) == [("hi", "chat"), ("größe", "order")]


def test_csv_is_read_with_a_byte_order_mark_quotes_and_other_columns(tmp_path: Path) -> None:
    file = tmp_path / "rows.CSV"
    file.write_bytes(b'\xef\xbb\xbfid,text,label\r\n1,"hi, there\r\nyou",chat\r\n')
    assert read_labelled(file) == [("hi, there\r\nyou", "chat")]


def test_keys_can_be_named(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"body": "hi", "class": "chat"}')
    assert read_labelled(file, text_key="body", label_keys=("class",)) == [("hi", "chat")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"text": "hi", "label": "chat"}\n{"text": "hi"}\n', "line 2"),
        ("a.jsonl", b'{"text": "hi", "label": "chat"}\n{broken\n', "line 2"),
        ("a.jsonl", b'["hi", "chat"]\n', "line 1"),
        ("a.jsonl", b'{"text": 5, "label": "chat"}\n', "line 1"),
        ("a.csv", b"text,label\nhi\n", "line 2"),
        ("a.csv", b"message,kind\nhi,chat\n", "'label' or 'intent'"),
        ("a.jsonl", b"\n", "no rows"),
        ("a.csv", b"", "no rows"),
        ("a.jsonl", b"\xff\xfe\x00", "cannot be read"),
    ],
)
def test_a_file_that_is_not_labelled_texts_names_the_fault(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        read_labelled(tmp_path / name)


def test_a_missing_file_or_a_directory_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="There is no file"):
        read_labelled(tmp_path / "none.jsonl")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_labelled(tmp_path)
