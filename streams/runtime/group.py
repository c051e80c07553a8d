"""The client thread of a consumer group, which raises every error of the group."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from aiokafka import errors
from aiokafka.protocol.commit import OffsetFetchRequest
from aiokafka.structs import OffsetAndMetadata
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from faust.types import TP

from streams.adapters.kafka import ISOLATION
from streams.core.errors import ServiceError
from streams.runtime.header_decoding import accept_any_header_name
from streams.runtime.positions import remember_moves

LookUp = Callable[[Collection[str]], Awaitable[dict[str, str]]]


class ConsumerThread(AIOKafkaConsumerThread):  # type: ignore[misc]
    """Faust's thread with the aiokafka client."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.read_ids: dict[str, str] = {}
        """Kafka's ids of the topics that are read, since their partitions were assigned."""

    async def look_up(self, topics: Collection[str]) -> dict[str, str]:
        """Return the current ids of topics. Raises RequestTimedOutError, which the client retries."""
        try:
            found: dict[str, str] = await asyncio.to_thread(self.app.topic_ids.known, topics)
        except ServiceError as error:
            raise errors.RequestTimedOutError from error
        return found

    async def on_start(self) -> None:
        """Start the client, before it joins its group."""
        accept_any_header_name()
        remember_moves()
        await super().on_start()
        raise_offset_errors(self._consumer._coordinator)
        commit_with_topic_ids(self._consumer, self.read_ids, self.look_up)

    def _create_worker_consumer(self, transport: Any) -> Any:
        # Faust reads committed records only in apps that write in transactions.
        client = super()._create_worker_consumer(transport)
        client._isolation_level = ISOLATION
        return client

    async def check_group(self) -> None:
        """Raise the error that has ended the client's membership in its group, or its reading, if any.

        Without its task for fetches, or for the leaders of partitions, a client stays in its group and reads nothing.
        Runs in this thread.
        """
        client = self._consumer
        client._coordinator.check_errors()
        for task in (client._fetcher._fetch_task, client._client._sync_task):
            if task is not None and task.done() and not task.cancelled() and (error := task.exception()):
                raise error

    async def seek_to_beginning(self, *partitions: TP) -> None:
        """Begin at the first record that is held; this seek is not a move by the broker."""
        await super().seek_to_beginning(*partitions)
        for tp, state in self._states():
            if tp in partitions:
                state.take_move()

    async def bounds(self, partitions: Collection[TP]) -> dict[TP, tuple[int, int]]:
        """Return the first offset of each partition, and the one after its last committed record.

        An open transaction ends the committed records. Runs in this thread; raises KafkaError.
        """
        first = await self._consumer.beginning_offsets(partitions)
        behind_last = await self._consumer.end_offsets(partitions)
        return {tp: (first[tp], behind_last[tp]) for tp in partitions}

    def positions(self) -> dict[TP, int]:
        """Return the read position of each partition, as far as it is known."""
        # Read once: the client's own thread may clear a position at any moment.
        found = ((tp, state._position) for tp, state in self._states())
        return {tp: position for tp, position in found if position is not None}

    def moves(self) -> dict[TP, tuple[int, int]]:
        """Return the moves by the broker since the last call: the offset asked for, and the one given."""
        moves = ((tp, state.take_move()) for tp, state in self._states())
        return {tp: move for tp, move in moves if move is not None}

    def held_back(self, tp: TP) -> int:
        """Return the number of offsets after the first open transaction of a partition, as of the last fetch."""
        state = dict(self._states()).get(tp)
        if state is None or state.highwater is None or state.lso is None or state.lso < 0:
            return 0
        return int(max(0, state.highwater - state.lso))

    def _states(self) -> list[tuple[TP, Any]]:
        subscription = self._ensure_consumer()._subscription.subscription
        assignment = subscription.assignment if subscription is not None else None
        return [(tp, assignment.state_value(tp)) for tp in assignment.tps] if assignment is not None else []


def commit_with_topic_ids(client: Any, read_ids: dict[str, str], look_up: LookUp) -> None:
    """Make a client commit each offset with the id of its topic, and ignore committed offsets of other topics.

    Kafka forgets committed offsets with their topic. But a commit that is under way when the topic is deleted is
    retried until it succeeds, and then applies to a new topic of that name: its first records would never be read.
    """
    commit, fetch = client.commit, client._coordinator._do_fetch_commit_offsets

    async def commit_with_ids(offsets: dict[Any, Any]) -> None:
        await commit({tp: OffsetAndMetadata(one.offset, read_ids.get(tp.topic, "")) for tp, one in offsets.items()})

    async def fetch_of_these_topics(partitions: Collection[Any]) -> dict[Any, Any]:
        found: dict[Any, Any] = await fetch(partitions)
        read_ids.update(await look_up({tp.topic for tp in partitions} - read_ids.keys()))
        return {tp: one for tp, one in found.items() if one.metadata in ("", read_ids.get(tp.topic, one.metadata))}

    client.commit, client._coordinator._do_fetch_commit_offsets = commit_with_ids, fetch_of_these_topics


def raise_offset_errors(coordinator: Any) -> None:
    """Make a coordinator's client raise the error of an OffsetFetch response as a whole.

    The client checks the errors of partitions only. A broker that does not coordinate the group (any more, or yet)
    answers with an error and no partitions, which the client would take for: nothing is committed, begin at the start.
    """
    send = coordinator._send_req

    async def send_and_look(request: Any) -> Any:
        response = await send(request)
        if isinstance(request, OffsetFetchRequest):
            error = errors.for_code(getattr(response, "error_code", 0))
            if error is errors.NotCoordinatorForGroupError:
                coordinator.coordinator_dead()
            if error is not errors.NoError:
                raise error
        return response

    coordinator._send_req = send_and_look
