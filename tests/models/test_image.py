from __future__ import annotations

import asyncio
import io
import struct
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from streams.core.errors import UnreadableError
from streams.models.image import (
    LARGE_BYTES,
    MAX_MEMORY,
    FewAtOnce,
    HashIndex,
    ImageInfo,
    _opened,
    describe,
    is_large,
    perceptual_hash,
)

NEAR = 10


def picture(seed: int = 0, size: tuple[int, int] = (240, 180)) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def encoded(image: Image.Image, file_format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def distance(one: bytes, other: bytes) -> int:
    return (perceptual_hash(one) ^ perceptual_hash(other)).bit_count()


def png_that_declares(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "copy",
    [
        encoded(picture(), "JPEG", quality=25),
        encoded(picture(size=(120, 90))),
        encoded(picture(size=(2000, 1500)), "JPEG"),
        encoded(picture(), "WEBP"),
        encoded(picture().convert("RGBA")),
        encoded(picture().convert("L"), "TIFF"),
        encoded(picture().convert("P"), "GIF"),
        encoded(picture().convert("CMYK"), "JPEG"),
    ],
    ids=["recompressed", "smaller", "larger", "webp", "alpha", "grey tiff", "palette gif", "cmyk"],
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
        png_that_declares(100, 100),
    ],
    ids=["empty", "text", "half a png", "half a jpeg", "half a gif", "pdf", "png without its pixels"],
)
def test_bytes_that_are_no_whole_image_are_unreadable(data: bytes) -> None:
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


def tiff(*entries: tuple[int, int, int, bytes], big: bool = False) -> bytes:
    """A TIFF of one directory: tag, type, how many values, and the values. The strip 273 or tile 324 is its last."""
    place, fields = ("Q", "HHQ8s") if big else ("I", "HHI4s")
    fixed = struct.calcsize("<" + place)
    body = (16 if big else 8) + (8 if big else 2) + len(entries) * struct.calcsize("<" + fields) + fixed
    directory, values = b"", b""
    for tag, kind, count, value in sorted(entries):
        kept = value if len(value) <= fixed else struct.pack("<" + place, body + len(values))
        values += b"" if len(value) <= fixed else value
        directory += struct.pack("<" + fields, tag, kind, count, kept)
    head = b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, len(entries)) if big else b"II*\0\x08\0\0\0"
    return head + (b"" if big else struct.pack("<H", len(entries))) + directory + bytes(fixed) + values


def long(value: int) -> bytes:
    return struct.pack("<I", value)


def plain(width: int, height: int, compression: int = 1) -> list[tuple[int, int, int, bytes]]:
    of = {256: width, 257: height, 258: 8, 259: compression, 262: 1, 277: 1}
    return [(tag, 4, 1, long(value)) for tag, value in of.items()]


@pytest.mark.parametrize("big", [False, True])
def test_a_tiff_whose_tile_is_too_large_is_refused_before_it_is_decoded(big: bool) -> None:
    tile = zlib.compress(bytes(64))
    entries = [*plain(64, 64, 8), (322, 4, 1, long(8_000)), (323, 4, 1, long(8_000)), (324, 4, 1, long(8))]
    data = tiff(*entries, (325, 4, 1, long(len(tile))), big=big)
    for read in (perceptual_hash, describe):
        with pytest.raises(UnreadableError, match="64000000") as error:
            read(data)
        assert error.value.reason == "image_too_large"


def test_a_tile_is_counted_where_it_is_larger_than_its_image() -> None:
    entries = [*plain(64, 64, 8), (322, 4, 1, long(3_000)), (323, 4, 1, long(3_000)), (324, 4, 1, long(8))]
    assert is_large(tiff(*entries, (325, 4, 1, long(8))))


@pytest.mark.parametrize("kind", [1, 3])
def test_a_tiff_of_too_many_strips_is_refused(kind: int) -> None:
    strips = bytes(300_000 * (1 if kind == 1 else 2))
    with pytest.raises(UnreadableError, match="300000 values of tag 273") as error:
        perceptual_hash(tiff(*plain(1, 2), (278, 4, 1, long(1)), (273, kind, 300_000, strips)))
    assert error.value.reason == "image_too_large"


def test_of_a_tiff_only_what_says_how_its_pixels_are_kept_is_read() -> None:
    exif = Image.Exif()
    exif[0x010E] = "a description"
    exif.get_ifd(0x8769)[0x9286] = b"a comment"
    data = encoded(picture(), "TIFF", exif=exif)
    with _opened(data, len(data), 10**6) as image:
        image.load()
        assert 0x010E not in image.getexif()
        assert not image.getexif().get_ifd(0x8769)
    assert perceptual_hash(data) == perceptual_hash(encoded(picture()))


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"])
@pytest.mark.parametrize("big", [False, True])
def test_a_tiff_is_read_in_each_of_its_kinds(compression: str, big: bool) -> None:
    data = encoded(picture(), "TIFF", compression=compression, big_tiff=big)
    assert distance(encoded(picture()), data) <= NEAR


