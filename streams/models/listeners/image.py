"""Reads images safely: header, perceptual hash, pixels.

The 64-bit pHash (Zauner 2010, "Implementation and benchmarking of perceptual image hash functions") keeps the signs of
an image's lowest frequencies. Resized and recompressed copies lie within some 10 bits of each other; most crops, and
mirror images, do not. Nor do different images that look alike from afar, such as two invoices on one form: the hash
nominates, and `streams.models.listeners.same_image` decides.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from streams.core.errors import UnreadableError

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP")
"""Formats that are decoded. Pillow knows more, but each decoder is code that strangers' bytes reach."""
MAX_BYTES = 20_000_000
MAX_PIXELS = 50_000_000
LARGE_BYTES = 1_000_000
LARGE_PIXELS = 4_000_000
"""A larger image is decoded alone: one at a time in a process."""
MAX_MEMORY = 1_200_000_000
"""Bytes that all images together may cost a process. `docs/dead-letters.md` has the measurements."""
MAX_LOOK = 10_000_000
"""Pixels at which two images are compared; larger ones are shrunk."""
THUMBNAIL_SIDE = 32
PLAIN_LEVELS = 16
"""An image whose thumbnail spans fewer of the 256 grey levels carries no information: its hash would be noise."""
_DRAFT_SIZE = (256, 256)
"""A JPEG may be decoded at a fraction of its size, but not below this, or the hash would drift."""
_HASH_SIDE, _HASH_PIXELS = 8, 32
"""A hash has a bit for each of 8 by 8 frequencies of the image at 32 by 32 pixels."""
_HEADER_READS = 20_000
_EXIF_BYTES, _EXIF_PARTS = 1_000_000, 16
"""Pillow makes an object of each number of Exif. A JPEG keeps Exif in parts of 64 kB, and needs one."""
_BAND_PIXELS = 1_000_000
_TURNS = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
"""The Image.Transpose that shows an image of an orientation upright."""
_ORIENTATION = 274


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """Format (`JPEG`, `PNG`, …), width and height in stored pixels, and size in bytes."""

    format: str
    width: int
    height: int
    bytes: int


@dataclass(frozen=True, slots=True)
class ImageFeatures:
    """The hash and thumbnail by which an image's copies are found."""

    hash: int | None
    """Perceptual hash; None for plain and animated images, of which only the same bytes count as a copy."""
    thumbnail: bytes = b""
    """32 x 32 grey levels, row by row; empty without a hash."""


def describe(data: bytes, *, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS) -> ImageInfo:
    with opened(data, max_bytes, max_pixels) as image:
        return ImageInfo(str(image.format), image.width, image.height, len(data))


def perceptual_hash(data: bytes, *, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS) -> int:
    """Return the 64-bit pHash of an image as shown upright (of its first frame), from 0 to 2**64 - 1.

    Raises UnreadableError: `not_an_image` when the bytes cannot be decoded, `image_too_large` when they exceed
    `max_bytes`, or their header declares more than `max_pixels`, before any pixel is decoded.
    """
    with opened(data, max_bytes, max_pixels) as image:
        image.draft("L", _DRAFT_SIZE)
        return _phash(_upright(image))


def image_features(data: bytes) -> ImageFeatures:
    """Return an image's hash and thumbnail. Raises UnreadableError as `perceptual_hash` does."""
    from PIL import Image

    with opened(data) as image:
        if _has_more_frames(image):
            image.load()
            return ImageFeatures(None)
        image.draft("L", _DRAFT_SIZE)
        upright = _upright(image)
    thumbnail = upright.resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BOX).tobytes()
    if max(thumbnail) - min(thumbnail) < PLAIN_LEVELS:
        return ImageFeatures(None)
    return ImageFeatures(_phash(upright), thumbnail)


def pixels(data: bytes) -> Image.Image:
    """Return an image upright, in RGB, on white where it is transparent; larger ones shrunk to MAX_LOOK pixels.

    Raises UnreadableError as `perceptual_hash` does.
    """
    with opened(data) as image:
        image.draft("RGB", _divided(image, _look_factor(image)))
        return _upright(image, "RGB", _look_factor(image))


def _look_factor(image: Image.Image) -> int:
    return math.ceil(math.sqrt(image.width * image.height / MAX_LOOK))


def _divided(image: Image.Image, factor: int) -> tuple[int, int]:
    return image.width // factor, image.height // factor


