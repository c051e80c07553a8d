"""The identity of CloudEvents: source and id together.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#required-attributes
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from streams.core.fingerprint import digest

VERSION, SOURCE, ID, TIME = "specversion", "source", "id", "time"
HEADER: Final = "ce_"
"""Prefix of an attribute's name in a Kafka header."""
LONGEST: Final = 200


def structured_id(fields: Mapping[str, Any]) -> str | None:
    """Return the id of an event with attributes in its JSON object; None if it is not a CloudEvent."""
    if not isinstance(fields.get(VERSION), str):
        return None
    source, own = fields.get(SOURCE), fields.get(ID)
    return _id(source, own) if isinstance(source, str) and isinstance(own, str) else None


def binary_id(header: Callable[[str], str | None]) -> str | None:
    """Return the id of an event with attributes in Kafka headers; None if it is not a CloudEvent."""
    if header(HEADER + VERSION) is None:
        return None
    return _id(header(HEADER + SOURCE), header(HEADER + ID))


def binary_time(header: Callable[[str], str | None]) -> str | None:
    """Return the time of an event with attributes in Kafka headers; None if it has none."""
    return header(HEADER + TIME) if header(HEADER + VERSION) is not None else None


def _id(source: str | None, own: str | None) -> str | None:
    """Return source and id joined by a space, which no source contains, or a hash of both if that is too long."""
    if not source or not own:
        return None
    both = f"{source} {own}"
    return both if len(both) <= LONGEST else digest("cloud event", source, own)
