from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from streams.adapters import committed_offsets as module
from streams.adapters.committed_offsets import MOVING, committed_offsets

PLACE = TopicPartition("t", 0, 7)


class Group:
    """A consumer whose broker answers with errors first."""

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)

    def committed(self, places: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        """The places themselves."""
        assert timeout > 0
        if self.codes:
            raise KafkaException(KafkaError(self.codes.pop(0)))
        return places


@pytest.mark.parametrize("code", sorted(MOVING))
def test_a_group_that_moves_to_another_coordinator_is_asked_again(code: int) -> None:
    consumer: Any = Group(code, code)
    assert committed_offsets(consumer, [PLACE]) == [PLACE]


def test_another_error_is_raised_at_once_and_a_move_without_end_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    consumer: Any = Group(KafkaError.GROUP_AUTHORIZATION_FAILED)
    with pytest.raises(KafkaException):
        committed_offsets(consumer, [PLACE])
    assert consumer.codes == []
    monkeypatch.setattr(module, "ADMIN_TIMEOUT", 0.5)
    endless: Any = Group(*[KafkaError.NOT_COORDINATOR] * 100)
    with pytest.raises(KafkaException):
        committed_offsets(endless, [PLACE])
    assert 0 < len(endless.codes) < 99