def _phash(upright: Image.Image) -> int:
    """Return the signs of the 8 by 8 lowest frequencies, each against their median, as ImageHash's `phash` does."""
    import numpy as np
    from PIL.Image import Resampling

    grey = np.asarray(upright.convert("L").resize((_HASH_PIXELS, _HASH_PIXELS), Resampling.LANCZOS), dtype=np.float64)
    samples, frequencies = np.arange(_HASH_PIXELS), np.arange(_HASH_SIDE)[:, np.newaxis]
    cosines = np.cos(np.pi * frequencies * (2 * samples + 1) / (2 * _HASH_PIXELS))  # of a DCT of type II
    lowest = (cosines @ grey @ cosines.T).round(6)  # an image that mirrors itself has frequencies of exactly 0
    return int.from_bytes(np.packbits(lowest > np.median(lowest)).tobytes(), "big")


def _has_more_frames(image: Image.Image) -> bool:
    """True if an image has frames beside its first. A photo's embedded previews are not frames."""
    return bool(getattr(image, "is_animated", False)) and image.format not in ("JPEG", "MPO")


def is_large(data: bytes) -> bool:
    """True if an image takes so much memory that it is decoded alone. Raises as `describe` does."""
    if len(data) > LARGE_BYTES:
        return True
    with opened(data) as image:
        return _pixels(image) > LARGE_PIXELS


@contextmanager
def opened(data: bytes, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS) -> Iterator[Image.Image]:
    """Open an image, with its header read and its size allowed; errors of the decoder become UnreadableError."""
    from PIL import Image

    if len(data) > max_bytes:
        raise UnreadableError("image_too_large", f"The image has {len(data)} bytes, {max_bytes} are allowed.")
    try:
        if data.count(b"Exif\0\0") > _EXIF_PARTS:
            raise Image.DecompressionBombError(f"more than {_EXIF_PARTS} parts of Exif")
        source = _Source(data)
        with Image.open(source, formats=FORMATS) as image:
            source.left = None
            if _pixels(image) > max_pixels:
                raise Image.DecompressionBombError(f"{image.width} x {image.height}, {_pixels(image)} to decode")
            yield image
    # Pillow has a limit of its own as well, and warns at half of it.
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnreadableError(
            "image_too_large", f"The image declares too much ({error}); {max_pixels} pixels are allowed."
        ) from error
    # Pillow's decoders raise nearly anything on broken bytes: struct.error, SyntaxError, KeyError and more.
    # Their messages are left out: they hold memory addresses, and a dead letter should be the same each time.
    except Exception as error:
        raise UnreadableError(
            "not_an_image",
            f"The bytes are not a readable image ({type(error).__name__}).",
            f"Send a whole image as {', '.join(FORMATS)}.",
        ) from error


class _Source(io.BytesIO):
    """An image's bytes. The header may be read in so many pieces only: Pillow keeps an object for each part of it."""

    left: int | None = _HEADER_READS

    def read(self, size: int | None = -1, /) -> bytes:
        from PIL import Image

        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Image.DecompressionBombError("a header of too many parts")
        return super().read(size)


def _pixels(image: Image.Image) -> int:
    return image.width * image.height


def _upright(image: Image.Image, mode: Literal["L", "RGB"] = "L", factor: int = 1) -> Image.Image:
    """Return the image upright, each side divided by `factor`.

    It is made band by band: a whole copy in colour would cost four times as much memory as one in grey.
    """
    from PIL import Image

    image.load()
    shown = Image.new(mode, (-(-image.width // factor), -(-image.height // factor)))
    rows = factor * max(1, _BAND_PIXELS // image.width // factor)
    for top in range(0, image.height, rows):
        box = (0, top, image.width, min(top + rows, image.height))
        band = _flattened(image.crop(box)).convert(mode)
        shown.paste(band.reduce(factor) if factor > 1 else band, (0, top // factor))
    short = len(image.info.get("exif", b"")) <= _EXIF_BYTES
    turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1)) if short else None
    return shown if turn is None else shown.transpose(Image.Transpose(turn))


def _flattened(image: Image.Image) -> Image.Image:
    """Return the image on white where it is transparent: two cut-outs on one hidden colour would look alike."""
    from PIL import Image

    if not image.has_transparency_data:
        return image
    layer = image.convert("RGBA")
    canvas = Image.new("RGBA", layer.size, "white")
    canvas.alpha_composite(layer)
    return canvas
