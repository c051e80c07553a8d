"""The fake Messages API in a thread of its own, for tests that are not asynchronous."""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType
from typing import Self

from tests.harness.fakes.messages_outcomes import AnswerFunction
from tests.harness.fakes.messages_server import MessagesServer


class MessagesThread:
    """Serves from its `with` on; `server.requests` may be read at any time."""

    def __init__(self, answer: AnswerFunction, server: type[MessagesServer] = MessagesServer) -> None:
        self.server = server(answer)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def url(self) -> str:
        """Its address."""
        return self.server.url

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.server.start(), self._loop).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self.server.stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
