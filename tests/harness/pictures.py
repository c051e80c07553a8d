"""Photographs drawn by a program."""

from __future__ import annotations

import io

from PIL import Image


def picture(size: int = 256, shade: int = 0) -> bytes:
    image = Image.new("RGB", (256, 256), (shade, 90, 200))
    for step in range(0, 256, 16):
        image.paste((255 - step, step, (step * (shade + 3)) % 256), (step, (step * (shade + 1)) % 256, 256, 256))
    out = io.BytesIO()
    image.resize((size, size)).save(out, "JPEG", quality=85)
    return out.getvalue()
