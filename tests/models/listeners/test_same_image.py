"""Similar is not the same: only a copy of an image is a copy."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache

import pytest
from PIL import Image, ImageDraw

from bench.duplicates_images import CHANGES, KINDS, copies, encoded, invoice, resized, screenshot
from streams.models.listeners.image import perceptual_hash, pixels
from streams.models.listeners.same_image import same_image

LOSSY = {"JPEG, quality 25", "50% of the size, nearest pixel, PNG", "50% of the size, JPEG 60"}
TOO_SMALL = {f"{share} of the size, JPEG {quality}" for share in ("33%", "25%") for quality in (80, 60)}


@cache
def original(kind: str, seed: int, total: str | None = None) -> Image.Image:
    return KINDS[kind](seed, total=total)


def again(image: Image.Image) -> Image.Image:
    return pixels(encoded(image, "PNG", compress_level=1))


@cache
def stored(kind: str, seed: int, total: str | None = None) -> Image.Image:
    return again(original(kind, seed, total))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.slow
def test_copies_are_the_same_image(kind: str) -> None:
    for how, data in copies(original(kind, 7)):
        if how not in LOSSY | TOO_SMALL and (kind, how) != ("photos", "256 colours"):
            assert same_image(stored(kind, 7), pixels(data)), how


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("one", "other"), CHANGES)
@pytest.mark.parametrize("share", [1.0, 0.67])
def test_one_other_digit_is_another_image(kind: str, one: str, other: str, share: float) -> None:
    copy = pixels(encoded(resized(original(kind, 7, other), share), "JPEG", quality=85))
    assert not same_image(stored(kind, 7, one), copy)


@pytest.mark.parametrize("kind", KINDS)
def test_two_of_a_kind_are_two_images(kind: str) -> None:
    assert not same_image(stored(kind, 7), stored(kind, 8))


def test_three_invoices_on_one_form_have_one_hash_and_are_three_images() -> None:
    files = [encoded(invoice(seed), "JPEG", quality=85) for seed in range(3)]
    hashes = [perceptual_hash(data) for data in files]
    assert max((one ^ other).bit_count() for one in hashes for other in hashes) <= 10
    looked = [pixels(data) for data in files]
    assert [same_image(one, other) for one in looked for other in looked] == [
        True, False, False, False, True, False, False, False, True,
    ]  # fmt: skip


def drawn(draw: Callable[[ImageDraw.ImageDraw], None]) -> Image.Image:
    image = screenshot(1)
    draw(ImageDraw.Draw(image))
    return again(image)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            lambda pen: pen.text((300, 1040), "state", fill=(200, 0, 0)),
            lambda pen: pen.text((300, 1040), "state", fill=(0, 118, 0)),
        ),
        (
            lambda pen: pen.ellipse((500, 1040, 512, 1052), fill=(220, 40, 40)),
            lambda pen: pen.ellipse((500, 1040, 512, 1052), fill=(30, 134, 30)),
        ),
        (lambda pen: pen.text((300, 1030), "a faint note", fill=(215, 216, 218), font_size=28), lambda _: None),
        (lambda pen: pen.rectangle((300, 1030, 340, 1050), fill=(233, 234, 236)), lambda _: None),
        (
            lambda pen: pen.text((300, 1040), "1.843", fill="black", font_size=13),
            lambda pen: pen.text((300, 1040), "1,843", fill="black", font_size=13),
        ),
    ],
    ids=["red or green word", "red or green light", "faint writing", "pale box", "point or comma"],
)
def test_small_and_pale_things_count(
    one: Callable[[ImageDraw.ImageDraw], None], other: Callable[[ImageDraw.ImageDraw], None]
) -> None:
    assert not same_image(drawn(one), drawn(other))


def test_a_part_of_an_image_and_an_image_with_a_margin_are_other_images() -> None:
    image = invoice(1)
    assert not same_image(again(image), again(image.crop((0, 0, 1240, 1600))))
    assert not same_image(again(image), again(image.crop((0, -100, 1240, 1754))))
    assert not same_image(again(image), again(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)))


def test_text_that_is_not_legible_in_a_small_copy_cannot_be_compared() -> None:
    image = invoice(1)
    assert not same_image(again(image), again(resized(image, 0.2)))
    assert not same_image(again(resized(invoice(2), 0.2)), again(image))


def test_a_soft_picture_is_found_in_a_small_copy() -> None:
    image = KINDS["photos"](9)
    assert same_image(again(image), pixels(encoded(resized(image, 0.25), "JPEG", quality=80)))


def test_images_of_one_pixel_and_of_odd_shapes_can_be_compared() -> None:
    dot, line = Image.new("RGB", (1, 1), "red"), Image.new("RGB", (900, 1), "red")
    assert same_image(dot, dot)
    assert not same_image(dot, line)
    assert same_image(line, Image.open(io.BytesIO(encoded(line, "PNG"))))
