"""Faust's producer, with a client that goes on knowing where every topic lies that is sent to."""

from __future__ import annotations

from typing import Any

from faust.transport.drivers import aiokafka


class Producer(aiokafka.Producer):  # type: ignore[misc]
    """Has the client keep track of each topic from the first message on.

    The client knows all topics there are when it starts, and keeps track only of those it had to look up. When it looks
    up one that is new, such as a table's changelog, it forgets the others. A message for one of these that it has taken
    and not sent yet then waits for the next message to that topic, be it for ever, and every commit waits with it.
    """

    async def send(self, topic: str, *arguments: Any, **options: Any) -> Any:
        """Hand a message over; what is returned can be awaited again, for the confirmation."""
        self._ensure_producer().client.add_topic(topic)
        return await super().send(topic, *arguments, **options)
