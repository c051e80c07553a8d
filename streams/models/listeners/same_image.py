"""Compares the pixels of two images: do they show the same, apart from size and compression?

A perceptual hash says that two images look alike from afar. Three invoices on one form do. Here every place counts: the
two are brought to the smaller one's size, and nowhere may they differ by more than resampling and compression do.
`bench/duplicates.py` measures hits and confusions; `docs/pipeline.md` has the figures.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from PIL import Image

_CONTRAST_RADIUS: Final = 3.5
"""Of the window for local contrast, in pixels. Compression errs at edges."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Allowed difference of two images in the mean of a window, in levels of 256."""

    radius: float
    """Half of the window's side, in pixels."""
    levels: float
    contrast: float
    """Allowed beyond `levels`, as a share of the local contrast."""


# Measured on copies of forms, receipts, screenshots, logos and photos, each with some room. A changed digit of 13
# pixels differs by 50 and more at full size, by 12 and more at half of it.
_FINE: Final = Tolerance(radius=0.5, levels=18, contrast=0.2)
_COARSE: Final = Tolerance(radius=3.5, levels=8, contrast=0.25)
_COLOUR: Final = Tolerance(radius=3.5, levels=13, contrast=0.25)
_LOST: Final = Tolerance(radius=3.5, levels=17, contrast=0.25)
"""At the larger one's size: detail that the smaller one lacks. If the smaller one is smaller than _LEGIBLE allows,
every edge counts: only soft pictures can be compared with so small a copy.
"""
_LEGIBLE: Final = 0.45


def same_image(one: Image.Image, other: Image.Image) -> bool:
    """True if two upright RGB images show the same. Either may be the copy.

    False where the smaller one is too small to judge: text that is legible in one and not in the other.
    """
    small, large = sorted((one, other), key=lambda image: image.width * image.height)
    if not _same_shape(small, large):
        return False
    share = min(1.0, small.width / large.width)
    lost = _LOST if share >= _LEGIBLE else _FINE
    if small.size != large.size and not _within(lost, _grey(_resized(small, large.size)), _grey(large)):
        return False
    x, y = (image.convert("YCbCr").split() for image in (small, _resized(large, small.size)))
    fine = replace(_FINE, levels=_FINE.levels * (1 + 2 * share) / 3)  # what is shrunk differs by less
    return (
        _within(fine, x[0], y[0])
        and _within(_COARSE, x[0], y[0])
        and all(_within(_COLOUR, a, b) for a, b in zip(x[1:], y[1:], strict=True))
    )


def _same_shape(small: Image.Image, large: Image.Image) -> bool:
    """True if both have the same ratio of their sides, as far as whole pixels allow."""
    width, height = large.width * small.height / large.height, large.height * small.width / large.width
    slack = max(small.size) / min(small.size)  # the rounding of the short side, as it shows in the long one
    return abs(width - small.width) <= 1 + slack and abs(height - small.height) <= 1 + slack


def _resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    from PIL import Image

    return image if image.size == size else image.resize(size, Image.Resampling.BICUBIC)


def _grey(image: Image.Image) -> Image.Image:
    return image.convert("L")


def _within(tolerance: Tolerance, one: Image.Image, other: Image.Image) -> bool:
    """True if two images of one channel differ nowhere by more than a tolerance."""
    from PIL import ImageChops, ImageFilter

    window = ImageFilter.BoxBlur(tolerance.radius)
    apart = ImageChops.difference(one.filter(window), other.filter(window))
    contrast = ImageChops.lighter(_contrast(one), _contrast(other))
    allowed = contrast.point([min(255, round(tolerance.levels + tolerance.contrast * level)) for level in range(256)])
    return not ImageChops.subtract(apart, allowed).getbbox()


def _contrast(image: Image.Image) -> Image.Image:
    """Return the mean distance from the local mean, around each pixel."""
    from PIL import ImageChops, ImageFilter

    window = ImageFilter.BoxBlur(_CONTRAST_RADIUS)
    return ImageChops.difference(image, image.filter(window)).filter(window)
