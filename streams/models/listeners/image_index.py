"""Search the images seen so far for those that a new one may be a copy of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from streams.models.listeners.seen_image import Nominee, SeenImage

MOST_NOMINEES: Final = 256
"""Images near a new one whose thumbnails are compared."""
MOST_LOOKS: Final = 4
"""Images near a new one whose pixels are compared."""
_THUMBNAIL_LEVELS: Final = 48
"""Grey levels by which two thumbnails may differ in one place; beyond it the pixels need no comparison."""
_FAR: Final = 255


def likeliest(new: SeenImage, near: Iterable[Nominee]) -> list[Nominee]:
    """Return the nominees to compare by pixels: those of the same bytes first, then the nearest thumbnails."""
    ranked = sorted(((_apart(new, one.seen), one) for one in near), key=lambda item: item[0])
    return [one for (most, _), one in ranked if most <= _THUMBNAIL_LEVELS][:MOST_LOOKS]


def _apart(new: SeenImage, other: SeenImage) -> tuple[int, int]:
    """Return the largest difference between two thumbnails and the sum of all; -1 for the same bytes."""
    if new.image == other.image:
        return -1, 0
    if len(new.thumbnail) != len(other.thumbnail):
        return _FAR, 0
    one, two = (np.frombuffer(item.thumbnail, np.uint8).astype(np.int16) for item in (new, other))
    apart = np.abs(one - two)
    return int(apart.max(initial=0)), int(apart.sum())


class HashIndex:
    """The newest `capacity` images, searched by their bytes and by the Hamming distance of their hashes.

    A search takes some passes of NumPy over 33 bytes an image. An event that is added again keeps its first place and
    takes the new image. Not safe for threads.
    """

    _HASH, _IMAGE, _TEXT, _DATA = range(4)

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError("capacity must be at least 1")
        self.capacity = capacity
        self._rows: NDArray[np.uint64] = np.zeros((4, min(capacity, 1024)), dtype=np.uint64)
        self._hashed: NDArray[np.bool_] = np.zeros(min(capacity, 1024), dtype=np.bool_)
        self._events: list[str] = []
        self._position: dict[str, int] = {}
        self._start = 0

    @classmethod
    def from_items(cls, items: Iterable[SeenImage], capacity: int) -> Self:
        """Build an index of images, given oldest first."""
        index = cls(capacity)
        for item in items:
            index.add(item)
        return index

    def __len__(self) -> int:
        return len(self._position)

    def events(self) -> list[str]:
        return self._events[self._start :]

    def add(self, seen: SeenImage) -> None:
        """Add an image; beyond `capacity` the oldest is removed. Constant time on average."""
        known = self._position.get(seen.event_id)
        if known is not None:
            self._put(known, seen)
            return
        if len(self) == self.capacity:
            del self._position[self._events[self._start]]
            self._start += 1
        if len(self._events) == len(self._hashed):
            self._make_room()
        self._put(len(self._events), seen)
        self._position[seen.event_id] = len(self._events)
        self._events.append(seen.event_id)

    def near(self, new: SeenImage, max_distance: int) -> list[tuple[str, int]]:
        """Return the MOST_NOMINEES images nearest to a new one as (event id, distance in bits), the earliest of equals
        first.

        Those of the same bytes come first, with distance 0. Left out are the image's own event and every event with
        other words: an event is a repetition only where its text and its data are, each, the same or empty.
        """
        here = slice(self._start, len(self._events))
        distances = self._distances(new, here)
        for row, said in ((self._TEXT, new.text), (self._DATA, new.data)):
            if said:
                distances[self._rows[row, here] != said] = _FAR
        own = self._position.get(new.event_id)
        if own is not None:
            distances[own - self._start] = _FAR
        order = np.argsort(distances, kind="stable")[:MOST_NOMINEES]
        most = min(max_distance, 64)
        return [
            (self._events[self._start + int(place)], max(0, int(distances[place])))
            for place in order
            if distances[place] <= most
        ]

    def _distances(self, new: SeenImage, here: slice) -> NDArray[np.int16]:
        """Return the distance of each stored image from a new one; -1 for the same bytes."""
        hashes = self._rows[self._HASH, here]
        distances = np.full(len(hashes), _FAR, dtype=np.int16)
        if new.hash is not None:
            hashed = self._hashed[here]
            distances[hashed] = np.bitwise_count(hashes[hashed] ^ np.uint64(new.hash))
        distances[self._rows[self._IMAGE, here] == _prefix(new)] = -1
        return distances

    def _put(self, place: int, seen: SeenImage) -> None:
        self._rows[:, place] = np.array([seen.hash or 0, _prefix(seen), seen.text, seen.data], dtype=np.uint64)
        self._hashed[place] = seen.hash is not None

    def _make_room(self) -> None:
        """Drop removed images and double the arrays, so that adding costs constant time on average."""
        events, room = self._events[self._start :], max(2 * (len(self._events) - self._start), 1024)
        rows, hashed = np.zeros((4, room), dtype=np.uint64), np.zeros(room, dtype=np.bool_)
        rows[:, : len(events)] = self._rows[:, self._start : len(self._events)]
        hashed[: len(events)] = self._hashed[self._start : len(self._events)]
        self._rows, self._hashed, self._events, self._start = rows, hashed, events, 0
        self._position = {event: place for place, event in enumerate(events)}


def _prefix(seen: SeenImage) -> int:
    return int(seen.image[:16], 16)
