"""A certificate as a JSON document with a hash over itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

from streams.panels.certificate import Certificate

FORMAT: Final = 1


def certificate_document(made: Certificate) -> dict[str, Any]:
    """Return the document, times in ISO 8601. Its `hash` is that of all other keys."""
    own: dict[str, Any] = {"format": FORMAT, "granted": made.granted} | _plain(asdict(made))
    return own | {"hash": document_hash(own)}


def document_hash(document: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a document without its key `hash`, as JSON with sorted keys and without spaces."""
    own = {key: value for key, value in document.items() if key != "hash"}
    return sha256(json.dumps(own, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value
