"""Reads and decodes images, few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from streams.core.errors import UnreadableError
from streams.models.listeners.image import ImageFeatures, image_features, is_large, pixels
from streams.models.listeners.same_image import same_image
from streams.models.listeners.shown_image import ImageLimits, shown_image
from streams.models.providers.protocol import ImagePart

T = TypeVar("T")
_AT_ONCE = 4


class ImagePool:
    """Reads and decodes images, few at a time and large ones one by one, so that all cost at most MAX_MEMORY.

    A thread goes on when the task that waits for it is cancelled, so threads are counted, not tasks.
    """

    def __init__(self, read: Callable[[str], bytes]) -> None:
        self._read = read
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._comparison = asyncio.Lock()
        self._small = ThreadPoolExecutor(_AT_ONCE - 1, "image")
        self._large = ThreadPoolExecutor(1, "large-image")

    async def features(self, image: str) -> ImageFeatures:
        """Return hash and thumbnail of the image that `read` finds. Raises as `read` and `image_features` do."""
        return await self._decoded(image, image_features)

    async def shown(self, image: str, limits: ImageLimits) -> ImagePart:
        """Return the image as a language model is shown it. Raises as `read` and `shown_image` do."""
        return await self._decoded(image, partial(shown_image, image, limits=limits))

    async def same(self, one: str, other: str) -> bool:
        """True if two images show the same; False where one can no longer be read. Raises as `read` does."""
        async with self._comparison:
            try:
                first, second = await self._decoded(one, pixels), await self._decoded(other, pixels)
            except UnreadableError:
                return False
            return await asyncio.get_running_loop().run_in_executor(self._large, same_image, first, second)

    async def _decoded(self, image: str, decode: Callable[[bytes], T]) -> T:
        async with self._places:
            loop = asyncio.get_running_loop()
            data = await asyncio.to_thread(self._read, image)
            large = await loop.run_in_executor(self._small, is_large, data)
            return await loop.run_in_executor(self._large if large else self._small, decode, data)
