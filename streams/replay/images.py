"""The images that were seen before, as the live run saw them, and those that only a replay takes for new."""

from __future__ import annotations

from collections.abc import Sequence

from streams.models.image import HashIndex
from streams.replay.store import ReplayStore


class EarlierImages:
    """Implements stages.ports.SeenImages. `first` are the images the live run saw first, in their order.

    An image that was new live is compared only with those before it: the later ones had not come yet.
    """

    def __init__(self, first: Sequence[tuple[str, int]], capacity: int, store: ReplayStore) -> None:
        self._images = [*first, *store.images()]
        self._added = len(self._images) - len(first)
        self._order = {event_id: number for number, (event_id, _) in enumerate(self._images)}
        self._capacity = capacity
        self._store = store
        self._index = HashIndex.from_items(self._images, capacity)

    def nearest(self, image_hash: int, max_distance: int, but_not: str) -> tuple[str, int] | None:
        """The most similar image before the event's own."""
        near = self._index.nearest(image_hash, max_distance, but_not)
        order = self._order.get(but_not, len(self._images))
        if near is None or self._order[near[0]] < order:
            return near
        return HashIndex.from_items(self._images[:order], self._capacity).nearest(image_hash, max_distance, but_not)

    def add(self, event_id: str, image_hash: int) -> None:
        """Remember an image that is new here."""
        if event_id in self._order:
            return
        self._order[event_id] = len(self._images)
        self._images.append((event_id, image_hash))
        self._index.add(event_id, image_hash)
        self._store.keep_image(self._added, event_id, image_hash)
        self._added += 1
