"""A replay compares images with those that came before them, as the live run did."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.adapters.codec import Codec
from streams.models.listeners.seen_image import SeenImage
from streams.replay.images import EarlierImages
from streams.replay.store import ReplayStore


def image(event_id: str, image_hash: int) -> SeenImage:
    return SeenImage(
        event_id=event_id, image=event_id.encode().hex().ljust(64, "0"), text=0, data=0, hash=image_hash,
        thumbnail=bytes(32 * 32),
    )  # fmt: skip


LIVE = [image("first", 0b0), image("second", 0b1111_1111_1111), image("third", 1 << 40)]


def near(seen: EarlierImages, image_hash: int, max_distance: int, event_id: str) -> list[tuple[str, int]]:
    found = seen.likeliest(image(event_id, image_hash), max_distance)
    return [(one.seen.event_id, one.distance) for one in found]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ReplayStore]:
    with ReplayStore(tmp_path / "run", Codec()) as opened:
        yield opened


def test_of_two_images_that_were_new_live_only_the_later_can_become_the_duplicate(store: ReplayStore) -> None:
    seen = EarlierImages(LIVE, 100, store)
    assert near(seen, 0b0, 14, "first") == []
    assert near(seen, 0b1111_1111_1111, 14, "second") == [("first", 12)]
    assert near(seen, 0b1111_1111_1111, 10, "second") == []


def test_an_image_that_was_a_duplicate_live_finds_its_original(store: ReplayStore) -> None:
    assert near(EarlierImages(LIVE, 100, store), 0b1, 10, "a copy")[0] == ("first", 1)


def test_what_only_the_replay_takes_for_new_is_known_after_it_was_stopped(store: ReplayStore) -> None:
    seen = EarlierImages(LIVE, 100, store)
    new = [image("new", 1 << 50), image("another", 1 << 60)]
    for one in (*new, LIVE[0]):
        seen.add(one)
    again = EarlierImages(LIVE, 100, store)
    assert near(again, 1 << 50, 0, "copy") == [("new", 0)]
    assert near(again, 1 << 50, 2, "new") == [("first", 1), ("third", 2)]
    assert near(again, 1 << 60, 1, "another") == [("first", 1)]
    assert store.images() == new


def test_without_images_nothing_is_near(store: ReplayStore) -> None:
    assert near(EarlierImages([], 1, store), 0, 64, "x") == []
