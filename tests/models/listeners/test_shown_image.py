"""Images as a language model is shown them."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from streams.core.errors import UnreadableError
from streams.models.listeners.shown_image import LIMITS, SMALL_PNG, fitted, shown_image
from tests.harness.drawn_images import CORNERS, corners, encoded, picture, png_that_declares, stored_so, with_corners

CLAUDE = LIMITS["claude"]


def decoded(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def test_a_photo_of_12_megapixels_arrives_upright_within_the_limits_and_without_metadata() -> None:
    upright = with_corners(3000, 4000)
    turned = upright.transpose(Image.Transpose.ROTATE_90)  # as a camera stores it, to be shown by orientation 6
    part = shown_image("5e" * 32, stored_so(turned, 6), CLAUDE)
    seen = decoded(part.data)
    assert (part.sha256, part.media_type, seen.format) == ("5e" * 32, "image/jpeg", "JPEG")
    assert seen.size == fitted(3000, 4000, CLAUDE)
    assert corners(seen) == CORNERS
    assert math.ceil(seen.width / 28) * math.ceil(seen.height / 28) <= 1568
    assert not seen.getexif()
    assert b"Planted" not in part.data


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_shown_upright(orientation: int) -> None:
    data = stored_so(with_corners(160, 80), orientation)
    expected = ImageOps.exif_transpose(decoded(data))
    seen = decoded(shown_image("", data, CLAUDE).data)
    assert (seen.size, corners(seen)) == (expected.size, corners(expected))


# The largest images that Anthropic's page lists as not made smaller.
@pytest.mark.parametrize("size", [(1092, 1092), (951, 1268), (896, 1344), (819, 1456), (784, 1568), (200, 200)])
def test_an_image_within_the_limits_keeps_its_size(size: tuple[int, int]) -> None:
    assert fitted(*size, CLAUDE) == size


@given(st.integers(1, 20_000), st.integers(1, 20_000), st.sampled_from(sorted(LIMITS)))
def test_any_image_fits_and_is_made_no_smaller_than_it_must_be(width: int, height: int, provider: str) -> None:
    limits = LIMITS[provider]
    across, down = fitted(width, height, limits)

    def patches(one: int, other: int) -> int:
        return math.ceil(one / limits.patch) * math.ceil(other / limits.patch)

    assert 1 <= across <= width
    assert 1 <= down <= height
    assert max(across, down) <= limits.edge
    assert patches(across, down) <= limits.patches
    assert abs(across * height - down * width) <= max(width, height)  # the same proportions, but for rounding
    if (across, down) != (width, height):
        once_more = 1 + 2 * limits.patch / max(across, down)
        larger = across * once_more, down * once_more
        assert max(larger) > limits.edge or patches(math.floor(larger[0]), math.floor(larger[1])) > limits.patches


def test_line_art_is_sent_without_loss_and_a_photo_that_came_so_as_jpeg() -> None:
    drawing = with_corners(300, 200)
    part = shown_image("", encoded(drawing, "PNG"), CLAUDE)
    assert part.media_type == "image/png"
    assert np.array_equal(np.asarray(decoded(part.data)), np.asarray(drawing))
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (600, 600, 3), dtype=np.uint8))
    photo = shown_image("", encoded(noise, "PNG"), CLAUDE)
    assert len(encoded(noise, "PNG")) > SMALL_PNG
    assert (photo.media_type, decoded(photo.data).size) == ("image/jpeg", (600, 600))


def test_the_noisiest_image_within_the_limits_is_within_the_bytes() -> None:
    noise = np.random.default_rng(2).integers(0, 256, (1120, 1092, 3), dtype=np.uint8)
    assert len(shown_image("", encoded(Image.fromarray(noise), "BMP"), CLAUDE).data) <= CLAUDE.bytes


def test_what_is_transparent_is_shown_on_white() -> None:
    part = shown_image("", encoded(Image.new("RGBA", (64, 64), (255, 0, 0, 0)), "PNG"), CLAUDE)
    assert decoded(part.data).convert("RGB").getpixel((10, 10)) == (255, 255, 255)


def test_an_animation_is_shown_by_its_first_frame() -> None:
    frames = [picture(seed, (60, 40)) for seed in range(3)]
    part = shown_image("", encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]), CLAUDE)
    assert (part.media_type, decoded(part.data).size) == ("image/png", (60, 40))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"no image at all", "not_an_image"),
        (encoded(picture(), "JPEG")[:500], "not_an_image"),
        (png_that_declares(60_000, 60_000), "image_too_large"),
        (b"\xff" * 20_000_001, "image_too_large"),
    ],
)
def test_what_cannot_be_shown_is_refused_with_its_reason(data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableError) as caught:
        shown_image("", data, CLAUDE)
    assert caught.value.reason == reason
