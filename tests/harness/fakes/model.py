"""A language model that replies as it is given."""

from __future__ import annotations

import asyncio

from streams.core.errors import ModelError
from streams.models.providers.protocol import ModelReply, ModelRequest


class FakeModel:
    """Replies as given, and remembers the requests and how many were in flight at once."""

    def __init__(self, reply: ModelReply | ModelError) -> None:
        self.reply = reply
        self.requests: list[tuple[ModelRequest, float]] = []
        self.now = self.most = 0

    async def ask(self, request: ModelRequest, timeout: float) -> ModelReply:
        """The reply."""
        self.requests.append((request, timeout))
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        self.now -= 1
        if isinstance(self.reply, ModelError):
            raise self.reply
        return self.reply

    async def close(self) -> None:
        """Nothing to free."""
