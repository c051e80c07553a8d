from __future__ import annotations

import asyncio
import io
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from streams.core.errors import UnreadableError
from streams.models.listeners.image import (
    LARGE_BYTES,
    MAX_LOOK,
    MAX_MEMORY,
    ImageFeatures,
    ImageInfo,
    describe,
    image_features,
    is_large,
    perceptual_hash,
    pixels,
)
from streams.models.listeners.image_pool import ImagePool
from tests.harness.drawn_images import encoded, picture, png_that_declares

NEAR = 10


def distance(one: bytes, other: bytes) -> int:
    return (perceptual_hash(one) ^ perceptual_hash(other)).bit_count()


@pytest.mark.parametrize(
    "copy",
    [
        encoded(picture(), "JPEG", quality=25),
        encoded(picture(size=(120, 90))),
        encoded(picture(size=(2000, 1500)), "JPEG"),
        encoded(picture(), "WEBP"),
        encoded(picture().convert("RGBA")),
        encoded(picture().convert("L"), "BMP"),
        encoded(picture().convert("P"), "GIF"),
        encoded(picture().convert("CMYK"), "JPEG"),
    ],
    ids=["recompressed", "smaller", "larger", "webp", "alpha", "grey bmp", "palette gif", "cmyk"],
)
def test_a_copy_in_another_size_or_format_is_near(copy: bytes) -> None:
    assert distance(encoded(picture()), copy) <= NEAR


def test_another_picture_is_far() -> None:
    assert min(distance(encoded(picture(0)), encoded(picture(seed))) for seed in range(1, 20)) > NEAR


def test_a_picture_stored_sideways_with_its_orientation_is_near_the_upright_one() -> None:
    turned = picture().transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    assert distance(encoded(picture()), encoded(turned, "JPEG", exif=exif)) <= NEAR
    assert distance(encoded(picture()), encoded(turned, "JPEG")) > NEAR


def test_a_shape_cut_out_of_one_colour_is_seen() -> None:
    alpha = np.asarray(picture(3).convert("L"))
    cut_out = Image.fromarray(np.dstack([np.zeros_like(alpha)] * 3 + [alpha]), "RGBA")
    blank = Image.new("RGBA", cut_out.size)
    assert distance(encoded(cut_out), encoded(blank)) > NEAR


def test_an_animation_is_hashed_by_its_first_frame() -> None:
    frames = [picture(seed).convert("P") for seed in (0, 1)]
    moving = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert distance(moving, encoded(frames[0])) <= NEAR


def test_a_hash_is_64_bits_and_the_same_each_time() -> None:
    data = encoded(picture(5))
    assert 0 < perceptual_hash(data) < 2**64
    assert perceptual_hash(data) == perceptual_hash(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no image at all",
        encoded(picture())[:2000],
        encoded(picture(), "JPEG")[:1500],
        encoded(picture(), "GIF")[:400],
        encoded(picture(), "PDF"),
        encoded(picture(), "TIFF"),
        png_that_declares(100, 100),
    ],
    ids=["empty", "text", "half a png", "half a jpeg", "half a gif", "pdf", "tiff", "png without its pixels"],
)
def test_bytes_that_are_not_a_whole_image_are_unreadable(data: bytes) -> None:
    with pytest.raises(UnreadableError) as error:
        perceptual_hash(data)
    assert error.value.reason == "not_an_image"
    assert "0x" not in str(error.value)


@settings(deadline=None)
@given(st.integers(0, 1), st.integers(10, 1000), st.binary(min_size=1, max_size=8))
def test_broken_bytes_give_a_hash_or_are_unreadable_and_nothing_else(which: int, place: int, noise: bytes) -> None:
    whole = (PNG, JPEG)[which]
    broken = whole[:place] + noise + whole[place + len(noise) :]
    try:
        found: object = perceptual_hash(broken) < 2**64
    except UnreadableError as error:
        found = error.reason
    assert found in {True, "not_an_image", "image_too_large"}


