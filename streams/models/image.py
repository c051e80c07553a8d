"""Has this image been seen before? Perceptual hashes, and an index of those seen.

The 64-bit pHash (Zauner 2010, "Implementation and benchmarking of perceptual image hash functions") keeps
the signs of an image's lowest frequencies. Resized and recompressed copies lie within some 10 bits of each
other; most crops, and mirror images, do not.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from streams.core.errors import UnreadableError

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF")
"""What is decoded. Pillow knows more formats, but each decoder is code that strangers' bytes reach."""
MAX_BYTES = 20_000_000
MAX_PIXELS = 50_000_000
SEEN = struct.Struct(">qQ")
"""An image as a table keeps it: where its sighting stood, and its hash."""
_DRAFT_SIZE = (256, 256)
"""A JPEG may be decoded at a fraction of its size, but not below this, or the hash would drift."""


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What an image is: its format (`JPEG`, `PNG`, …), width and height in stored pixels, size in bytes."""

    format: str
    width: int
    height: int
    bytes: int


def describe(data: bytes, *, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS) -> ImageInfo:
    """Read an image's header without decoding it. Raises UnreadableError as `perceptual_hash` does."""
    with _opened(data, max_bytes, max_pixels) as image:
        return ImageInfo(str(image.format), image.width, image.height, len(data))


def perceptual_hash(data: bytes, *, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS) -> int:
    """The 64-bit pHash of an image as shown upright (of its first frame), from 0 to 2**64 - 1.

    Raises UnreadableError: `not_an_image` when the bytes cannot be decoded, `image_too_large` when they
    exceed `max_bytes`, or their header declares more than `max_pixels`, before any pixel is decoded.
    """
    import imagehash
    from PIL import ImageOps

    with _opened(data, max_bytes, max_pixels) as image:
        image.draft("L", _DRAFT_SIZE)
        bits = imagehash.phash(_flattened(ImageOps.exif_transpose(image))).hash
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


@contextmanager
def _opened(data: bytes, max_bytes: int, max_pixels: int) -> Iterator[Image.Image]:
    """The image, its header read and its size allowed; what the decoder raises becomes UnreadableError."""
    from PIL import Image

    if len(data) > max_bytes:
        raise UnreadableError("image_too_large", f"The image has {len(data)} bytes, {max_bytes} are allowed.")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > max_pixels:
                raise Image.DecompressionBombError(f"{image.width} x {image.height}")
            yield image
    # Pillow has a limit of its own as well, and warns at half of it.
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnreadableError(
            "image_too_large", f"The image declares too many pixels ({error}), {max_pixels} are allowed."
        ) from error
    # Pillow's decoders raise nearly anything on broken bytes, struct.error, SyntaxError and KeyError among them.
    # Its words are left out: they hold memory addresses, and a dead letter should say the same each time.
    except Exception as error:
        raise UnreadableError(
            "not_an_image",
            f"The bytes are no readable image ({type(error).__name__}).",
            f"Send a whole image as {', '.join(FORMATS)}.",
        ) from error


def _flattened(image: Image.Image) -> Image.Image:
    """The image on white where it is transparent, else two cut-outs on one hidden colour would be alike."""
    from PIL import Image

    if not image.has_transparency_data:
        return image
    layer = image.convert("RGBA")
    canvas = Image.new("RGBA", layer.size, "white")
    canvas.alpha_composite(layer)
    return canvas


class HashIndex:
    """The newest `capacity` (event id, 64-bit hash) pairs, searched by Hamming distance.

    A search is one pass of numpy over 8 bytes an image. An event that is added again keeps its first place
    and takes the new hash. Not safe for threads.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError("capacity must be at least 1")
        self.capacity = capacity
        self._hashes = np.zeros(min(capacity, 1024), dtype=np.uint64)
        self._events: list[str] = []
        self._position: dict[str, int] = {}
        self._start = 0

    @classmethod
    def from_items(cls, items: Iterable[tuple[str, int]], capacity: int) -> Self:
        """An index of (event id, hash) pairs, given oldest first."""
        index = cls(capacity)
        for event_id, image_hash in items:
            index.add(event_id, image_hash)
        return index

    def __len__(self) -> int:
        return len(self._position)

    def items(self) -> list[tuple[str, int]]:
        """The pairs held, oldest first."""
        return [(event, int(self._hashes[self._position[event]])) for event in self._events[self._start :]]

    def add(self, event_id: str, image_hash: int) -> None:
        """Remember a hash; beyond `capacity` the oldest is forgotten. Constant time on average."""
        known = self._position.get(event_id)
        if known is not None:
            self._hashes[known] = image_hash
            return
        if len(self) == self.capacity:
            del self._position[self._events[self._start]]
            self._start += 1
        if len(self._events) == len(self._hashes):
            self._make_room()
        self._hashes[len(self._events)] = image_hash
        self._position[event_id] = len(self._events)
        self._events.append(event_id)

    def nearest(self, image_hash: int, max_distance: int, but_not: str) -> tuple[str, int] | None:
        """The (event id, distance in bits) nearest within `max_distance`, the earliest of equals, else None.

        The event `but_not` is left out, because an event is no duplicate of itself.
        """
        held = self._hashes[self._start : len(self._events)]
        if not len(held):
            return None
        distances = np.bitwise_count(held ^ np.uint64(image_hash))
        own = self._position.get(but_not)
        if own is not None:
            distances[own - self._start] = 255
        best = int(distances.argmin())
        distance = int(distances[best])
        return (self._events[self._start + best], distance) if distance <= min(max_distance, 64) else None

    def _make_room(self) -> None:
        """Drop what was forgotten and double the array, so that adding costs constant time on average."""
        events = self._events[self._start :]
        room = np.zeros(max(2 * len(events), 1024), dtype=np.uint64)
        room[: len(events)] = self._hashes[self._start : len(self._events)]
        self._hashes, self._events, self._start = room, events, 0
        self._position = {event: place for place, event in enumerate(events)}
