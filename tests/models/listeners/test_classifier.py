from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.core.errors import ConfigError
from streams.models.listeners.classifier import Classifier, Provenance
from streams.models.listeners.embedding import MAX_TEXT, NgramHasher, SparseFeatures, Vectors, WordLlamaEmbedder

HASHER = NgramHasher(buckets=64)


class LetterEmbedder:
    """A fake at the protocol: the share of a's, b's and c's in a text."""

    name = "letters"
    dim = 3

    def embed(self, texts: Sequence[str]) -> Vectors:
        counts = np.array([[text.count(letter) for letter in "abc"] for text in texts], dtype=np.float32)
        counts = counts.reshape(len(texts), self.dim)
        norms = np.linalg.norm(counts, axis=1, keepdims=True)
        shares: Vectors = np.divide(counts, norms, out=np.zeros_like(counts), where=norms > 0)
        return shares


def classifier(hasher: NgramHasher | None = None, **changes: Any) -> Classifier:
    width = 3 + (hasher.dim if hasher else 0)
    weights = np.random.default_rng(1).normal(size=(width, 3)).astype(np.float32)
    weights[:3] = 4 * np.eye(3)
    parts: dict[str, Any] = {
        "labels": ("a", "b", "c"),
        "embedder": LetterEmbedder(),
        "hasher": hasher,
        "weights": weights,
        "bias": np.array([0.5, 0.0, -0.5], dtype=np.float32),
        "temperature": 2.0,
        "provenance": Provenance("0" * 64, "2026-11-23", {"accuracy": 0.9}),
    }
    return Classifier(**{**parts, **changes})


def _weights(dtype: str) -> bytes:
    """A safetensors file with a header for WordLlama's vectors and without their data."""
    entry = {"dtype": dtype, "shape": [32000, 256], "data_offsets": [0, 16384000]}
    header = json.dumps({"embedding.weight": entry}).encode()
    return len(header).to_bytes(8, "little") + header


def dense(found: SparseFeatures, shape: tuple[int, int]) -> Vectors:
    matrix = np.zeros(shape, dtype=np.float32)
    matrix[found.rows, found.columns] = found.values
    return matrix


def test_probabilities_are_the_softmax_of_the_linear_score_over_the_temperature() -> None:
    expected = np.exp(np.array([4 + 0.5, 0.0, -0.5]) / 2)
    assert classifier().probabilities(["aaa"]) == pytest.approx((expected / expected.sum())[None, :], abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(max_size=60) | st.sampled_from(["Where is my order 4711?", "Füße", "a" * 300]), max_size=70))
def test_a_text_has_the_same_distribution_alone_and_among_others(texts: list[str]) -> None:
    embedder, draw = WordLlamaEmbedder(), np.random.default_rng(len(texts))
    weights = draw.normal(size=(embedder.dim + HASHER.dim, 7)).astype(np.float32)
    bias = draw.normal(size=7).astype(np.float32)
    model = classifier(HASHER, labels=tuple("abcdefg"), embedder=embedder, weights=weights, bias=bias)
    assert model.predict(texts) == [model.predict([text])[0] for text in texts]


def test_ngrams_add_their_weights_to_the_score() -> None:
    texts = ["ab ab", "", "c!", "\ud800 b"]
    model = classifier(HASHER)
    features = np.hstack([LetterEmbedder().embed(texts), dense(HASHER.transform(texts), (4, HASHER.dim))])
    assert model.logits(texts) == pytest.approx(features @ model.weights + model.bias, abs=1e-5)


def test_a_prediction_names_every_label_with_the_most_probable_first() -> None:
    (found,) = classifier().predict(["bbb"])
    assert [label for label, _ in found] == ["b", "a", "c"]
    assert sum(probability for _, probability in found) == pytest.approx(1)
    assert found[0][1] > found[1][1] > found[2][1]


def test_labels_that_are_equally_probable_keep_their_order() -> None:
    even = classifier(bias=np.zeros(3, dtype=np.float32))
    assert [label for label, _ in even.predict([""])[0]] == ["a", "b", "c"]


def test_no_text_gives_no_prediction() -> None:
    assert classifier(HASHER).predict([]) == []


def test_a_text_scores_the_same_alone_and_among_many() -> None:
    texts = [f"a{'b' * (number % 7)} {number}" for number in range(1200)]
    model = classifier(HASHER)
    together = model.probabilities(texts)
    assert together[[0, 511, 512, 1199]] == pytest.approx(
        np.vstack([model.probabilities([texts[place]]) for place in (0, 511, 512, 1199)]), abs=1e-6
    )


