"""The images seen before: those of the live run, and those that are new in this replay alone."""

from __future__ import annotations

from collections.abc import Sequence

from streams.models.listeners.image_index import HashIndex, likeliest
from streams.models.listeners.seen_image import Nominee, SeenImage
from streams.replay.store import ReplayStore


class EarlierImages:
    """Is a stages.ports.SeenImages. `first` are the live run's images that were not duplicates, in order.

    An image that was new live is compared only with those before it.
    """

    def __init__(self, first: Sequence[SeenImage], capacity: int, store: ReplayStore) -> None:
        self._images = [*first, *store.images()]
        self._added = len(self._images) - len(first)
        self._order = {image.event_id: number for number, image in enumerate(self._images)}
        self._capacity = capacity
        self._store = store
        self._index = HashIndex.from_items(self._images, capacity)

    def likeliest(self, new: SeenImage, max_distance: int) -> list[Nominee]:
        """Return the images before the event's own that it may be a copy of, the likeliest first."""
        order = self._order.get(new.event_id, len(self._images))
        near = self._index.near(new, max_distance)
        if any(self._order[event_id] > order for event_id, _ in near):
            near = HashIndex.from_items(self._images[:order], self._capacity).near(new, max_distance)
        return likeliest(new, (Nominee(self._images[self._order[event]], distance) for event, distance in near))

    def add(self, new: SeenImage) -> None:
        if new.event_id in self._order:
            return
        self._order[new.event_id] = len(self._images)
        self._images.append(new)
        self._index.add(new)
        self._store.keep_image(self._added, new)
        self._added += 1
