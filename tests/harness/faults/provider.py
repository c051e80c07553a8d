"""The fake provider's own books: who asked what, when, and whether the answer went out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from aiohttp import web

from tests.harness.fakes.messages_outcomes import AnswerFunction
from tests.harness.fakes.messages_server import MessagesServer
from tests.harness.fakes.messages_thread import MessagesThread

Content = tuple[str, str]
"""Model and prompt: the same bytes are the same call."""


@dataclass(slots=True)
class Kill:
    """A worker that asks models was killed. Times are seconds since 1970."""

    asker: str
    at: float
    back: float = math.inf
    """The time of its restart. Calls that the provider noted before it were in flight at the kill."""


@dataclass(slots=True)
class Sale:
    """One request that the provider has taken and will charge for. Times are seconds since 1970."""

    content: Content
    asker: str
    """The key of the request, which identifies the worker, and the model, which identifies its tier."""
    began: float
    ended: float | None = None


@dataclass(slots=True)
class Books:
    """Every sale. Written by the server's thread, read by the harness."""

    sales: list[Sale] = field(default_factory=list)
    clock: Callable[[], float] = time.time

    def under_way(self, asker: str) -> int:
        """The number of calls with this key and model that have no answer yet."""
        return sum(one.ended is None for one in self.sales if one.asker == asker)

    def paid_again(self) -> list[Sale]:
        """Sales of what had been sold before."""
        seen: set[Content] = set()
        again = []
        for one in self.sales:
            if one.content in seen:
                again.append(one)
            seen.add(one.content)
        return again

    def in_flight(self, kills: Sequence[Kill], stored: Mapping[Content, float]) -> int:
        """Calls that killed workers had made and whose answers Kafka did not have when they were killed."""
        return sum(
            one.asker == kill.asker and one.began < kill.back and kill.at < stored.get(one.content, math.inf)
            for kill in kills
            for one in self._since_the_last(kill, kills)
        )

    def _since_the_last(self, kill: Kill, kills: Sequence[Kill]) -> Iterable[Sale]:
        """A worker's calls end with it, so those before its last kill are not counted again."""
        before = max((one.back for one in kills if one.asker == kill.asker and one.at < kill.at), default=0.0)
        return (one for one in self.sales if one.began > before)


class CountingServer(MessagesServer):
    """The fake Messages API with books."""

    def __init__(self, answer: AnswerFunction) -> None:
        super().__init__(answer)
        self.books = Books()

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        headers = request.headers
        key = headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")
        asker = asker_of(key, body["model"])
        sale = Sale((body["model"], body["messages"][-1]["content"]), asker, self.books.clock())
        self.books.sales.append(sale)
        try:
            return await super()._messages(request)
        finally:
            sale.ended = self.books.clock()


def asker_of(key: str, model: str) -> str:
    """The name in the books of a worker with this key that asks this model."""
    return f"{key} {model}"


class Provider(MessagesThread):
    """The counting server in a thread of its own."""

    server: CountingServer

    def __init__(self, answer: AnswerFunction) -> None:
        super().__init__(answer, CountingServer)

    @property
    def books(self) -> Books:
        """The calls sold so far."""
        return self.server.books
