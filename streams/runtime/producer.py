"""Faust's producer, with a client that keeps the metadata of every topic it sends to."""

from __future__ import annotations

from typing import Any

from faust.transport.drivers import aiokafka


class Producer(aiokafka.Producer):  # type: ignore[misc]
    """Makes the client track each topic from the first message on.

    The client knows all existing topics when it starts, but tracks only those it had to look up. When it looks up a new
    one, such as a table's changelog, it forgets the others. A message for one of these that is accepted but not sent
    then waits for the next message to that topic, perhaps indefinitely, and every commit waits with it.
    """

    async def send(self, topic: str, *arguments: Any, **options: Any) -> Any:
        """Hand a message over; the result is awaited for the confirmation."""
        self._ensure_producer().client.add_topic(topic)
        return await super().send(topic, *arguments, **options)