@pytest.mark.parametrize("hasher", [None, HASHER], ids=["embedding", "with n-grams"])
def test_a_saved_classifier_comes_back_as_it_was(tmp_path: Path, hasher: NgramHasher | None) -> None:
    model = classifier(hasher)
    model.save(tmp_path / "model.npz")
    loaded = Classifier.load(tmp_path / "model.npz", LetterEmbedder())
    assert loaded.predict(["abba", ""]) == model.predict(["abba", ""])
    assert loaded.provenance == model.provenance
    assert loaded.digest() == model.digest()
    assert [path.name for path in tmp_path.iterdir()] == ["model.npz"]


def test_another_weight_is_another_artifact() -> None:
    assert classifier().digest() != classifier(temperature=2.5).digest()


def rewritten(data: bytes, **changes: Any) -> bytes:
    with np.load(io.BytesIO(data)) as arrays:
        parts = dict(arrays)
    header = json.loads(parts["header"].tobytes())
    header.update({key: value for key, value in changes.items() if key not in parts})
    parts["header"] = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    parts.update({key: value for key, value in changes.items() if key in parts})
    buffer = io.BytesIO()
    np.savez(buffer, **parts)
    return buffer.getvalue()


WHOLE = classifier(HASHER).to_bytes()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a readable classifier"),
        (b"neither npz nor anything", "not a readable classifier"),
        (WHOLE[:300], "not a readable classifier"),
        (WHOLE[: len(WHOLE) // 2], "not a readable classifier"),
        (rewritten(WHOLE, header=np.frombuffer(b"{", dtype=np.uint8)), "not a readable classifier"),
        (rewritten(WHOLE, header=np.frombuffer(b"[]", dtype=np.uint8)), "not a readable classifier"),
        (rewritten(WHOLE, weights=np.array([{}])), "not a readable classifier"),
        (rewritten(WHOLE, columns=np.array([10_000])), "not a readable classifier"),
        (rewritten(WHOLE, embedder={"name": "letters"}), "not a readable classifier"),
        (rewritten(WHOLE, version=2), "version 2"),
        (rewritten(WHOLE, format="other"), "other version 1"),
        (rewritten(WHOLE, embedder={"name": "digits", "dim": 3}), "embedder digits"),
        (rewritten(WHOLE, temperature=0), "temperature"),
        (rewritten(WHOLE, bias=np.full(3, np.nan, dtype=np.float32)), "finite"),
        (rewritten(WHOLE, bias=np.zeros(4, dtype=np.float32)), "do not fit"),
        (rewritten(WHOLE, labels=["a", "b", "b"]), "two labels"),
    ],
)
def test_a_broken_artifact_is_a_configuration_error(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "model.npz").write_bytes(data)
    with pytest.raises(ConfigError, match=message):
        Classifier.load(tmp_path / "model.npz", LetterEmbedder())


def test_a_missing_artifact_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="escalon train listener"):
        Classifier.load(tmp_path / "none.npz", LetterEmbedder())


def test_inference_imports_neither_scikit_learn_nor_the_weights_before_they_are_needed() -> None:
    program = (
        "import sys\n"
        "from streams.models.listeners import classifier, image, rules, training\n"
        "print([name for name in ('sklearn', 'scipy', 'wordllama', 'PIL', 'imagehash') if name in sys.modules])\n"
        "from streams.models.listeners.embedding import WordLlamaEmbedder\n"
        "WordLlamaEmbedder().embed(['hello'])\n"
        "print('sklearn' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "False"]


def test_wordllama_gives_unit_vectors_that_hold_meaning() -> None:
    embedder = WordLlamaEmbedder()
    vectors = embedder.embed(["Where is my parcel?", "my package has not arrived", "bake bread with yeast"])
    assert vectors.shape == (3, embedder.dim)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]


def test_wordllama_agrees_with_its_own_library() -> None:
    import wordllama

    model = wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)
    texts = [
        "one",
        "a rather longer text about nothing",
        "ünïcode 😀",
        "<s> tags </s>",
        "  tab\tand\nline ",
        "word " * 900,
    ]
    assert WordLlamaEmbedder().embed(texts) == pytest.approx(model.embed(texts, norm=True), abs=1e-6)


