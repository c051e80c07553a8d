"""The client's work in its consumer group, where none of its errors goes unheard."""

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
from streams.runtime.header_decoding import read_any_name
from streams.runtime.positions import remember_moves

LookUp = Callable[[Collection[str]], Awaitable[dict[str, str]]]


class ConsumerThread(AIOKafkaConsumerThread):  # type: ignore[misc]
    """Faust's thread with the client of aiokafka."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.read_ids: dict[str, str] = {}
        """The ids of the topics that are read, since their partitions were given."""

    async def look_up(self, topics: Collection[str]) -> dict[str, str]:
        """The ids that topics have now. Raises an error of the client's that is tried again when nobody answers."""
        try:
            found: dict[str, str] = await asyncio.to_thread(self.app.topic_ids.known, topics)
        except ServiceError as away:
            raise errors.RequestTimedOutError from away
        return found

    async def on_start(self) -> None:
        """Start the client, which is in no group yet."""
        read_any_name()
        remember_moves()
        await super().on_start()
        hear_errors_of_offsets(self._consumer._coordinator)
        name_the_topics(self._consumer, self.read_ids, self.look_up)

    def _create_worker_consumer(self, transport: Any) -> Any:
        # Faust lets only apps that write in transactions read what is committed.
        client = super()._create_worker_consumer(transport)
        client._isolation_level = ISOLATION
        return client

    async def check_group(self) -> None:
        """Raise the error that has ended the client's work in its group, if one has. Runs in this thread."""
        self._consumer._coordinator.check_errors()

    async def seek_to_beginning(self, *partitions: TP) -> None:
        """Begin at the first record that is held, as this program asks and not because the broker has no other."""
        await super().seek_to_beginning(*partitions)
        for tp, state in self._states():
            if tp in partitions:
                state.take_move()

    async def bounds(self, partitions: Collection[TP]) -> dict[TP, tuple[int, int]]:
        """The first offset of each partition, and the one behind its last record that is committed, or before the first
        transaction that is open. Runs in this thread; raises KafkaError."""
        first = await self._consumer.beginning_offsets(partitions)
        behind_last = await self._consumer.end_offsets(partitions)
        return {tp: (first[tp], behind_last[tp]) for tp in partitions}

    def positions(self) -> dict[TP, int]:
        """Where each partition is read on, as far as that is known."""
        # Looked at once: the client's own thread may take a position away at any moment.
        found = ((tp, state._position) for tp, state in self._states())
        return {tp: position for tp, position in found if position is not None}

    def moves(self) -> dict[TP, tuple[int, int]]:
        """The partitions that the broker has put elsewhere since the last call: from which offset, and to which."""
        moves = ((tp, state.take_move()) for tp, state in self._states())
        return {tp: move for tp, move in moves if move is not None}

    def held_back(self, tp: TP) -> int:
        """How many offsets lie behind the first open transaction of a partition, as of the last fetch."""
        state = dict(self._states()).get(tp)
        if state is None or state.highwater is None or state.lso is None or state.lso < 0:
            return 0
        return int(max(0, state.highwater - state.lso))

    def _states(self) -> list[tuple[TP, Any]]:
        subscription = self._ensure_consumer()._subscription.subscription
        assignment = subscription.assignment if subscription is not None else None
        return [(tp, assignment.state_value(tp)) for tp in assignment.tps] if assignment is not None else []


def name_the_topics(client: Any, read_ids: dict[str, str], look_up: LookUp) -> None:
    """Have a client commit each offset with the id of the topic it counts in, and pass over those of other topics.

    Kafka forgets committed offsets with their topic, but a commit that is under way meanwhile is made again until it
    succeeds, and counts in the topic of that name then: as many of its first records would never be read.
    """
    commit, fetch = client.commit, client._coordinator._do_fetch_commit_offsets

    async def commit_with_ids(offsets: dict[Any, Any]) -> None:
        await commit({tp: OffsetAndMetadata(one.offset, read_ids.get(tp.topic, "")) for tp, one in offsets.items()})

    async def fetch_of_these_topics(partitions: Collection[Any]) -> dict[Any, Any]:
        found: dict[Any, Any] = await fetch(partitions)
        read_ids.update(await look_up({tp.topic for tp in partitions} - read_ids.keys()))
        return {tp: one for tp, one in found.items() if one.metadata in ("", read_ids.get(tp.topic, one.metadata))}

    client.commit, client._coordinator._do_fetch_commit_offsets = commit_with_ids, fetch_of_these_topics


def hear_errors_of_offsets(coordinator: Any) -> None:
    """Have a coordinator's client raise the error that an answer about committed offsets carries as a whole.

    The client looks for errors by partition only. A broker that does not coordinate the group any more, or not yet,
    answers with an error and no partitions, and the client would read: nothing is committed, begin at the beginning.
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
