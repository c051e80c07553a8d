"""Has this image been seen before? Perceptual hashes, and an index of those seen.

The 64-bit pHash (Zauner 2010, "Implementation and benchmarking of perceptual image hash functions") keeps
the signs of an image's lowest frequencies. Resized and recompressed copies lie within some 10 bits of each
other; most crops, and mirror images, do not.
"""

from __future__ import annotations

import asyncio
import io
import struct
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
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
LARGE_BYTES = 1_000_000
LARGE_PIXELS = 4_000_000
"""An image of more is large: a process decodes one of these at a time."""
MAX_MEMORY = 1_200_000_000
"""What images may cost a process at most, all together, in bytes. `docs/dead-letters.md` has what was measured."""
SEEN = struct.Struct(">qQ")
"""An image as a table keeps it: where its sighting stood, and its hash."""
_DRAFT_SIZE = (256, 256)
"""A JPEG may be decoded at a fraction of its size, but not below this, or the hash would drift."""
_AT_ONCE = 4
_HEADER_READS = 20_000
_EXIF_BYTES, _EXIF_PARTS = 1_000_000, 16
"""Of Exif, Pillow makes an object of each number. A JPEG keeps it in parts of 64 kB, and needs one."""
_BAND_PIXELS = 1_000_000
_TURNS = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
"""By an image's orientation, which Image.Transpose shows it upright."""
_TIFF_TAGS = frozenset(
    {256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 284, 292, 293, 317, 320, 322, 323, 324, 325, 338, 339, 347}
    | {512, 513, 514, 515, 517, 518, 519, 520, 521, 529, 530, 532}
)
"""What of a TIFF's directory says how its pixels are kept."""
_TIFF_TYPES = frozenset({1, 3, 4, 5, 7, 16})
_TIFF_VALUES = 200_000
_ORIENTATION, _TILE_WIDTH, _TILE_LENGTH = 274, 322, 323


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

    with _opened(data, max_bytes, max_pixels) as image:
        image.draft("L", _DRAFT_SIZE)
        bits = imagehash.phash(_upright(image)).hash
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def is_large(data: bytes) -> bool:
    """Whether an image takes so much memory that it is decoded alone. Raises as `describe` does."""
    if len(data) > LARGE_BYTES:
        return True
    with _opened(data, MAX_BYTES, MAX_PIXELS) as image:
        return _room(image) > LARGE_PIXELS


class FewAtOnce:
    """Reads images and hashes them, few at a time and of large ones one, so that all cost at most MAX_MEMORY.

    A thread goes on when the task that waits for it is cancelled, so it is the threads that are counted.
    """

    def __init__(self, read: Callable[[str], bytes]) -> None:
        self._read = read
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._small = ThreadPoolExecutor(_AT_ONCE - 1, "image")
        self._large = ThreadPoolExecutor(1, "large-image")

    async def __call__(self, image: str) -> int:
        """The perceptual hash of an image that `read` finds. Raises as `read` and `perceptual_hash` do."""
        async with self._places:
            loop = asyncio.get_running_loop()
            data = await asyncio.to_thread(self._read, image)
            large = await loop.run_in_executor(self._small, is_large, data)
            return await loop.run_in_executor(self._large if large else self._small, perceptual_hash, data)


@contextmanager
def _opened(data: bytes, max_bytes: int, max_pixels: int) -> Iterator[Image.Image]:
    """The image, its header read and its size allowed; what the decoder raises becomes UnreadableError."""
    from PIL import Image

    if len(data) > max_bytes:
        raise UnreadableError("image_too_large", f"The image has {len(data)} bytes, {max_bytes} are allowed.")
    try:
        if data.count(b"Exif\0\0") > _EXIF_PARTS:
            raise Image.DecompressionBombError(f"more than {_EXIF_PARTS} parts of Exif")
        source = _Source(_plain_tiff(data) if data[:2] in (b"II", b"MM") else data)
        with Image.open(source, formats=FORMATS) as image:
            source.left = None
            if _room(image) > max_pixels:
                raise Image.DecompressionBombError(f"{image.width} x {image.height}, {_room(image)} to decode")
            yield image
    # Pillow has a limit of its own as well, and warns at half of it.
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnreadableError(
            "image_too_large", f"The image declares too much ({error}); {max_pixels} pixels are allowed."
        ) from error
    # Pillow's decoders raise nearly anything on broken bytes, struct.error, SyntaxError and KeyError among them.
    # Its words are left out: they hold memory addresses, and a dead letter should say the same each time.
    except Exception as error:
        raise UnreadableError(
            "not_an_image",
            f"The bytes are no readable image ({type(error).__name__}).",
            f"Send a whole image as {', '.join(FORMATS)}.",
        ) from error


class _Source(io.BytesIO):
    """An image's bytes. Its header is read in so many pieces at most: for each part of it Pillow keeps an object."""

    left: int | None = _HEADER_READS

    def read(self, size: int | None = -1, /) -> bytes:
        from PIL import Image

        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Image.DecompressionBombError("a header of too many parts")
        return super().read(size)


def _room(image: Image.Image) -> int:
    """For how many pixels its decoder makes room: a tile of a TIFF may be larger than the TIFF."""
    from PIL.TiffImagePlugin import TiffImageFile

    pixels = image.width * image.height
    if not isinstance(image, TiffImageFile):
        return pixels
    return max(pixels, int(image.tag_v2.get(_TILE_WIDTH, 0)) * int(image.tag_v2.get(_TILE_LENGTH, 0)))


def _plain_tiff(data: bytes) -> bytes:
    """The TIFF with a directory that holds only how its pixels are kept.

    Pillow makes an object of every number in all its directories, hundreds of bytes of memory for one of the file.
    """
    from PIL import Image

    big = data[2] == 43
    if not big and 42 not in data[2:4]:
        raise ValueError("no TIFF")
    order = "<" if data[:2] == b"II" else ">"
    offset, number, entry = (
        struct.Struct(order + one) for one in (("Q", "Q", "HHQ8s") if big else ("I", "H", "HHI4s"))
    )
    head = 8 if big else 4
    (place,) = offset.unpack_from(data, head)
    (entries,) = number.unpack_from(data, place)
    place += number.size
    kept: dict[int, bytes] = {}
    for start in range(place, min(place + entries * entry.size, len(data) - entry.size + 1), entry.size):
        tag, kind, values, _ = entry.unpack_from(data, start)
        if tag not in _TIFF_TAGS or tag in kept or kind not in _TIFF_TYPES or not values:
            continue
        if values > _TIFF_VALUES:
            raise Image.DecompressionBombError(f"{values} values of tag {tag}")
        kept[tag] = data[start : start + entry.size]
    end = len(data) + len(data) % 2
    directory = number.pack(len(kept)) + b"".join(kept.values()) + offset.pack(0)
    return (
        data[:head] + offset.pack(end) + data[head + offset.size :].ljust(end - head - offset.size, b"\0") + directory
    )


def _upright(image: Image.Image) -> Image.Image:
    """The image in grey as it is shown, made band by band: a whole copy in colour would cost four times as much."""
    from PIL import Image

    image.load()
    grey = Image.new("L", image.size)
    rows = max(1, _BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        box = (0, top, image.width, min(top + rows, image.height))
        grey.paste(_flattened(image.crop(box)).convert("L"), box)
    short = len(image.info.get("exif", b"")) <= _EXIF_BYTES
    turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1)) if short else None
    return grey if turn is None else grey.transpose(Image.Transpose(turn))


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
