"""Let what has begun come to its end before partitions are taken away or the process stops.

A model's call that is cut off is paid for and made again. So whoever takes a partition over gets it only after the
messages in hand are done and committed, or after a time limit: what lasts longer is handed back, and comes again.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import faust
from mode.utils.queues import FlowControlEvent

from streams.adapters.kafka_admin import TopicIds
from streams.core.errors import ProcessError
from streams.runtime.consumer import Consumer
from streams.runtime.producer import Producer
from streams.telemetry.health import HEALTH

DRAIN_SECONDS = 15.0
LEAVE_SECONDS = 45.0
"""How long a process that ends by itself may take for all after that."""
COMMIT_SECONDS = 10.0
"""How long the last commit is waited for; when it fails, what it was for comes again."""
log = logging.getLogger("escalon.runtime")


def stop_this_process(seconds: float) -> None:
    """Stop in good order, as on SIGTERM; what takes longer than some seconds ends at once. It takes no thread and no
    file handle, of which there may be none left."""
    signal.alarm(math.ceil(seconds))
    os.kill(os.getpid(), signal.SIGTERM)


class Drain:
    """Counts the messages in hand; `seconds` is how long their end is waited for."""

    def __init__(self, seconds: float = DRAIN_SECONDS) -> None:
        self.seconds = seconds
        self._in_hand = 0
        self._empty = asyncio.Event()
        self._empty.set()

    @contextmanager
    def handling(self) -> Iterator[None]:
        """A message is in hand until it is acknowledged."""
        self._in_hand += 1
        self._empty.clear()
        try:
            yield
        finally:
            self._in_hand -= 1
            if not self._in_hand:
                self._empty.set()

    async def wait(self) -> int:
        """Wait for the end of what is in hand; returns how many messages are left when the time is over."""
        try:
            async with asyncio.timeout(self.seconds):
                await asyncio.sleep(0)  # an agent may have taken a message that it has not begun with
                while self._in_hand:
                    await self._empty.wait()
        except TimeoutError:
            log.warning("%d messages are handed back after %g s, and will come again", self._in_hand, self.seconds)
        return self._in_hand


class FlowControl(FlowControlEvent):  # type: ignore[misc]
    """A gate that can be held shut, and that throws away nothing when it is opened while it is open.

    After a table's recovery Faust lets messages in, looks up where to begin, and opens the gate once more, which
    empties the queues behind it. What had come in between would not come again before the next rebalance. And a
    recovery does not notice at once that another rebalance has begun, or that the process stops.
    """

    held = False
    """Partitions are being taken away: the gate stays shut."""

    def resume(self) -> None:
        """Open the gate. What waits behind one that was shut is stale, and comes again."""
        if not self.held and not self.is_active():
            super().resume()


class DrainingApp(faust.App):  # type: ignore[misc]
    """A Faust app that drains. Faust would go on at once, or, if it were told to wait, wait for ever."""

    drain: Drain
    topic_ids: TopicIds
    at_end: Callable[[], Awaitable[None]]
    """Called once nothing runs any more. Before that a client that is closed would make its calls fail."""
    ending: ProcessError | None = None
    """Why this process ends by itself; from then on no message is begun."""

    def end(self, error: ProcessError) -> None:
        """End this process, for it lacks what it needs. What is in hand may still reach Kafka, and is not committed."""
        if self.ending is not None:
            return
        self.ending = error
        HEALTH.mark_unhealthy(str(error))
        log.critical("%s This process ends; nothing is lost, and the next one goes on from here.", error)
        if not self.should_stop:
            stop_this_process(self.drain.seconds + LEAVE_SECONDS)

    async def _stop_consumer(self) -> None:
        self.flow_control.held = True
        await super()._stop_consumer()

    async def _on_partitions_revoked(self, revoked: Any) -> None:
        # A rebalance while this process stops: what the drain waits for is committed before this member joins again.
        # Faust would not commit.
        if self.should_stop:
            await self._consumer_wait_empty(self.consumer, self.log)
        else:
            await super()._on_partitions_revoked(revoked)

    def _on_rebalance_when_stopped(self) -> None:
        # Faust would close the client from a thread that is not its own. It leaves its group when it is stopped.
        pass

    async def _consumer_wait_empty(self, consumer: Any, logger: Any) -> None:  # noqa: ARG002 - Faust's signature
        # Faust asks here, both at a stop and when partitions go: nothing new is taken any more, tables are open,
        # and this member is still in its group.
        await self.drain.wait()
        try:
            async with asyncio.timeout(COMMIT_SECONDS):
                # While a commit is under way Faust takes another for superfluous; this one knows of more messages.
                await consumer.maybe_wait_for_commit_to_finish()
                await consumer.commit()
        except TimeoutError:
            log.warning("what was done last is not committed after %g s, and comes again", COMMIT_SECONDS)

    def _new_transport(self) -> Any:
        transport = super()._new_transport()
        transport.Consumer, transport.Producer = Consumer, Producer
        return transport

    @cached_property
    def flow_control(self) -> FlowControl:
        """The gate before all queues of messages."""
        return FlowControl()

    async def on_shutdown(self) -> None:
        """All agents have stopped."""
        await super().on_shutdown()
        await self.at_end()
