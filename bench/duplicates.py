"""Count the copies that the image listener finds, and the other images that it takes for copies.

    python -m bench.duplicates [--images 40]

Draws invoices on one form, receipts, screenshots, logos and photos, and prints two tables. Nothing is downloaded.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256

from PIL import Image

from bench.duplicates_images import CHANGES, KINDS, copies, encoded, resized
from streams.models.listeners.image import image_features, perceptual_hash, pixels
from streams.models.listeners.image_index import HashIndex, likeliest
from streams.models.listeners.same_image import same_image
from streams.models.listeners.seen_image import Nominee, SeenImage

MAX_DISTANCE = 10


@dataclass
class Memory:
    """The earlier images, stored like those of the image listener."""

    index: HashIndex = field(default_factory=lambda: HashIndex(100_000))
    seen: dict[str, SeenImage] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    looks: int = 0
    look_seconds: float = 0.0

    def image(self, name: str, data: bytes) -> SeenImage:
        """Return the image of an event without text or data."""
        features = image_features(data)
        sha = sha256(data).hexdigest()
        self.files[sha] = data
        return SeenImage(event_id=name, image=sha, text=0, data=0, hash=features.hash, thumbnail=features.thumbnail)

    def add(self, new: SeenImage) -> None:
        self.index.add(new)
        self.seen[new.event_id] = new

    def original(self, new: SeenImage) -> str | None:
        """Return the earlier image of which this one is a copy."""
        near = (Nominee(self.seen[name], distance) for name, distance in self.index.near(new, MAX_DISTANCE))
        for nominee in likeliest(new, near):
            if nominee.seen.image == new.image or self._same(nominee.seen.image, new.image):
                return nominee.seen.event_id
        return None

    def _same(self, one: str, other: str) -> bool:
        started = time.perf_counter()
        same = same_image(pixels(self.files[one]), pixels(self.files[other]))
        self.looks += 1
        self.look_seconds += time.perf_counter() - started
        return same


@dataclass
class Confusion:
    """Pairs of different images that were taken for copies, by each method."""

    pairs: int = 0
    by_hash: int = 0
    by_pixels: int = 0


def others(draw: Callable[..., Image.Image], images: int) -> tuple[Confusion, Memory]:
    """Compare different images of one kind, each with all before it."""
    found, memory, hashes = Confusion(), Memory(), list[int]()
    for seed in range(images):
        data = encoded(draw(seed), "JPEG", quality=85)
        own = perceptual_hash(data)
        found.pairs += seed
        found.by_hash += sum((own ^ one).bit_count() <= MAX_DISTANCE for one in hashes)
        hashes.append(own)
        new = memory.image(str(seed), data)
        found.by_pixels += memory.original(new) is not None
        memory.add(new)
    return found, memory


def one_digit(draw: Callable[..., Image.Image], share: float) -> Confusion:
    """Compare two images that differ in one digit; of the second a copy of this share of the size."""
    found = Confusion()
    for number, totals in enumerate(CHANGES * 3):
        first, second = (draw(100 + number, total=total) for total in totals)
        one, other = encoded(first, "PNG"), encoded(resized(second, share), "JPEG", quality=85)
        found.pairs += 1
        found.by_hash += (perceptual_hash(one) ^ perceptual_hash(other)).bit_count() <= MAX_DISTANCE
        found.by_pixels += same_image(pixels(one), pixels(other))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=40)
    images = parser.parse_args().images
    told: dict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
    print("| kind | pairs of different images | taken for copies by the hash alone | with the look at pixels |")
    print("| --- | --- | --- | --- |")
    for kind, draw in KINDS.items():
        found, memory = others(draw, images)
        print(f"| {kind} | {found.pairs} | {found.by_hash} | {found.by_pixels} |", flush=True)
        for share in (1.0, 0.67, 0.5):
            digit = one_digit(draw, share)
            print(
                f"| {kind}, one digit, {share:.0%} of the size | {digit.pairs} | {digit.by_hash} | {digit.by_pixels} |"
            )
        for seed in range(0, images, max(1, images // 4)):
            for how, data in copies(draw(seed)):
                hit = memory.original(memory.image("copy", data)) == str(seed)
                right, of = told[how].get(kind, (0, 0))
                told[how][kind] = (right + hit, of + 1)
        print(
            f"<!-- {memory.looks} looks of {memory.look_seconds / max(1, memory.looks) * 1000:.0f} ms -->", flush=True
        )
    print("\n| copy | " + " | ".join(KINDS) + " |\n| --- |" + " --- |" * len(KINDS))
    for how, by_kind in told.items():
        print(f"| {how} | " + " | ".join(f"{right} of {of}" for right, of in by_kind.values()) + " |")


if __name__ == "__main__":
    main()
