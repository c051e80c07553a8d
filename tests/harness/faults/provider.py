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
Handovers = Mapping[str, Sequence[float]]
"""The times at which partitions were given out in the group of the tier that asks each model."""


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

    def paid_again(self) -> list[tuple[Sale, Sale]]:
        """Return each sale of what had been sold before, after the sale before it."""
        last: dict[Content, Sale] = {}
        again = []
        for one in self.sales:
            if one.content in last:
                again.append((last[one.content], one))
            last[one.content] = one
        return again

    def in_flight(self, handovers: Handovers, stored: Mapping[Content, float]) -> int:
        """Return the number of calls without an answer in Kafka when their partitions were given out again."""
        return sum(
            one.began < _next(one.began, handovers[one.content[0]]) < stored.get(one.content, math.inf)
            for one in self.sales
        )

    def stored_again(self, handovers: Handovers, stored: Mapping[Content, float]) -> int:
        """Return the number of sales to a worker that had the answer, or could have read it from Kafka."""
        return sum(
            _had_the_answer(before, again, handovers[again.content[0]], stored.get(again.content, math.inf))
            for before, again in self.paid_again()
        )


def _had_the_answer(before: Sale, again: Sale, handovers: Sequence[float], stored: float) -> bool:
    between = [one for one in handovers if before.began < one < again.began]
    if not between:
        return before.asker == again.asker  # one of two does not know yet that its partition has moved
    return stored < between[0]


def _next(moment: float, times: Iterable[float]) -> float:
    return min((one for one in times if one > moment), default=math.inf)


class CountingServer(MessagesServer):
    """The fake Messages API with books."""

    def __init__(self, answer: AnswerFunction) -> None:
        super().__init__(answer)
        self.sold = Books()

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        headers = request.headers
        key = headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")
        asker = asker_of(key, body["model"])
        sale = Sale((body["model"], body["messages"][-1]["content"]), asker, self.sold.clock())
        self.sold.sales.append(sale)
        try:
            return await super()._messages(request)
        finally:
            sale.ended = self.sold.clock()


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
        return self.server.sold
