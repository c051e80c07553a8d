"""Deterministic ids: an event, task or call keeps its id however often it is delivered."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from typing import Any

DIGEST_DIGITS = 32
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical(value: Any) -> str:
    """Write JSON with sorted keys, no spaces, and strings trimmed and in Unicode's composed form (NFC)."""
    return _ENCODER.encode(_normal(value))


def _normal(value: Any) -> Any:
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value).strip()
    if isinstance(value, dict):
        named = {_normal(str(key)): _normal(item) for key, item in value.items()}
        # Keys that normalising would make equal are kept as they are; otherwise one field would hide the other.
        return named if len(named) == len(value) else {str(key): _normal(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_normal(item) for item in value]
    return value


def digest(*parts: str | bytes | int | None) -> str:
    """Return 128 bits of SHA-256 over the parts, as 32 hexadecimal digits.

    Each part is preceded by its type and length, so that different lists of parts never hash the same bytes.
    """
    sha = hashlib.sha256()
    for part in parts:
        kind = type(part).__name__[0]
        data = part if isinstance(part, bytes) else str(part).encode("utf-8", "surrogatepass")
        sha.update(f"{kind}{len(data)}:".encode())
        sha.update(data)
    return sha.hexdigest()[:DIGEST_DIGITS]


def task_fingerprint(handler_version: str, task_input: Any) -> str:
    """Return the cache key of an answer, from the handler's version and the canonical input."""
    return digest(handler_version, canonical(task_input))


def call_id(
    run: str, event_id: str, tier: str, handler: str, attempt: int, sample: int = 0, *, fingerprint: str = ""
) -> str:
    """Return the id of one model call.

    `fingerprint` is the task's. The same event with another prompt, or another event under the same id, makes another
    call, whose cost must not replace the first one's in the audit.
    """
    return digest("call", run, event_id, tier, handler, attempt, sample, *filter(None, [fingerprint]))


def trace_id(run: str, event_id: str) -> str:
    """Return the trace id of an event whose producer gave none: 32 hexadecimal digits, as W3C requires."""
    return digest("trace", run, event_id)


def data_subject(name: str) -> str:
    """Return the hash that represents a person in every message and row, so that the name itself is never sent.

    The hash is the same everywhere and has no secret, so anyone who guesses a name can recognise it.
    """
    return digest("data subject", unicodedata.normalize("NFC", name).strip())


def draw(*parts: str | int) -> float:
    """Draw a number uniformly from [0, 1) by the parts alone: the same parts always give the same number."""
    return int(digest("draw", *parts)[:13], 16) / 16**13
