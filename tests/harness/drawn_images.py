"""Images drawn by a program, and files that declare to be images."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

CORNERS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0))
"""Top left, top right, bottom left, bottom right."""
ORIENTATION = 274


def picture(seed: int = 0, size: tuple[int, int] = (240, 180)) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def encoded(image: Image.Image, file_format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def with_corners(width: int, height: int) -> Image.Image:
    """A grey image with a block of its own colour in each corner."""
    image, side = Image.new("RGB", (width, height), "grey"), min(width, height) // 4
    places = ((0, 0), (width - side, 0), (0, height - side), (width - side, height - side))
    for colour, place in zip(CORNERS, places, strict=True):
        image.paste(colour, (*place, place[0] + side, place[1] + side))
    return image


def corners(image: Image.Image) -> tuple[tuple[int, ...], ...]:
    """The colours of the four corners, each channel rounded to 0 or 255."""
    pixels, (width, height) = np.asarray(image.convert("RGB")), image.size
    inside = ((4, 4), (4, width - 5), (height - 5, 4), (height - 5, width - 5))
    return tuple(tuple(255 * round(int(value) / 255) for value in pixels[place]) for place in inside)


def stored_so(image: Image.Image, orientation: int) -> bytes:
    """A JPEG whose Exif says how it must be turned, with a maker that no provider should read."""
    exif = Image.Exif()
    exif[ORIENTATION], exif[271] = orientation, "Planted Camera Works"
    return encoded(image, "JPEG", quality=95, exif=exif)


def photo() -> bytes:
    return encoded(with_corners(640, 480), "JPEG", quality=95)


def png_that_declares(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
