"""An image that was seen, as a table keeps it and as a search nominates it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final, Self

from streams.core.fingerprint import canonical, digest
from streams.core.messages import Event
from streams.core.tables import SEEN_IMAGES

_ENTRY: Final = SEEN_IMAGES.head


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenImage:
    """An event's image, and the digests of what the event says beside it."""

    event_id: str
    image: str
    """The image's SHA-256, 64 hexadecimal digits."""
    text: int
    """64 bits of a digest of the event's text; 0 without one. `data` alike."""
    data: int
    hash: int | None
    """As in ImageFeatures, and so is `thumbnail`."""
    thumbnail: bytes = b""

    @classmethod
    def of(cls, event: Event, image_hash: int | None, thumbnail: bytes) -> Self:
        """What is kept of an event with an image."""
        return cls(
            event_id=event.origin.event_id,
            image=event.image or "",
            text=_digested(event.text),
            data=_digested(json.loads(event.data) if event.data else {}),
            hash=image_hash if thumbnail else None,
            thumbnail=thumbnail,
        )

    def packed(self, position: int) -> bytes:
        """The image as a table keeps it; `position` is where its sighting stood."""
        entry = _ENTRY.pack(position, self.hash or 0, bytes.fromhex(self.image), self.text, self.data)
        return entry + self.thumbnail

    @classmethod
    def unpacked(cls, event_id: str, value: bytes) -> tuple[int, Self] | None:
        """Where a sighting stood and its image; None for an entry that holds less than a comparison needs."""
        if len(value) < _ENTRY.size:
            return None
        position, image_hash, image, text, data = _ENTRY.unpack_from(value)
        thumbnail = bytes(value[_ENTRY.size :])
        known = image_hash if thumbnail else None
        return position, cls(
            event_id=event_id, image=image.hex(), text=text, data=data, hash=known, thumbnail=thumbnail
        )


def _digested(value: Any) -> int:
    """64 bits of a digest, by the same rules as tasks are compared; 0 where there is nothing."""
    said = canonical(value)
    return 0 if said in ('""', "{}") else int(digest("said", said)[:16], 16) or 1


@dataclass(frozen=True, slots=True)
class Nominee:
    """An earlier image that a new one may be a copy of."""

    seen: SeenImage
    distance: int
    """Bits of 64 in which their hashes differ; 0 for the same bytes."""