def test_a_tiff_that_is_stored_sideways_is_near_the_upright_one() -> None:
    turned = picture().transpose(Image.Transpose.ROTATE_90)
    assert distance(encoded(picture()), encoded(turned, "TIFF", tiffinfo={0x0112: 6})) == 0


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
    "data",
    [
        *(with_orientation(turn) for turn in range(1, 9)),
        encoded(picture(8, (1300, 1100))),
        encoded(Image.merge("RGBA", [*picture(8, (1300, 1100)).split(), picture(9, (1300, 1100)).convert("L")])),
        encoded(Image.merge("LA", [picture(8).convert("L"), picture(9).convert("L")])),
        encoded(picture(8, (1300, 1100)).convert("P"), transparency=3),
        encoded(picture(8, (1300, 1100)).convert("P"), "GIF", transparency=3),
        encoded(picture(8), transparency=picture(8).getpixel((0, 0))),
        encoded(Image.merge("RGBA", [*picture(8).split(), picture(9).convert("L")]), "WEBP"),
        encoded(picture(8).convert("1")),
        encoded(picture(8).convert("I;16")),
        encoded(picture(8).convert("CMYK"), "TIFF", compression="tiff_lzw"),
    ],
)
def test_the_hash_is_that_of_the_whole_image_bit_by_bit(data: bytes) -> None:
    assert perceptual_hash(data) == hash_of_the_whole_image(data)


MEASURED = """
import asyncio, sys
from pathlib import Path
import imagehash, scipy.fftpack
from PIL import Image
from streams.models.image import FewAtOnce

def most():  # of this program alone: what the kernel counts for a process includes its parent at the start
    line = next(one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024

async def hashed():
    few = FewAtOnce(lambda name: Path(name).read_bytes())
    return await asyncio.gather(*map(few, sys.argv[1:]))

Image.init()
before = most()
asyncio.run(hashed())
print(most() - before)
"""


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

    def hashed(data: bytes) -> int:
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
        return 1

    monkeypatch.setattr("streams.models.image.perceptual_hash", hashed)
    monkeypatch.setattr("streams.models.image.is_large", lambda data: data == b"large")
    few = FewAtOnce(str.encode)
    assert await asyncio.gather(*map(few, ["large"] * 8), *map(few, ["small"] * 6)) == [1] * 14
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


def test_the_nearest_hash_is_found_with_its_distance() -> None:
    index = HashIndex.from_items([("a", 0b0000), ("b", 0b0111), ("c", 2**63)], capacity=10)
    assert index.nearest(0b1111, 10, but_not="x") == ("b", 1)
    assert index.nearest(2**63, 0, but_not="x") == ("c", 0)


def test_nothing_is_nearest_beyond_the_distance_or_in_an_empty_index() -> None:
    assert HashIndex(3).nearest(0, 64, but_not="") is None
    index = HashIndex.from_items([("a", 0b1111)], capacity=3)
    assert index.nearest(0, 3, but_not="") is None
    assert index.nearest(0, 4, but_not="") == ("a", 4)


def test_an_event_is_no_duplicate_of_itself() -> None:
    index = HashIndex.from_items([("a", 5), ("b", 4)], capacity=3)
    assert index.nearest(5, 10, but_not="a") == ("b", 1)
    assert HashIndex.from_items([("a", 5)], capacity=3).nearest(5, 300, but_not="a") is None


def test_of_equally_near_hashes_the_earliest_wins() -> None:
    index = HashIndex.from_items([("far", 0b11), ("first", 0b01), ("second", 0b10)], capacity=3)
    assert index.nearest(0, 5, but_not="x") == ("first", 1)


def test_an_event_added_again_keeps_its_place_and_takes_the_new_hash() -> None:
    index = HashIndex.from_items([("a", 1), ("b", 2), ("a", 3)], capacity=2)
    assert index.items() == [("a", 3), ("b", 2)]


def test_an_index_without_room_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="capacity"):
        HashIndex(0)


hashes = st.integers(0, 2**64 - 1)


@settings(deadline=None)
@given(st.lists(hashes, max_size=40), st.integers(1, 15), hashes, st.integers(0, 64))
def test_the_index_agrees_with_a_plain_list(added: list[int], capacity: int, wanted: int, limit: int) -> None:
    items = [(f"event-{place}", value) for place, value in enumerate(added)]
    index = HashIndex.from_items(items, capacity)
    kept = items[-capacity:]
    assert index.items() == kept
    assert len(index) == len(kept)
    near = min(((value ^ wanted).bit_count() for _, value in kept), default=65)
    expected = next(((event, near) for event, value in kept if (value ^ wanted).bit_count() == near), None)
    assert index.nearest(wanted, limit, but_not="none") == (expected if near <= limit else None)


def test_memory_stays_bounded_by_the_capacity() -> None:
    index = HashIndex.from_items(((str(number), number) for number in range(20_000)), capacity=100)
    assert index.items()[0] == ("19900", 19_900)
    assert len(index._hashes) <= 2_048
    assert len(index._events) <= 2_048
