"""A trial of grammars with llama.cpp, without weights.

llama.cpp compiles a grammar only with a request, and silently drops one that it cannot compile: the model then writes
freely. So a grammar is tried on a made-up model of 70 kB that always writes the same word. If the grammar works, the
answer is something else.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from streams.models.providers.local_engine import Chunk, EngineSettings, LlamaEngine, open_llama

WORD: Final = "x"
"""Written by the model without a grammar. No JSON value begins so."""
_CONTEXT: Final = 512
_WIDTH: Final = 32
_ALIGNMENT: Final = 32
_NORMAL, _UNKNOWN, _CONTROL, _BYTE = 1, 2, 3, 6
_TOKENS: Final[Sequence[tuple[str, int]]] = (
    (WORD, _NORMAL),
    ("<unk>", _UNKNOWN),
    ("<s>", _CONTROL),
    ("</s>", _CONTROL),
    *((f"<0x{byte:02X}>", _BYTE) for byte in range(256)),
)
_SQUARE: Final = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")


@lru_cache(maxsize=1024)
def holds(grammar: str) -> bool:
    """True if llama.cpp compiles a grammar of JSON values. Needs the library; blocks for some 10 ms."""
    written: list[str] = []

    def take(chunk: Chunk) -> bool:
        written.extend(choice["delta"].get("content") or "" for choice in chunk.get("choices", ()))
        return False

    body: dict[str, Any] = {"messages": [{"role": "user", "content": WORD}], "max_tokens": 1, "stream": True}
    _engine().handle_chat_completions({**body, "temperature": 0.0, "grammar": grammar}, take)
    return not "".join(written).startswith(WORD) and bool(written)


@lru_cache(maxsize=1)
def _engine() -> LlamaEngine:
    with tempfile.TemporaryDirectory(prefix="escalon-") as private:
        path = Path(private) / "probe.gguf"
        path.write_bytes(_model())
        return open_llama(EngineSettings(path, threads=1, context=_CONTEXT, parallel=1, verbosity=-1))


def _model() -> bytes:
    """Return a GGUF file of one layer of zeros, whose output favours WORD."""
    facts = [
        _text("general.architecture", "llama"),
        _number("llama.context_length", _CONTEXT),
        _number("llama.embedding_length", _WIDTH),
        _number("llama.feed_forward_length", _WIDTH),
        _number("llama.block_count", 1),
        _number("llama.attention.head_count", 1),
        _string("llama.attention.layer_norm_rms_epsilon") + struct.pack("<If", 6, 1e-5),
        _text("tokenizer.ggml.model", "llama"),
        _array("tokenizer.ggml.tokens", 8, (_string(text) for text, _ in _TOKENS)),
        _array("tokenizer.ggml.scores", 6, (struct.pack("<f", 0.0) for _ in _TOKENS)),
        _array("tokenizer.ggml.token_type", 5, (struct.pack("<i", kind) for _, kind in _TOKENS)),
        _number("tokenizer.ggml.bos_token_id", 2),
        _number("tokenizer.ggml.eos_token_id", 3),
        _string("tokenizer.ggml.add_space_prefix") + struct.pack("<IB", 7, 0),
        _text("tokenizer.chat_template", "{{ messages[-1]['content'] }}"),
    ]
    ones, zeros = struct.pack("<f", 1.0) * _WIDTH, bytes(4 * _WIDTH)
    others = len(_TOKENS) - 1
    tensors = [
        ("token_embd.weight", ones + ones * others),
        ("output.weight", ones + zeros * others),
        ("output_norm.weight", ones),
        ("blk.0.attn_norm.weight", ones),
        ("blk.0.ffn_norm.weight", ones),
        *((f"blk.0.{name}.weight", zeros * _WIDTH) for name in _SQUARE),
    ]
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(facts)) + b"".join(facts)
    place = 0
    for name, data in tensors:
        rows = len(data) // len(zeros)
        shape = (_WIDTH,) if name.endswith("norm.weight") else (_WIDTH, rows)
        head += _string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, place)
        place += len(data)
    return head + bytes(-len(head) % _ALIGNMENT) + b"".join(data for _, data in tensors)


def _string(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


def _text(key: str, value: str) -> bytes:
    return _string(key) + struct.pack("<I", 8) + _string(value)


def _number(key: str, value: int) -> bytes:
    return _string(key) + struct.pack("<II", 4, value)


def _array(key: str, kind: int, values: Iterable[bytes]) -> bytes:
    items = list(values)
    return _string(key) + struct.pack("<IIQ", 9, kind, len(items)) + b"".join(items)
