"""Draws documents that look alike from afar, and realistic copies of them."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from streams.demo.images import SCENES, draw

NAMES = ("Miller", "Smith", "Jones", "Berg", "Huber", "Rossi", "Okafor", "Tanaka")
GOODS = ("Milk", "Bread", "Butter", "Apples", "Cheese", "Soap", "Tea")
BRANDS = ("Acme", "Orbit", "Nimbus", "Kestrel", "Apex", "Lumen", "Vela", "Quill")
Colour = str | tuple[int, ...]


def _write(pen: ImageDraw.ImageDraw, place: tuple[int, int], text: str, size: int, colour: Colour = "black") -> None:
    pen.text(place, text, font=ImageFont.load_default(size), fill=colour)


def _money(chance: random.Random) -> str:
    return f"{chance.randint(10, 9999)}.{chance.randint(0, 99):02d}"


def invoice(seed: int, total: str | None = None) -> Image.Image:
    """Return an A4 page at 150 dots an inch. Pages of one form differ in the number, the name and the total only."""
    chance = random.Random(seed)
    image = Image.new("RGB", (1240, 1754), "white")
    pen = ImageDraw.Draw(image)
    pen.rectangle((80, 80, 380, 160), fill=(20, 60, 140))
    _write(pen, (100, 100), "ACME GmbH", 36, "white")
    _write(pen, (80, 200), "Invoice", 60)
    _write(pen, (80, 320), f"Invoice no. {chance.randint(10_000, 99_999)}", 26)
    _write(pen, (80, 360), f"To: {chance.choice(NAMES)}", 26)
    for row in range(12):
        pen.line((80, 500 + 60 * row, 1160, 500 + 60 * row), fill=(150, 150, 150), width=2)
        _write(pen, (90, 512 + 60 * row), ("Service", "Travel", "Material", "Support")[row % 4], 24)
    drawn = _money(chance)
    _write(pen, (860, 1420), "Total", 28)
    _write(pen, (1000, 1420), total or drawn, 28)
    _write(pen, (80, 1600), "Payable within 14 days. IBAN DE00 1234 5678 9012 3456 00", 20)
    return image


def receipt(seed: int, total: str | None = None) -> Image.Image:
    chance = random.Random(seed)
    image = Image.new("RGB", (576, 1200), (250, 250, 250))
    pen = ImageDraw.Draw(image)
    _write(pen, (150, 30), "SUPERMARKET", 36)
    _write(pen, (130, 90), "Main Street 1, Springfield", 22)
    for row in range(14):
        _write(pen, (30, 160 + 50 * row), chance.choice(GOODS), 24)
        _write(pen, (440, 160 + 50 * row), f"{chance.randint(0, 30)}.{chance.randint(0, 99):02d}", 24)
    drawn = _money(chance)
    _write(pen, (30, 890), "TOTAL", 32)
    _write(pen, (400, 890), total or drawn, 32)
    _write(pen, (30, 970), f"2026-11-{chance.randint(10, 28)}  No {chance.randint(1000, 9999)}", 20)
    return image


def screenshot(seed: int, total: str | None = None) -> Image.Image:
    """Return a table of orders in a browser, 1920 x 1080, in 13 pixels."""
    chance = random.Random(seed)
    image = Image.new("RGB", (1920, 1080), (245, 246, 248))
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, 0, 1920, 60), fill=(40, 44, 52))
    _write(pen, (20, 20), "Orders - Admin", 18, "white")
    pen.rectangle((0, 60, 260, 1080), fill=(230, 232, 236))
    for row, name in enumerate(("Dashboard", "Orders", "Customers", "Reports", "Settings")):
        _write(pen, (24, 100 + 40 * row), name, 14, (60, 60, 60))
    for row in range(24):
        y = 110 + 38 * row
        pen.line((290, y + 28, 1890, y + 28), fill=(215, 215, 215))
        _write(pen, (300, y), f"#{chance.randint(1000, 9999)}", 13, (30, 30, 30))
        _write(pen, (500, y), chance.choice(NAMES), 13, (30, 30, 30))
        drawn = _money(chance)
        _write(pen, (900, y), (total if row == 12 else None) or drawn, 13, (30, 30, 30))
        paid = chance.random() < 0.5
        _write(pen, (1300, y), "paid" if paid else "open", 13, (0, 128, 0) if paid else (200, 0, 0))
    return image


def logo(seed: int, total: str | None = None) -> Image.Image:
    chance = random.Random(seed)
    image = Image.new("RGB", (400, 160), "white")
    pen = ImageDraw.Draw(image)
    pen.ellipse((20, 20, 140, 140), fill=tuple(chance.randint(0, 160) for _ in range(3)))
    _write(pen, (160, 45), BRANDS[seed % len(BRANDS)] + (f" {seed // len(BRANDS)}" if seed >= len(BRANDS) else ""), 44)
    _write(pen, (160, 110), total or "since 1.848", 20)
    return image


def photo(seed: int, total: str | None = None) -> Image.Image:
    """Return one of the demo's scenes, or a soft picture of random colours."""
    if total is None and seed < len(SCENES):
        return draw(SCENES[seed])
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((1200, 900), Image.Resampling.BICUBIC)
    _write(ImageDraw.Draw(image), (900, 850), total or "", 28, "white")
    return image


KINDS: Mapping[str, Callable[..., Image.Image]] = {
    "invoices on one form": invoice,
    "receipts": receipt,
    "screenshots": screenshot,
    "logos": logo,
    "photos": photo,
}
CHANGES = (("1848.00", "1843.00"), ("1848.00", "1848.06"), ("1848.00", "7848.00"), ("1848.00", "1348.00"))
"""Two totals that differ in one digit."""


def encoded(image: Image.Image, file_format: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, file_format, **options)
    return out.getvalue()


def resized(image: Image.Image, share: float, filter_name: str = "LANCZOS") -> Image.Image:
    """Return an image whose sides are this share of the original's."""
    size = (round(image.width * share), round(image.height * share))
    return image.resize(size, Image.Resampling[filter_name])


def copies(image: Image.Image) -> Iterator[tuple[str, bytes]]:
    """Return true copies of an image, each with the way it was made."""
    yield "another format, without loss", encoded(image, "WEBP", lossless=True)
    for quality in (85, 60, 40, 25):
        yield f"JPEG, quality {quality}", encoded(image, "JPEG", quality=quality)
    yield "WebP, quality 50", encoded(image, "WEBP", quality=50)
    yield "256 colours", encoded(image.quantize(256), "PNG")
    for share in (1.5, 0.8, 0.67, 0.5, 0.33, 0.25):
        for quality in (80, 60):
            yield f"{share:.0%} of the size, JPEG {quality}", encoded(resized(image, share), "JPEG", quality=quality)
    yield "80% of the size, JPEG 60, twice", _twice(image)
    yield "50% of the size, bilinear, PNG", encoded(resized(image, 0.5, "BILINEAR"), "PNG")
    yield "50% of the size, nearest pixel, PNG", encoded(resized(image, 0.5, "NEAREST"), "PNG")


def _twice(image: Image.Image) -> bytes:
    with Image.open(io.BytesIO(encoded(resized(image, 0.8), "JPEG", quality=60))) as once:
        return encoded(resized(once, 0.8), "JPEG", quality=60)
