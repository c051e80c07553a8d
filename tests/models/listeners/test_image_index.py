from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.models.listeners.image_index import MOST_LOOKS, MOST_NOMINEES, HashIndex, likeliest
from streams.models.listeners.seen_image import Nominee, SeenImage
from tests.builders import event

FLAT = bytes(32 * 32)


def seen(event_id: str, image_hash: int | None = 0, **more: object) -> SeenImage:
    usual = {"image": sha256(event_id.encode()).hexdigest(), "text": 0, "data": 0, "thumbnail": FLAT}
    return SeenImage(event_id=event_id, hash=image_hash, **usual | more)  # type: ignore[arg-type]


def index(*items: SeenImage, capacity: int = 10) -> HashIndex:
    return HashIndex.from_items(items, capacity)


def test_the_nearest_come_first_with_their_distance() -> None:
    held = index(seen("a", 0b0000), seen("b", 0b0111), seen("c", 2**63))
    assert held.near(seen("x", 0b1111), 10) == [("b", 1), ("a", 4), ("c", 5)]
    assert held.near(seen("x", 2**63), 0) == [("c", 0)]


def test_nothing_is_near_beyond_the_distance_or_in_an_empty_index() -> None:
    assert HashIndex(3).near(seen("x"), 64) == []
    assert index(seen("a", 0b1111)).near(seen("x"), 3) == []
    assert index(seen("a", 0b1111)).near(seen("x"), 4) == [("a", 4)]


def test_an_event_is_not_near_itself() -> None:
    assert index(seen("a", 5), seen("b", 4)).near(seen("a", 5), 10) == [("b", 1)]
    assert index(seen("a", 5)).near(seen("a", 5), 300) == []


def test_of_equally_near_images_the_earliest_comes_first() -> None:
    held = index(seen("far", 0b11), seen("first", 0b01), seen("second", 0b10))
    assert [event for event, _ in held.near(seen("x"), 5)] == ["first", "second", "far"]


def test_an_image_without_a_hash_is_near_its_own_bytes_alone() -> None:
    held = index(seen("a", None, image="a" * 64), seen("b", 0), seen("c", 1, image="a" * 64))
    assert held.near(seen("x", None), 64) == []
    assert held.near(seen("x", None, image="a" * 64), 64) == [("a", 0), ("c", 0)]
    assert held.near(seen("y", 0), 64) == [("b", 0), ("c", 1)]


def test_an_event_that_says_other_words_is_not_near() -> None:
    held = index(seen("silent"), seen("text", text=7), seen("data", data=9), seen("both", text=7, data=9))
    near = {name: [event for event, _ in held.near(seen("x", **said), 5)] for name, said in SAID.items()}
    assert near == {
        "nothing": ["silent", "text", "data", "both"],
        "text": ["text", "both"],
        "data": ["data", "both"],
        "both": ["both"],
        "other text": [],
        "other data": [],
    }


SAID: dict[str, dict[str, int]] = {
    "nothing": {},
    "text": {"text": 7},
    "data": {"data": 9},
    "both": {"text": 7, "data": 9},
    "other text": {"text": 8, "data": 9},
    "other data": {"text": 7, "data": 8},
}


def test_an_event_added_again_keeps_its_place_and_takes_the_new_image() -> None:
    held = index(seen("a", 1), seen("b", 2), seen("a", 3), capacity=2)
    assert held.events() == ["a", "b"]
    assert held.near(seen("x", 3), 0) == [("a", 0)]


def test_an_index_without_room_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="capacity"):
        HashIndex(0)


hashes = st.integers(0, 2**64 - 1)


@settings(deadline=None)
@given(st.lists(hashes, max_size=40), st.integers(1, 15), hashes, st.integers(0, 64))
def test_the_index_agrees_with_a_plain_list(added: list[int], capacity: int, wanted: int, limit: int) -> None:
    items = [seen(f"event-{place}", value) for place, value in enumerate(added)]
    held, kept = HashIndex.from_items(items, capacity), items[-capacity:]
    assert held.events() == [item.event_id for item in kept]
    assert len(held) == len(kept)
    distances = [(item.event_id, ((item.hash or 0) ^ wanted).bit_count()) for item in kept]
    expected = sorted((one for one in distances if one[1] <= limit), key=lambda one: one[1])
    assert held.near(seen("none", wanted), limit) == expected[:MOST_NOMINEES]


def test_memory_stays_bounded_by_the_capacity() -> None:
    held = HashIndex.from_items((seen(str(number), number) for number in range(20_000)), capacity=100)
    assert held.events()[0] == "19900"
    assert len(held._hashed) <= 2_048
    assert len(held._events) <= 2_048
    assert len(held.near(seen("x"), 64)) == 100


@given(st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32), hashes, hashes, st.none() | hashes)
def test_an_image_comes_back_from_a_table_as_it_was(
    position: int, image: bytes, text: int, data: int, image_hash: int | None
) -> None:
    one = SeenImage(
        event_id="e", image=image.hex(), text=text, data=data, hash=image_hash,
        thumbnail=b"" if image_hash is None else FLAT,
    )  # fmt: skip
    assert SeenImage.unpacked("e", one.packed(position)) == (position, one)


def test_an_entry_of_an_older_table_cannot_be_compared() -> None:
    assert SeenImage.unpacked("e", bytes(16)) is None


def words(text: str, data: str | None = None) -> tuple[int, int]:
    one = SeenImage.of(event(text=text, data=data, image="a" * 64), 1, FLAT)
    return one.text, one.data


def test_words_are_compared_as_tasks_are() -> None:
    assert words("") == words(" \n", "{}") == (0, 0)
    assert words("refund!", '{"a": 1, "b": 2}') == words(" refund!\n", '{"b":2,"a":1}')
    assert words("refund!") != words("Refund!")
    assert words("", '{"a": 1}') != words("", '{"a": 2}')


def test_the_likeliest_have_the_same_bytes_or_the_nearest_thumbnail() -> None:
    def at(event_id: str, level: int, **more: object) -> Nominee:
        return Nominee(seen(event_id, 0, thumbnail=bytes([level]) + FLAT[1:], **more), 0)

    same = at("same", 200, image="a" * 64)
    some = [at("far", 100), at("near", 5), at("nearer", 2), same, at("exact", 0), at("last", 40)]
    found = likeliest(seen("x", 0, image="a" * 64), some)
    assert [one.seen.event_id for one in found] == ["same", "exact", "nearer", "near"]
    assert len(found) == MOST_LOOKS
