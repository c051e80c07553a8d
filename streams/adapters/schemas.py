"""The Avro schemas of schemas/: the current ones, and every released one so that old messages stay readable."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from fastavro import parse_schema
from fastavro.schema import fingerprint, load_schema_ordered, to_parsing_canonical_form

from streams.core import messages
from streams.packaged_files import resource

# Each message, and the records that it contains, in the order of their dependencies.
_PARTS: dict[str, tuple[str, ...]] = {
    "RawEvent": (),
    "Sighting": ("Origin", "Event", "Score", "Finding"),
    "Verdict": ("Origin", "Event", "Score", "Finding", "BatchReply"),
    "Escalation": ("Origin", "Event", "Score", "Attempt", "BatchReply"),
    "Result": ("Origin",),
    "Outcome": ("Origin",),
    "Call": ("Origin", "Score"),
    "DeadLetter": ("Header",),
    "Deferred": ("Origin", "Event", "Score", "Finding", "BatchReply", "Verdict", "Attempt", "Escalation"),
    "Label": (),
    "Judgement": (),
    "Panel": ("PanelRater", "PanelStratum"),
    "PanelCase": ("PanelAnswer",),
    "Reservation": (),
    "StoredAnswer": ("Origin", "Score", "Attempt", "Call"),
}


@dataclass(frozen=True)
class Schema:
    """One schema. `fingerprint` is its CRC-64-AVRO in the 8 bytes of single-object encoding."""

    name: str
    parsed: Any
    fingerprint: bytes


def _file(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower() + ".avsc"


def crc64(parsed: Any) -> bytes:
    """Return the Rabin fingerprint of a schema's canonical form, little-endian."""
    return bytes.fromhex(fingerprint(to_parsing_canonical_form(parsed), "CRC-64-AVRO"))


@cache
def current() -> dict[type, Schema]:
    directory = resource("schemas")
    schemas = {}
    for name, parts in _PARTS.items():
        parsed: Any = load_schema_ordered([str(directory / _file(part)) for part in (*parts, name)])
        schemas[getattr(messages, name)] = Schema(name, parsed, crc64(parsed))
    return schemas


@cache
def released() -> dict[bytes, Schema]:
    """Return every schema that a message may have been written with, current and older, by fingerprint."""
    known = {schema.fingerprint: schema for schema in current().values()}
    for path in sorted((resource("schemas") / "released").glob("*.avsc")):
        schema = read_schema(path)
        known.setdefault(schema.fingerprint, schema)
    return known


def read_schema(path: Path) -> Schema:
    parsed: Any = parse_schema(json.loads(path.read_text("utf-8")))
    return Schema(parsed["name"].rpartition(".")[2], parsed, crc64(parsed))
