"""Texts as numbers: dense embeddings, and hashed counts of character and word n-grams."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from streams.core.errors import ConfigError

MAX_TEXT = 10_000
"""A longer text is cut to so many characters, so that no message can stop the stream."""
_CHUNK = 32
"""Texts cut into tokens at once, which bounds the memory for a long list."""

Vectors = NDArray[np.float32]
Whole = NDArray[np.int64]


class Embedder(Protocol):
    """Turns texts into vectors. `name` changes whenever the vectors of the same text do."""

    @property
    def name(self) -> str: ...

    @property
    def dim(self) -> int: ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return vectors of shape (len(texts), dim), each of length 1, or 0 where a text holds no token."""
        ...


class WordLlamaEmbedder:
    """Mean of WordLlama's token vectors, from the weights inside its own package: nothing is downloaded.

    Texts are lower-cased, because the vocabulary has few capitalised words. Raises ConfigError when the package lacks
    its weights. Safe to share between threads.
    """

    name = "wordllama-l2-supercat-256-uncased"
    dim = 256

    def __init__(self) -> None:
        self._tokenizer, self._vectors = _wordllama()

    def embed(self, texts: Sequence[str]) -> Vectors:
        sums = np.zeros((len(texts), self.dim), dtype=np.float32)
        for start in range(0, len(texts), _CHUNK):
            lowered = [_encodable(text[:MAX_TEXT].lower()) for text in texts[start : start + _CHUNK]]
            tokens = self._tokenizer.encode_batch_fast(lowered, add_special_tokens=False)
            for row, encoding in enumerate(tokens, start):
                if ids := encoding.ids:
                    sums[row] = self._vectors[np.array(ids)].sum(axis=0)
        norms = np.linalg.norm(sums, axis=1, keepdims=True)  # a mean has the same direction as its sum
        np.divide(sums, norms, out=sums, where=norms > 0)
        return sums


class _TokenVectors:
    """Token vectors of a float16 file as float32, converted when they are first looked up.

    The memory of vectors that no text has needed is never touched, so it is not used.
    """

    def __init__(self, stored: NDArray[np.float16]) -> None:
        self._stored = stored
        self._vectors = np.zeros(stored.shape, dtype=np.float32)
        self._converted = np.zeros(len(stored), dtype=bool)

    def __getitem__(self, ids: Whole) -> Vectors:
        if not self._converted[ids].all():
            self._vectors[ids] = self._stored[ids]
            self._converted[ids] = True
        return self._vectors[ids]


@lru_cache(maxsize=1)
def _wordllama() -> tuple[Tokenizer, _TokenVectors]:
    """Return tokenizer and token vectors, shared by all embedders of the process, because they never change.

    The files of the wordllama package are read without importing it: the import also loads an HTTP client, and its
    loader keeps a float32 copy of all vectors. Here they stay in the mapped file as float16 until a text needs them.
    """
    found = find_spec("wordllama")
    try:
        if found is None or found.origin is None:
            raise FileNotFoundError("the package is not installed")
        package = Path(found.origin).parent
        tokenizer = Tokenizer.from_buffer((package / "tokenizers/l2_supercat_tokenizer_config.json").read_bytes())
        return tokenizer, _TokenVectors(_mapped(package / "weights/l2_supercat_256.safetensors", "embedding.weight"))
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(
            f"The weights of the wordllama package cannot be read ({error}).", "Install wordllama 0.4 from its wheel."
        ) from error


def _mapped(file: Path, tensor: str) -> NDArray[np.float16]:
    """Return a float16 tensor of a safetensors file: a header's length (8 bytes), the header in JSON, the data."""
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        entry = json.loads(opened.read(length))[tensor]
    if entry["dtype"] != "F16":
        raise ValueError(f"{tensor} is {entry['dtype']} instead of F16")
    start = 8 + length + entry["data_offsets"][0]
    return np.memmap(file, dtype="<f2", mode="r", offset=start, shape=tuple(entry["shape"])).view(np.ndarray)


