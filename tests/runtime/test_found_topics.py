"""A group's member that reads topics which are found while it runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from streams.adapters.kafka import KafkaConfig
from streams.core.errors import ServiceError
from streams.runtime.group import GroupMember
from tests.harness.fakes.kafka_client import FakeClient
from tests.harness.group_member import FakeOwner, until


class Subscriber(FakeClient):
    """A client that remembers what it was subscribed to."""

    asked_for: list[list[str]]

    def subscribe(self, topics: Sequence[str], *arguments: Any, **more: Any) -> None:  # type: ignore[override]
        self.asked_for.append(list(topics))
        super().subscribe(topics, *arguments, **more)


async def test_a_topic_is_read_once_it_is_found_and_those_before_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Subscriber({("events", 0): [0, 1], ("orders", 0): [5]})
    client.asked_for = []
    monkeypatch.setattr("streams.runtime.group.Consumer", client)
    monkeypatch.setattr("streams.runtime.group.TOPIC_CHECK_SECONDS", 0.01)
    answers: list[list[str] | None] = [[], None, ["orders"]]

    def find() -> list[str]:
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if answer is None:
            raise ServiceError("The broker does not answer.")
        return answer

    owner = FakeOwner()
    member = GroupMember(KafkaConfig(servers="127.0.0.1:1"), "escalon-listen", ["events"], owner, 0.02, find)
    member._topic_ids = client  # type: ignore[assignment]
    owner.member = member
    await member.start()
    try:
        await until(lambda: len(client.asked_for) == 2)
        assert client.asked_for == [["events"], ["events", "orders"]]
        await client.assign(("events", 0))
        await until(lambda: owner.offsets(("events", 0)) == [0, 1])
        await client.assign(("orders", 0))
        await until(lambda: owner.offsets(("orders", 0)) == [5])
        assert len(client.asked_for) == 2, "what is read already is not subscribed to again"
        owner.finish(0, 1, at=0)
        owner.finish(5)
    finally:
        await member.stop()
    assert owner.ending is None
