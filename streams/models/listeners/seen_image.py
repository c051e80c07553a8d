"""An image of an earlier event, in the form that a table keeps and a search uses."""

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
    """An event's image, and digests of the event's text and data."""

    event_id: str
    image: str
    """SHA-256, 64 hexadecimal digits."""
    text: int
    """64 bits of a digest of the event's text; 0 without one. `data` likewise."""
    data: int
    hash: int | None
    """Equal to the hash in ImageFeatures, as is `thumbnail`."""
    thumbnail: bytes = b""

    @classmethod
    def of(cls, event: Event, image_hash: int | None, thumbnail: bytes) -> Self:
        """Return the stored form of an event with an image."""
        return cls(
            event_id=event.origin.event_id,
            image=event.image or "",
            text=_digested(event.text),
            data=_digested(json.loads(event.data) if event.data else {}),
            hash=image_hash if thumbnail else None,
            thumbnail=thumbnail,
        )

    def packed(self, position: int) -> bytes:
        """Pack the image for a table; `position` is the place of its sighting."""
        entry = _ENTRY.pack(position, self.hash or 0, bytes.fromhex(self.image), self.text, self.data)
        return entry + self.thumbnail

    @classmethod
    def unpacked(cls, event_id: str, value: bytes) -> tuple[int, Self] | None:
        """Return position and image of a sighting; None for an entry that lacks something that a comparison needs."""
        if len(value) < _ENTRY.size:
            return None
        position, image_hash, image, text, data = _ENTRY.unpack_from(value)
        thumbnail = bytes(value[_ENTRY.size :])
        known = image_hash if thumbnail else None
        return position, cls(
            event_id=event_id, image=image.hex(), text=text, data=data, hash=known, thumbnail=thumbnail
        )


def _digested(value: Any) -> int:
    """Return 64 bits of a digest, by the rules for comparing tasks; 0 for nothing."""
    said = canonical(value)
    return 0 if said in ('""', "{}") else int(digest("said", said)[:16], 16) or 1


@dataclass(frozen=True, slots=True)
class Nominee:
    """An earlier image that may have been copied."""

    seen: SeenImage
    distance: int
    """Bits of 64 in which the hashes differ; 0 for the same bytes."""