def _encodable(text: str) -> str:
    """Return the text with `?` for lone surrogates, which JSON can carry and UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode()


@dataclass(frozen=True, slots=True)
class SparseFeatures:
    """The non-zero features of `n` texts: `values[i]` at (`rows[i]`, `columns[i]`), rows ascending."""

    rows: Whole
    columns: Whole
    values: Vectors


@dataclass(frozen=True, slots=True)
class NgramHasher:
    """Counts of n-grams by the hashing trick (Weinberger et al. 2009), two blocks of `buckets` columns.

    The first block holds character n-grams within words, their case kept, the second n-grams of lower-cased
    words and punctuation. A count c weighs 1 + ln c; each block of a text has length 1. `buckets` is a power
    of 2; the ranges are inclusive.
    """

    buckets: int = 1 << 16
    chars: tuple[int, int] = (2, 4)
    words: tuple[int, int] = (1, 2)

    @property
    def dim(self) -> int:
        return 2 * self.buckets

    def transform(self, texts: Sequence[str]) -> SparseFeatures:
        cut = [text[:MAX_TEXT] for text in texts]
        chars = self._block(*_grams(*_characters(cut), self.chars, within_words=True))
        words = self._block(*_grams(*_words(cut), self.words, within_words=False))
        rows = np.concatenate([chars.rows, words.rows])
        order = np.argsort(rows, kind="stable")
        columns = np.concatenate([chars.columns, words.columns + self.buckets])
        values = np.concatenate([chars.values, words.values])
        return SparseFeatures(rows[order], columns[order], values[order])

    def _block(self, rows: Whole, hashes: NDArray[np.uint32]) -> SparseFeatures:
        keys, counts = np.unique(rows * self.buckets + (hashes & np.uint32(self.buckets - 1)), return_counts=True)
        rows, columns = np.divmod(keys, self.buckets)
        weights = 1.0 + np.log(counts)
        norms = np.sqrt(np.bincount(rows, weights**2))
        return SparseFeatures(rows, columns, (weights / norms[rows]).astype(np.float32))


_SPACE = np.uint32(32)
_WORD = re.compile(r"\w+|[^\w\s]")


def _characters(texts: Sequence[str]) -> tuple[Whole, NDArray[np.uint32]]:
    """Return row and code point of every character; each text is evenly spaced and set between two spaces."""
    spaced = [f" {' '.join(text.split())} " for text in texts]
    codes = np.frombuffer("".join(spaced).encode("utf-32-le", "surrogatepass"), dtype="<u4")
    return np.repeat(np.arange(len(texts)), [len(text) for text in spaced]), codes


def _words(texts: Sequence[str]) -> tuple[Whole, NDArray[np.uint32]]:
    """Return row and hash of every word and punctuation mark."""
    found = [_WORD.findall(text.lower()) for text in texts]
    hashes = [zlib.crc32(word.encode("utf-8", "replace")) for words in found for word in words]
    return np.repeat(np.arange(len(texts)), [len(words) for words in found]), np.array(hashes, dtype=np.uint32)


def _grams(
    rows: Whole, codes: NDArray[np.uint32], sizes: tuple[int, int], *, within_words: bool
) -> tuple[Whole, NDArray[np.uint32]]:
    """Return row and hash of every n-gram of `codes` within one row, for n from `sizes[0]` to `sizes[1]`."""
    kept_rows, kept = [], []
    for size in range(sizes[0], sizes[1] + 1):
        count = max(len(codes) - size + 1, 0)
        hashes = np.full(count, size, dtype=np.uint32)
        inside = rows[:count] == rows[len(rows) - count :]
        for offset in range(size):
            part = codes[offset : offset + count]
            hashes = (hashes ^ part) * np.uint32(0x01000193) + (hashes >> np.uint32(15))
            if within_words and 0 < offset < size - 1:
                inside &= part != _SPACE
        hashes = (hashes ^ (hashes >> np.uint32(16))) * np.uint32(0x85EBCA6B)
        kept.append((hashes ^ (hashes >> np.uint32(13)))[inside])
        kept_rows.append(rows[:count][inside])
    return np.concatenate(kept_rows), np.concatenate(kept)
