"""The events that `[source]` makes, again, of the records of the user's own topics. Those topics are never written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from streams.adapters.codec import Codec
from streams.adapters.kafka_record import RETRY_HEADER, KafkaRecord
from streams.adapters.source_reader import Skipped, SourceReader, event_record
from streams.audit.dead_letters.originals import GoneError, Originals
from streams.core.errors import UnreadableError
from streams.core.messages import DeadLetter


@dataclass(frozen=True, kw_only=True)
class MapAgain:
    """Makes the record on `events` of a record of the user's, by the present pipeline file."""

    reader: Callable[[], SourceReader | None]
    """Reads the pipeline file; None if it has no [source]."""
    codec: Codec
    prefix: str

    def __call__(self, record: KafkaRecord, letter: DeadLetter) -> KafkaRecord:
        """Return the record. Raises GoneError if the pipeline makes no event of it now, and ConfigError."""
        reader = self.reader()
        if reader is None or reader.topics.of(record.topic) is None:
            what = f"No [source] of the pipeline reads {record.topic} now."
            raise GoneError(what, "Set ESCALON_PIPELINE to the pipeline file that does.")
        try:
            found = reader(record)
        except UnreadableError as error:
            raise GoneError(f"It still makes no event: {error.what}", "Correct [source], or drop it.") from error
        if isinstance(found, Skipped):
            raise GoneError(f"The pipeline skips it now ({found.reason}).", "Drop it.")
        made = event_record(record, found, self.codec, f"{self.prefix}events")
        return replace(made, headers=[*made.headers, (RETRY_HEADER, letter.dead_letter_id.encode())])


def source_record(letter: DeadLetter, originals: Originals) -> KafkaRecord:
    """Return the user's record that a letter is about. Raises GoneError if its bytes no longer exist."""
    return KafkaRecord(
        topic=letter.topic,
        partition=letter.partition,
        offset=letter.offset,
        key=letter.key,
        value=originals.whole(letter),
        timestamp=letter.event_time,
        headers=[(one.key, one.value) for one in letter.headers],
    )
