"""Finish messages in flight before partitions are revoked or the process stops.

A model call that is cut off is paid for and repeated. So the next owner of a partition gets it only after the messages
in flight are done and committed, or after a time limit: a message that takes longer comes again.
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
"""Time that a process which ends by itself has for everything after its drain."""
COMMIT_SECONDS = 10.0
"""Time limit of the last commit; if it fails, its messages come again."""
log = logging.getLogger("escalon.runtime")


def stop_this_process(seconds: float) -> None:
    """Stop cleanly, as on SIGTERM, and end at once after `seconds`.

    It needs no thread and no file handle, because the process may have none left.
    """
    signal.alarm(math.ceil(seconds))
    os.kill(os.getpid(), signal.SIGTERM)


class Drain:
    """Counts the messages in flight. `seconds` limits a drain, and `commit_seconds` the commit after it."""

    def __init__(self, seconds: float = DRAIN_SECONDS, commit_seconds: float = COMMIT_SECONDS) -> None:
        self.seconds = seconds
        self.commit_seconds = commit_seconds
        self._in_flight = 0
        self._empty = asyncio.Event()
        self._empty.set()

    @contextmanager
    def handling(self) -> Iterator[None]:
        """Count a message as in flight until it is acknowledged."""
        self._in_flight += 1
        self._empty.clear()
        try:
            yield
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._empty.set()

    async def wait(self) -> int:
        """Wait until no message is in flight; return the number left when the time is over."""
        try:
            async with asyncio.timeout(self.seconds):
                await asyncio.sleep(0)  # an agent may have taken a message without having started on it
                while self._in_flight:
                    await self._empty.wait()
        except TimeoutError:
            log.warning("%d messages are not done after %g s and will come again", self._in_flight, self.seconds)
        return self._in_flight


class FlowControl(FlowControlEvent):  # type: ignore[misc]
    """A gate that can be held shut, and that drops nothing when it is opened while it is open.

    After the recovery of a table Faust lets messages in, looks up where to begin, and opens the gate once more, which
    empties the queues behind it. Messages that arrived in between would not come again before the next rebalance. And a
    recovery does not notice at once that another rebalance has begun, or that the process stops.
    """

    held = False
    """True while partitions are being revoked: the gate stays shut."""

    def resume(self) -> None:
        """Open the gate. Messages that waited behind a shut gate are stale and come again."""
        if not self.held and not self.is_active():
            super().resume()


class DrainingApp(faust.App):  # type: ignore[misc]
    """A Faust app that drains. Faust itself does not wait, or, with `stream_wait_empty`, waits indefinitely."""

    drain: Drain
    topic_ids: TopicIds
    at_end: Callable[[], Awaitable[None]]
    """Called after all agents have stopped: closing a client earlier would make its calls fail."""
    ending: ProcessError | None = None
    """The reason why this process ends by itself; once it is set, no message is started."""

    def end(self, error: ProcessError) -> None:
        """End this process after a drain. What messages in flight cause may still reach Kafka."""
        if self.ending is not None:
            return
        self.ending = error
        HEALTH.mark_unhealthy(str(error))
        log.critical("%s This process ends. Nothing is lost: the next one continues from here.", error)
        if not self.should_stop:
            stop_this_process(self.drain.seconds + LEAVE_SECONDS)

    async def _stop_consumer(self) -> None:
        self.flow_control.held = True
        await super()._stop_consumer()

    async def _on_partitions_revoked(self, revoked: Any) -> None:
        # On a rebalance while this process stops, the drained messages are committed before this member joins again.
        # Faust would not commit them.
        if self.should_stop:
            await self._consumer_wait_empty(self.consumer, self.log)
        else:
            await super()._on_partitions_revoked(revoked)

    def _on_rebalance_when_stopped(self) -> None:
        # Faust would close the client from a foreign thread. The client leaves its group when it is stopped.
        pass

    async def _consumer_wait_empty(self, consumer: Any, logger: Any) -> None:  # noqa: ARG002 - Faust's signature
        # Faust calls this at a stop and when partitions are revoked: no new message is taken, tables are still open,
        # and this member is still in its group.
        await self.drain.wait()
        try:
            async with asyncio.timeout(self.drain.commit_seconds):
                # Faust skips a commit while another one is under way, but this one covers more messages.
                await consumer.maybe_wait_for_commit_to_finish()
                await consumer.commit()
        except TimeoutError:
            log.warning("the last messages are not committed after %g s and come again", self.drain.commit_seconds)

    def _new_transport(self) -> Any:
        transport = super()._new_transport()
        transport.Consumer, transport.Producer = Consumer, Producer
        return transport

    @cached_property
    def flow_control(self) -> FlowControl:
        """The gate before all message queues."""
        return FlowControl()

    async def on_shutdown(self) -> None:
        await super().on_shutdown()
        await self.at_end()
