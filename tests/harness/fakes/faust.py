"""Fakes of Faust's application, topics, streams, messages and tables."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from streams.core.errors import ProcessError


@dataclass(frozen=True)
class FakeTopic:
    """A topic of the app's."""

    app: FakeApp
    name: str

    async def send(self, *, key: bytes | None, value: bytes, **_: Any) -> asyncio.Future[None]:
        """Send, or fail; what it returns says whether the broker has it."""
        return self.app.sends(self.name, key, value)


@dataclass
class FakeApp:
    """Keeps what is sent and the agents that are made; raises `errors`, one for each send."""

    errors: list[Exception] = field(default_factory=list)
    unconfirmed: list[Exception] = field(default_factory=list)
    silent: bool = False
    """True if the broker confirms nothing."""
    ending: ProcessError | None = None
    sent: list[tuple[str, bytes | None, bytes]] = field(default_factory=list)
    agents: dict[str, Any] = field(default_factory=dict)

    def topic(self, name: str, **_: Any) -> FakeTopic:
        """A topic by its name."""
        return FakeTopic(self, name)

    def agent(self, topic: FakeTopic, name: str, concurrency: int) -> Callable[[Any], None]:
        """Keep the agent's function."""
        assert (name, concurrency) == ("escalon.events", 4)
        return lambda function: self.agents.__setitem__(topic.name, function)

    def end(self, error: ProcessError) -> None:
        """The process ends by itself."""
        self.ending = self.ending or error

    def sends(self, topic: str, key: bytes | None, value: bytes) -> asyncio.Future[None]:
        """Send to a topic."""
        if self.errors:
            raise self.errors.pop(0)
        self.sent.append((topic, key, value))
        confirmation = asyncio.get_running_loop().create_future()
        if self.unconfirmed:
            confirmation.set_exception(self.unconfirmed.pop(0))
        elif not self.silent:
            confirmation.set_result(None)
        return confirmation


@dataclass
class FakeMessage:
    """A Faust message that counts who still holds it."""

    value: bytes = b"x"
    offset: int = 17
    headers: Any = None
    topic: str = "pre.events"
    partition: int = 3
    key: bytes | None = b"k"
    timestamp: float = 1_700_000_000.0
    refcount: int = 1

    def incref(self) -> None:
        """One more holds it."""
        self.refcount += 1


@dataclass
class FakeEvent:
    """A Faust event."""

    message: FakeMessage

    def ack(self) -> None:
        """Release the message; Kafka's offset moves at a count of 0."""
        self.message.refcount -= 1


class FakeStream:
    """Acknowledges each event once the agent asks for the next one or is cut off, as Faust does."""

    def __init__(self, *messages: FakeMessage) -> None:
        self._messages = messages

    async def events(self) -> AsyncIterator[FakeEvent]:
        """The events."""
        for message in self._messages:
            event = FakeEvent(message)
            try:
                yield event
            finally:
                event.ack()
        for _ in range(20):  # let the confirmations arrive
            await asyncio.sleep(0)


class FakeTable(dict[bytes, bytes]):
    """A Faust table of bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.recovered: list[Callable[[], Awaitable[None]]] = []

    def on_recover(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Called when the table has been recovered."""
        self.recovered.append(callback)