def test_wordllama_takes_empty_texts_and_lone_surrogates_and_any_number_of_texts() -> None:
    embedder = WordLlamaEmbedder()
    assert embedder.embed([]).shape == (0, 256)
    assert not embedder.embed([""]).any()
    many = embedder.embed(["", "\ud800 hello", *["hello"] * 200, ""])
    assert not many[0].any()
    assert not many[-1].any()
    assert (many[2:-1] == embedder.embed(["Hello"])).all()


def test_only_the_beginning_of_a_long_text_counts() -> None:
    start = "word " * (MAX_TEXT // 5)
    embedder = WordLlamaEmbedder()
    assert (embedder.embed([start + "other"]) == embedder.embed([start])).all()
    assert (HASHER.transform([start + "other"]).values == HASHER.transform([start]).values).all()


def test_the_package_of_the_vectors_is_not_imported_and_their_file_stays_on_disk() -> None:
    program = (
        "import sys\n"
        "from streams.models.listeners.embedding import WordLlamaEmbedder\n"
        "WordLlamaEmbedder().embed(['hello'])\n"
        "print([name for name in ('wordllama', 'requests', 'safetensors') if name in sys.modules])\n"
        "print('l2_supercat_256.safetensors' in open('/proc/self/maps').read())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "True"]


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("weights/l2_supercat_256.safetensors", None),
        ("weights/l2_supercat_256.safetensors", b"\0" * 8),
        ("weights/l2_supercat_256.safetensors", _weights("F32")),
        ("weights/l2_supercat_256.safetensors", _weights("F16")),
        ("tokenizers/l2_supercat_tokenizer_config.json", None),
        ("tokenizers/l2_supercat_tokenizer_config.json", b"{"),
    ],
)
def test_missing_or_broken_weights_are_reported_with_the_remedy(
    file: str, content: bytes | None, tmp_path: Path
) -> None:
    """A copy of the package is found before the real one; one file is missing, cut off or of another number type."""
    found = find_spec("wordllama")
    assert found is not None
    assert found.origin is not None
    copy = tmp_path / "wordllama"
    for folder in ("weights", "tokenizers"):
        shutil.copytree(Path(found.origin).parent / folder, copy / folder)
    (copy / "__init__.py").touch()
    (copy / file).unlink()
    if content is not None:
        (copy / file).write_bytes(content)
    program = (
        "from streams.core.errors import ConfigError\n"
        "from streams.models.listeners.embedding import WordLlamaEmbedder\n"
        "try:\n"
        "    WordLlamaEmbedder()\n"
        "except ConfigError as error:\n"
        "    print(error)"
    )
    paths = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    environment = {**os.environ, "PYTHONPATH": paths}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "Install wordllama 0.4 from its wheel" in done.stdout


def test_ngrams_within_words_and_pairs_of_words_are_counted_apart() -> None:
    found = NgramHasher(buckets=1 << 16).transform(["to be"])
    # " t", "to", "o ", " b", "be", "e " and " to", "to ", " be", "be " and " to ", " be "; then to, be, to be
    assert (found.columns < 1 << 16).sum() == 12
    assert (found.columns >= 1 << 16).sum() == 3


def test_spacing_does_not_matter_but_case_does_for_characters_only() -> None:
    spaced, plain, upper = (NgramHasher().transform([text]) for text in ("  Go\n home", "Go home", "GO HOME"))
    assert spaced.columns.tolist() == plain.columns.tolist()
    words = 1 << 16
    assert [c for c in upper.columns if c >= words] == [c for c in plain.columns if c >= words]
    assert [c for c in upper.columns if c < words] != [c for c in plain.columns if c < words]


def test_hashes_stay_as_they_are_because_artifacts_depend_on_them() -> None:
    found = NgramHasher().transform(["Go é!"])
    characters = [4767, 7560, 8843, 12856, 18885, 20644, 44164, 52047, 54369, 54979, 63804, 65461]
    words = [71850, 74838, 102824, 103947, 113156]
    assert found.columns.tolist() == characters + words


@settings(deadline=None)
@given(st.lists(st.text(max_size=30), max_size=6))
def test_features_of_a_text_do_not_depend_on_its_neighbours(texts: list[str]) -> None:
    together = dense(HASHER.transform(texts), (len(texts), HASHER.dim))
    for row, text in enumerate(texts):
        assert together[row] == pytest.approx(dense(HASHER.transform([text]), (1, HASHER.dim))[0])
        for block in (together[row, :64], together[row, 64:]):
            assert np.linalg.norm(block) == pytest.approx(1, abs=1e-5) or not block.any()
