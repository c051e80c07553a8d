"""Draws the demo's photos: six scenes, and near duplicates of four of them, as a mail program would make them.

`python -m streams.demo.images FOLDER` writes them all; the same call gives the same pictures.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

SIZE = (480, 360)
Colour = tuple[int, int, int]


class Scene(NamedTuple):
    """An original photo: its file, the colours of its backdrop, and the shapes on it."""

    file: str
    top: Colour
    bottom: Colour
    draw: Callable[[ImageDraw.ImageDraw], None]
    grain: float
    """Standard deviation of the sensor noise, in grey levels of 0 to 255."""


class Copy(NamedTuple):
    """A near duplicate: the file it is a copy of, its width in pixels, and its JPEG quality (1 to 95)."""

    file: str
    source: str
    width: int
    quality: int


def _rucksack(pen: ImageDraw.ImageDraw) -> None:
    pen.rectangle((0, 300, 480, 360), fill=(120, 92, 64))
    pen.arc((205, 20, 275, 90), 180, 360, fill=(35, 45, 35), width=9)
    pen.rounded_rectangle((135, 55, 345, 320), 48, fill=(62, 104, 66))
    pen.rounded_rectangle((120, 45, 360, 125), 34, fill=(44, 78, 50))
    pen.rounded_rectangle((165, 190, 315, 300), 22, fill=(84, 132, 86), outline=(38, 66, 42), width=4)
    for x in (185, 285):
        pen.rectangle((x, 100, x + 12, 205), fill=(28, 34, 30))
    pen.text((196, 228), "KESTREL 40", font=ImageFont.load_default(17), fill=(226, 226, 200))


def _tent(pen: ImageDraw.ImageDraw) -> None:
    pen.polygon([(0, 180), (90, 120), (210, 190), (330, 100), (480, 185), (480, 230), (0, 230)], fill=(96, 124, 150))
    pen.rectangle((0, 220, 480, 360), fill=(104, 158, 72))
    pen.polygon([(40, 330), (150, 150), (300, 330)], fill=(232, 144, 40))
    pen.polygon([(150, 150), (300, 330), (400, 300), (255, 145)], fill=(196, 108, 24))
    pen.polygon([(120, 330), (152, 205), (190, 330)], fill=(58, 40, 30))
    pen.ellipse((390, 25, 445, 80), fill=(255, 240, 190))


def _boots(pen: ImageDraw.ImageDraw) -> None:
    for dx, leather in ((0, (112, 70, 38)), (225, (98, 60, 32))):
        pen.polygon(
            [
                (30 + dx, 90),
                (110 + dx, 90),
                (118 + dx, 200),
                (215 + dx, 250),
                (215 + dx, 290),
                (30 + dx, 290),
            ],
            fill=leather,
        )
        pen.rectangle((24 + dx, 284, 222 + dx, 312), fill=(24, 22, 22))
        for y in range(115, 205, 22):
            pen.line((70 + dx, y, 125 + dx, y + 16), fill=(214, 190, 60), width=5)
    for x, y, r in (
        (70, 265, 22),
        (180, 270, 14),
        (300, 250, 26),
        (400, 275, 16),
        (130, 230, 10),
        (350, 215, 9),
    ):
        pen.ellipse((x - r, y - r // 2, x + r, y + r // 2), fill=(74, 56, 40))


def _campfire(pen: ImageDraw.ImageDraw) -> None:
    for x, y in ((40, 40), (120, 25), (200, 60), (330, 30), (420, 70), (270, 18), (75, 95), (390, 120)):
        pen.ellipse((x, y, x + 4, y + 4), fill=(250, 250, 230))
    pen.ellipse((120, 130, 360, 370), fill=(88, 44, 16))
    for inset, flame in ((0, (226, 88, 20)), (24, (248, 152, 30)), (46, (255, 226, 110))):
        pen.polygon(
            [
                (165 + inset, 300),
                (190 + inset, 190 + inset),
                (240, 110 + 2 * inset),
                (292 - inset, 195 + inset),
                (315 - inset, 300),
            ],
            fill=flame,
        )
    pen.line((140, 318, 340, 290), fill=(70, 42, 24), width=24)
    pen.line((140, 290, 340, 318), fill=(54, 32, 18), width=24)


def _ridge(pen: ImageDraw.ImageDraw) -> None:
    pen.ellipse((300, 95, 390, 185), fill=(255, 236, 170))
    pen.polygon([(0, 150), (110, 60), (190, 170), (260, 130), (480, 260), (480, 360), (0, 360)], fill=(112, 84, 132))
    pen.polygon([(0, 260), (140, 190), (280, 290), (480, 215), (480, 360), (0, 360)], fill=(62, 48, 92))
    pen.polygon([(0, 330), (230, 285), (480, 335), (480, 360), (0, 360)], fill=(26, 20, 44))
    pen.line((140, 192, 140, 160), fill=(20, 16, 30), width=5)
    pen.ellipse((134, 146, 146, 160), fill=(20, 16, 30))


def _parcel(pen: ImageDraw.ImageDraw) -> None:
    pen.polygon([(40, 90), (400, 40), (450, 290), (80, 345)], fill=(190, 148, 98))
    pen.polygon([(205, 66), (255, 60), (300, 312), (245, 320)], fill=(222, 200, 150))
    pen.rectangle((95, 130, 330, 265), fill=(248, 248, 244))
    font = ImageFont.load_default(18)
    for y, line in ((138, "FERNWOOD OUTFITTERS"), (162, "To: The Old Dairy"), (186, "Pennyford QX1 3EE")):
        pen.text((105, y), line, font=font, fill=(30, 30, 30))
    for i, bar in enumerate("3112213121132213112311"):
        pen.rectangle((105 + 9 * i, 216, 105 + 9 * i + 2 * int(bar), 256), fill=(15, 15, 15))


SCENES = (
    Scene("rucksack.jpg", (214, 206, 188), (172, 160, 140), _rucksack, 7.0),
    Scene("tent-meadow.jpg", (140, 190, 232), (220, 234, 240), _tent, 7.0),
    Scene("boots.jpg", (176, 176, 166), (140, 112, 84), _boots, 8.0),
    Scene("campfire.jpg", (10, 14, 40), (34, 24, 30), _campfire, 6.0),
    Scene("ridge-sunrise.png", (84, 70, 140), (255, 170, 110), _ridge, 0.0),
    Scene("parcel-label.jpg", (92, 100, 110), (66, 70, 76), _parcel, 7.0),
)
COPIES = (
    Copy("rucksack-small.jpg", "rucksack.jpg", 320, 85),
    Copy("tent-meadow-forwarded.jpg", "tent-meadow.jpg", 400, 70),
    Copy("boots-recompressed.jpg", "boots.jpg", 480, 45),
    Copy("ridge-sunrise-preview.jpg", "ridge-sunrise.png", 360, 90),
)


def draw(scene: Scene) -> Image.Image:
    """Return the photo of one scene, RGB, 480 x 360 pixels."""
    ramp = np.linspace(0.0, 1.0, SIZE[1])[:, None, None]
    sky = np.array(scene.top) * (1 - ramp) + np.array(scene.bottom) * ramp
    image = Image.fromarray(np.broadcast_to(sky, (SIZE[1], SIZE[0], 3)).astype(np.uint8), "RGB")
    scene.draw(ImageDraw.Draw(image))
    soft = np.asarray(image.filter(ImageFilter.GaussianBlur(0.8)), dtype=np.float64)
    noise = np.random.default_rng(len(scene.file)).normal(0.0, scene.grain, soft.shape)
    return Image.fromarray(np.clip(soft + noise, 0, 255).astype(np.uint8), "RGB")


def write_images(folder: Path) -> list[Path]:
    """Draw all scenes and copies into `folder`, which is made when missing; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    for scene in SCENES:
        draw(scene).save(folder / scene.file, quality=80, optimize=True)
    for copy in COPIES:
        with Image.open(folder / copy.source) as original:
            height = round(original.height * copy.width / original.width)
            resized = original.convert("RGB").resize((copy.width, height))
        resized.save(folder / copy.file, quality=copy.quality)
    return [folder / entry.file for entry in (*SCENES, *COPIES)]


if __name__ == "__main__":
    write_images(Path(sys.argv[1]))
