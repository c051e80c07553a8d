"""A replay compares images with those that came before them, as the live run did."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.adapters.codec import Codec
from streams.replay.images import EarlierImages
from streams.replay.store import ReplayStore

LIVE = [("first", 0b0), ("second", 0b1111_1111_1111), ("third", 1 << 40)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ReplayStore]:
    with ReplayStore(tmp_path / "run", Codec()) as opened:
        yield opened


def test_of_two_images_that_were_new_live_only_the_later_can_become_the_duplicate(store: ReplayStore) -> None:
    seen = EarlierImages(LIVE, 100, store)
    assert seen.nearest(0b0, 14, but_not="first") is None
    assert seen.nearest(0b1111_1111_1111, 14, but_not="second") == ("first", 12)
    assert seen.nearest(0b1111_1111_1111, 10, but_not="second") is None


def test_an_image_that_was_a_duplicate_live_finds_its_original(store: ReplayStore) -> None:
    assert EarlierImages(LIVE, 100, store).nearest(0b1, 10, but_not="a copy") == ("first", 1)


def test_what_only_the_replay_takes_for_new_is_known_after_it_was_stopped(store: ReplayStore) -> None:
    seen = EarlierImages(LIVE, 100, store)
    for event_id, image_hash in (("new", 1 << 50), ("newer", 1 << 60), ("first", 0b0)):
        seen.add(event_id, image_hash)
    again = EarlierImages(LIVE, 100, store)
    assert again.nearest(1 << 50, 0, but_not="copy") == ("new", 0)
    assert again.nearest(1 << 50, 2, but_not="new") == ("first", 1)
    assert again.nearest(1 << 60, 2, but_not="newer") == ("first", 1)
    assert store.images() == [("new", 1 << 50), ("newer", 1 << 60)]


def test_without_images_nothing_is_near(store: ReplayStore) -> None:
    assert EarlierImages([], 1, store).nearest(0, 64, but_not="x") is None
