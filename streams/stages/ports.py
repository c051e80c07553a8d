"""The images that the stages look at: in the blob store, and seen so far."""

from __future__ import annotations

from typing import Protocol

from streams.models.listeners.image import ImageFeatures
from streams.models.listeners.seen_image import Nominee, SeenImage


class Images(Protocol):
    """The images in the blob store, by their SHA-256."""

    async def features(self, image: str) -> ImageFeatures:
        """Return an image's hash and thumbnail. Raises UnreadableError if there is none, or it is not an image."""
        ...

    async def same(self, one: str, other: str) -> bool:
        """True if two images show the same; False where one of them cannot be read."""
        ...


class SeenImages(Protocol):
    """The images seen so far. One owner; safe against delivering the same event twice."""

    def likeliest(self, new: SeenImage, max_distance: int) -> list[Nominee]:
        """Return the earlier images that a new one may be a copy of, the likeliest first, MOST_LOOKS at most.

        None of them is of its own event, nor of an event that says other words.
        """
        ...

    def add(self, new: SeenImage) -> None:
        """Remember an image; the oldest beyond the capacity are forgotten."""
        ...