PNG = encoded(picture(size=(40, 30)))
JPEG = encoded(picture(size=(40, 30)), "JPEG")


def test_a_jpeg_whose_header_has_too_many_parts_is_refused() -> None:
    for parts in (b"\xff\xe5\0\2" * 10_000, b"\xff\xe1\0\x08Exif\0\0" * 17):
        with pytest.raises(UnreadableError) as error:
            perceptual_hash(JPEG[:2] + parts + JPEG[2:])
        assert error.value.reason == "image_too_large"


def test_an_image_of_many_bytes_or_pixels_is_large() -> None:
    assert is_large(bytes(LARGE_BYTES + 1))
    assert is_large(png_that_declares(2_001, 2_000))
    assert not is_large(png_that_declares(2_000, 2_000))
    with pytest.raises(UnreadableError):
        is_large(b"no image at all")


def hash_of_the_whole_image(data: bytes) -> int:
    """The hash as it is defined, without a thought of memory."""
    with Image.open(io.BytesIO(data)) as opened:
        image = ImageOps.exif_transpose(opened)
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return int(str(imagehash.phash(image)), 16)


def with_orientation(turn: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = turn
    return encoded(picture(7, (130, 90)), "PNG", exif=exif)


@pytest.mark.parametrize(
    "make",
    [
        *(partial(with_orientation, turn) for turn in range(1, 9)),
        lambda: encoded(picture(8, (1300, 1100))),
        lambda: encoded(
            Image.merge("RGBA", [*picture(8, (1300, 1100)).split(), picture(9, (1300, 1100)).convert("L")])
        ),
        lambda: encoded(Image.merge("LA", [picture(8).convert("L"), picture(9).convert("L")])),
        lambda: encoded(picture(8, (1300, 1100)).convert("P"), transparency=3),
        lambda: encoded(picture(8, (1300, 1100)).convert("P"), "GIF", transparency=3),
        lambda: encoded(picture(8), transparency=picture(8).getpixel((0, 0))),
        lambda: encoded(Image.merge("RGBA", [*picture(8).split(), picture(9).convert("L")]), "WEBP"),
        lambda: encoded(picture(8).convert("1")),
        lambda: encoded(picture(8).convert("I;16")),
        lambda: encoded(picture(8).convert("CMYK"), "JPEG"),
    ],
)
def test_the_hash_is_that_of_the_whole_image_bit_by_bit(make: Callable[[], bytes]) -> None:
    data = make()
    assert perceptual_hash(data) == hash_of_the_whole_image(data)


MEASURED = """
import asyncio, sys
from pathlib import Path
import numpy
from PIL import Image
from streams.models.listeners.image_pool import ImagePool
from tests.harness.drawn_images import encoded, picture, png_that_declares

def most():  # of this program alone: what the kernel counts for a process includes its parent at the start
    line = next(one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024

async def hashed():
    few = ImagePool(lambda name: Path(name).read_bytes())
    return await asyncio.gather(*map(few.features, sys.argv[1:]), few.same(*sys.argv[1:3]))

Image.init()
before = most()
asyncio.run(hashed())
print(most() - before)
"""


@pytest.mark.slow
def test_the_costliest_images_together_stay_within_the_memory_that_is_promised(tmp_path: Path) -> None:
    for name, side in (("large", 7_000), ("small", 2_000)):
        image = Image.new("RGBA", (side, side), (10, 200, 30, 128))
        image.paste((200, 10, 10, 40), (side // 70, side // 70, side // 2, side // 2))
        (tmp_path / name).write_bytes(encoded(image, "WEBP", lossless=True, method=0))
    files = [str(tmp_path / name) for name in ("large", "small", "small", "large", "small", "small")]
    done = subprocess.run([sys.executable, "-c", MEASURED, *files], check=True, capture_output=True, text=True)
    assert 500_000_000 < int(done.stdout) < MAX_MEMORY


async def test_of_large_images_one_is_decoded_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now, seen, lock = {True: 0, False: 0}, {True: 0, False: 0}, threading.Lock()
    together = threading.Barrier(3)

    def hashed(data: bytes) -> ImageFeatures:
        large = data == b"large"
        with lock:
            now[large] += 1
            seen[large] = max(seen[large], now[large])
        if large:
            time.sleep(0.05)  # for another to be seen beside it
        else:
            together.wait(60)
        with lock:
            now[large] -= 1
        return ImageFeatures(1)

    monkeypatch.setattr("streams.models.listeners.image_pool.image_features", hashed)
    monkeypatch.setattr("streams.models.listeners.image_pool.is_large", lambda data: data == b"large")
    few = ImagePool(str.encode)
    asked = (few.features(name) for name in ["large"] * 8 + ["small"] * 6)
    assert await asyncio.gather(*asked) == [ImageFeatures(1)] * 14
    assert seen == {True: 1, False: 3}


@pytest.mark.parametrize("side", [8_000, 12_000, 60_000], ids=["our limit", "Pillow warns", "Pillow refuses"])
def test_a_decompression_bomb_is_refused_by_its_header(side: int) -> None:
    for read in (perceptual_hash, describe):
        with pytest.raises(UnreadableError) as error:
            read(png_that_declares(side, side))
        assert error.value.reason == "image_too_large"


def test_limits_are_the_callers() -> None:
    data = encoded(picture(size=(100, 100)))
    assert describe(data, max_bytes=len(data), max_pixels=10_000).width == 100
    with pytest.raises(UnreadableError, match="bytes"):
        describe(data, max_bytes=len(data) - 1)
    with pytest.raises(UnreadableError, match="100 x 100"):
        describe(data, max_pixels=9_999)


def test_an_image_is_described_without_decoding_its_pixels() -> None:
    data = png_that_declares(300, 200)
    assert describe(data) == ImageInfo("PNG", 300, 200, len(data))


@pytest.mark.parametrize(
    "image",
    [
        Image.new("RGB", (300, 200), "white"),
        Image.new("RGB", (300, 200), (90, 90, 90)),
        Image.new("RGBA", (300, 200), (0, 0, 0, 0)),
        Image.merge("RGBA", [*Image.new("RGB", (64, 64), "white").split(), picture(size=(64, 64)).convert("L")]),
        Image.effect_noise((300, 200), 8),
        Image.new("L", (1, 1), 7),
    ],
    ids=["white", "grey", "transparent", "white on transparent", "grain", "one pixel"],
)
def test_an_image_without_information_has_no_hash(image: Image.Image) -> None:
    assert image_features(encoded(image)) == ImageFeatures(None)


def test_an_image_of_several_frames_has_no_hash_for_only_its_first_would_count() -> None:
    first, second = picture(1), picture(2)
    for file_format in ("GIF", "WEBP", "PNG"):
        assert image_features(encoded(first, file_format)).hash is not None
        many = encoded(first, file_format, save_all=True, append_images=[second])
        assert image_features(many) == ImageFeatures(None), file_format


def test_an_image_has_the_hash_and_a_thumbnail() -> None:
    data = encoded(picture(), "JPEG")
    features = image_features(data)
    assert features.hash == perceptual_hash(data)
    assert len(features.thumbnail) == 32 * 32


@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
def test_the_pixels_of_an_image_are_as_it_is_shown_and_never_too_many(file_format: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    small = pixels(encoded(picture(), file_format, exif=exif))
    assert (small.mode, small.size) == ("RGB", (180, 240))
    large = pixels(encoded(picture(size=(4001, 3001)), file_format, exif=exif))
    assert large.width * large.height <= MAX_LOOK
    assert large.width / large.height == pytest.approx(3001 / 4001, rel=1e-3)
