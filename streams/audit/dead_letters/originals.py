"""The original records of dead letters: from the topic dead-letters, else from the audit's copy."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import UTC
from typing import Any

from streams.adapters.blobs import BlobStore
from streams.adapters.codec import Codec
from streams.adapters.topic_reader import TopicReader
from streams.audit.dead_letters.table import DeadLetterTable
from streams.core.errors import EscalonError, UnreadableError
from streams.core.messages import DeadLetter, Header
from streams.core.topics import BY_MESSAGE


class GoneError(EscalonError):
    """The original of a dead letter no longer exists, or cannot be published."""


@dataclass(frozen=True, kw_only=True)
class Originals:
    """Finds dead letters and their original bytes. Without Kafka, `scan` is None."""

    scan: TopicReader | None
    letters: DeadLetterTable
    codec: Codec
    blobs: BlobStore
    prefix: str
    run: str

    def find(self, wanted: set[str]) -> Iterator[DeadLetter]:
        """Yield the letters with these ids, each once, without those that neither the topic nor the audit has."""
        left = set(wanted)
        for letter in self._held(left):
            if letter.dead_letter_id in left:
                left.discard(letter.dead_letter_id)
                yield letter
            if not left:
                return
        for name in sorted(left):
            row = self.letters.row(self.run, name)
            if row is not None:
                yield _letter(row)

    def whole(self, letter: DeadLetter) -> bytes:
        """Return the original bytes. Raises GoneError if they no longer exist or differ from those received."""
        value = letter.payload
        if letter.reference is not None and letter.payload_size > len(value):
            try:
                value = self.blobs.get(letter.reference)
            except UnreadableError as error:
                raise GoneError(error.what) from error
        if hashlib.sha256(value).hexdigest() != letter.payload_sha256:
            what = "Its stored bytes differ from those received: they were redacted, erased or changed."
            raise GoneError(what, "Publish the event again from its source.")
        return value

    def _held(self, left: set[str]) -> Iterator[DeadLetter]:
        if self.scan is None or not left:
            return
        topic = self.prefix + BY_MESSAGE[DeadLetter].name
        for message in self.scan.read(topic, self.scan.marks(topic)):
            try:
                yield self.codec.decode(DeadLetter, message.value() or b"")
            except UnreadableError:
                continue


def _letter(row: dict[str, Any]) -> DeadLetter:
    """Return a row as a dead letter. Header values that were not UTF-8 come back escaped."""
    values = {one.name: row[one.name] for one in fields(DeadLetter) if one.name != "headers"}
    pairs = (header.partition(": ") for header in row["headers"])
    values["headers"] = tuple(Header(key=key, value=value.encode()) for key, _, value in pairs)
    values["dead_letter_id"] = _text(row["dead_letter_id"])
    time = row["event_time"]
    values["event_time"] = time if time.tzinfo else time.replace(tzinfo=UTC)
    return DeadLetter(**values)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
