"""Deterministic ids: the same event, task or call has the same id however often it is delivered."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from typing import Any


def canonical(value: Any) -> str:
    """JSON with sorted keys, no spaces, and strings in Unicode's composed form (NFC), trimmed of outer space."""
    return json.dumps(_normal(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _normal(value: Any) -> Any:
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value).strip()
    if isinstance(value, dict):
        named = {_normal(str(key)): _normal(item) for key, item in value.items()}
        # Keys that only normalising makes alike are told apart, or one field would hide the other.
        return named if len(named) == len(value) else {str(key): _normal(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_normal(item) for item in value]
    return value


def digest(*parts: str | bytes | int | None) -> str:
    """128 bits of SHA-256 over the parts, as 32 hexadecimal digits.

    Each part is preceded by its type and length, so that no two lists of parts run together.
    """
    sha = hashlib.sha256()
    for part in parts:
        kind = type(part).__name__[0]
        data = part if isinstance(part, bytes) else str(part).encode("utf-8", "surrogatepass")
        sha.update(f"{kind}{len(data)}:".encode())
        sha.update(data)
    return sha.hexdigest()[:32]


def task_fingerprint(handler_version: str, task_input: Any) -> str:
    """What a cached answer is found by: the handler's version and the canonical input."""
    return digest(handler_version, canonical(task_input))


def call_id(
    run: str, event_id: str, tier: str, handler: str, attempt: int, sample: int = 0, *, fingerprint: str = ""
) -> str:
    """The id of one model call.

    `fingerprint` is the task's. The same event asked again with another prompt, or another event under the same id, is
    another call, whose cost must not replace the first one's in the audit.
    """
    return digest("call", run, event_id, tier, handler, attempt, sample, *filter(None, [fingerprint]))


def trace_id(run: str, event_id: str) -> str:
    """The trace id of an event whose producer gave none: 32 hexadecimal digits, as W3C asks."""
    return digest("trace", run, event_id)


def data_subject(name: str) -> str:
    """What stands for a person in every message and row: a hash, so that the name itself travels nowhere.

    It is the same everywhere, without a secret, so whoever can guess a name can recognise it.
    """
    return digest("data subject", unicodedata.normalize("NFC", name).strip())


def draw(*parts: str | int) -> float:
    """A number drawn uniformly from [0, 1) by the parts alone: the same parts always give the same number."""
    return int(digest("draw", *parts)[:13], 16) / 16**13
