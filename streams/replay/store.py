"""The state of a replay on disk: the live run's answers, its own answers, and the events that are done.

One RocksDB directory a replay. It outlives the process, so a stopped replay continues where it was and pays for nothing
twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rocksdict import Options, Rdict, WriteBatch

from streams.adapters.codec import Codec
from streams.adapters.topic_reader import Offsets
from streams.core.errors import ConfigError, UnreadableError
from streams.core.messages import Origin, StoredAnswer
from streams.models.listeners.seen_image import SeenImage

_PRIOR, _OF_ENTRY, _OWN, _DONE, _NEW_IMAGE = b"p", b"e", b"a", b"d", b"n"
_POSITIONS, _STATE, _SPENT, _BATCH = b"o", b"s", b"m", b"b"
_LAST = b"\xff"
_EPOCH, _MICROSECOND = datetime.fromisoformat("1900-01-01T00:00:00+00:00"), timedelta(microseconds=1)
Entry = tuple[bytes, bytes | None]


class ReplayStore:
    """Is a calling.cached.AnswerStore and a replay.replayed.PriorAnswers."""

    def __init__(self, directory: Path, codec: Codec) -> None:
        self._codec = codec
        try:
            self._entries = Rdict(str(directory), Options(raw_mode=True))
        except Exception as error:  # rocksdict has no kind of its own
            what = f"{directory} cannot be opened ({str(error)[:200]})."
            raise ConfigError(what, "Does another process replay this run? Wait for it.", "run") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._entries.close()

    # ---- The answers of the run it takes ----

    @property
    def positions(self) -> Offsets:
        """The next offset to read of each changelog."""
        return {(topic, partition): offset for topic, partition, offset in self._json(_POSITIONS) or []}

    def take_over(self, entries: Iterable[Entry], positions: Offsets) -> None:
        """Store entries of the changelogs and their positions; an entry without a value was deleted.

        A key may come again with a later answer. The earlier one stays beside it, for the events it once served.
        """
        batch = WriteBatch(raw_mode=True)
        for key, value in entries:
            of_entry = _OF_ENTRY + key + b"\0"
            if value is None:
                for index in list(self._keys(of_entry)):
                    batch.delete(index)
                    batch.delete(index.removeprefix(of_entry))
            elif (place := self._place(value)) is not None:
                batch.put(place, value)
                batch.put(of_entry + place, b"")
        places = [[topic, partition, offset] for (topic, partition), offset in positions.items()]
        batch.put(_POSITIONS, json.dumps(places).encode())
        self._entries.write(batch)

    def find(self, fingerprint: str, origin: Origin) -> StoredAnswer | None:
        """Return the run's answer: about this event, else about the one nearest before it, else after it."""
        of_task = _PRIOR + fingerprint.encode() + b"\0"
        own = of_task + _moment(origin.event_time)
        exact = self._entries.get(own + origin.event_id.encode())
        return self._decoded(exact if exact is not None else self._nearest(of_task, own + _LAST))

    def _nearest(self, of_task: bytes, upto: bytes) -> bytes | None:
        """Return the last answer of a task up to a key, else its first one."""
        entries = self._entries.iter()
        for seek, key in ((entries.seek_for_prev, upto), (entries.seek, of_task)):
            seek(key)
            if entries.valid() and bytes(entries.key()).startswith(of_task):
                return bytes(entries.value())
        return None

    def _place(self, value: bytes) -> bytes | None:
        """Return the key of an answer: its task, and the time and id of its event."""
        stored = self._decoded(value)
        if stored is None or not stored.calls:
            return None
        call = stored.calls[-1]
        task = _PRIOR + call.fingerprint.encode() + b"\0"
        return task + _moment(call.origin.event_time) + call.origin.event_id.encode()

    # ---- Its own ----

    @property
    def state(self) -> dict[str, Any] | None:
        """The progress that `done` stored; None at the beginning."""
        found = self._json(_STATE)
        return None if found is None else dict(found)

    @property
    def spent(self) -> dict[str, Any] | None:
        """The spending that `spend` stored; None at the beginning."""
        found = self._json(_SPENT)
        return None if found is None else dict(found)

    def spend(self, spent: Mapping[str, Any]) -> None:
        """Store the spending, as values of JSON."""
        self._entries[_SPENT] = json.dumps(spent).encode()

    def get(self, fingerprint: str) -> StoredAnswer | None:
        """Return this replay's answer."""
        return self._decoded(self._entries.get(_OWN + fingerprint.encode()))

    def put(self, fingerprint: str, answer: StoredAnswer) -> None:
        """Store an answer of this replay."""
        self._entries[_OWN + fingerprint.encode()] = self._codec.encode(answer)

    def content_of(self, event_id: str) -> str | None:
        """Return the content hash of an event that is done; None if the event is not done."""
        found = self._entries.get(_DONE + event_id.encode())
        return None if found is None else bytes(found).decode()

    def done(self, contents: Mapping[str, str], state: Mapping[str, Any]) -> None:
        """Store events whose rows ClickHouse has acknowledged and, as values of JSON, the progress.

        `contents` has the content hash of each, by its id.
        """
        batch = WriteBatch(raw_mode=True)
        for event_id, content in contents.items():
            batch.put(_DONE + event_id.encode(), content.encode())
        batch.put(_STATE, json.dumps(state).encode())
        self._entries.write(batch)

    def batches(self) -> list[bytes]:
        """Return the records of this replay's batches."""
        return [bytes(self._entries[key]) for key in self._keys(_BATCH)]

    def keep_batch(self, intent_id: str, record: bytes) -> None:
        """Store a batch."""
        self._entries[_BATCH + intent_id.encode()] = record

    def drop_batch(self, intent_id: str) -> None:
        """Remove a batch that does not exist (any more)."""
        del self._entries[_BATCH + intent_id.encode()]

    def keep_image(self, number: int, image: SeenImage) -> None:
        """Store an image that is new in this replay alone, the `number`th."""
        self._entries[_NEW_IMAGE + image.event_id.encode()] = image.packed(number)

    def images(self) -> list[SeenImage]:
        """Return the images that are new in this replay alone, in order."""
        keys = self._keys(_NEW_IMAGE)
        found = [SeenImage.unpacked(key[1:].decode(), self._entries[key]) for key in keys]
        return [image for _, image in sorted(filter(None, found), key=lambda item: item[0])]

    # ---- Reading ----

    def _keys(self, prefix: bytes) -> Iterator[bytes]:
        entries = self._entries.iter()
        entries.seek(prefix)
        while entries.valid() and (key := bytes(entries.key())).startswith(prefix):
            yield key
            entries.next()

    def _json(self, key: bytes) -> Any:
        found = self._entries.get(key)
        return None if found is None else json.loads(found)

    def _decoded(self, data: bytes | None) -> StoredAnswer | None:
        try:
            return None if data is None else self._codec.decode(StoredAnswer, data)
        except UnreadableError:
            return None  # as the tiers do with one that cannot be read: ask again


def _moment(at: datetime) -> bytes:
    """Encode a time as 8 bytes that sort as it does."""
    return ((at - _EPOCH) // _MICROSECOND).to_bytes(8)
