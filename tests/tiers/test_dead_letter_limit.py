"""A bad deploy stops a tier at its limit on dead letters; after the fix the events behind them go on."""

from __future__ import annotations

from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from streams.adapters.topic_reader import TopicReader
from streams.core.errors import DEAD_LETTER_LIMIT_EXIT
from tests.harness.tiers.running import Tiers, tiers

pytestmark = pytest.mark.embedded
EVENTS = [f"e{number}" for number in range(400)]
LIMIT = 20
BAD_DEPLOY = {"ESCALON_MAX_EVENT_BYTES": "10"}
"""Refuses every event as too large."""


def places(running: Tiers) -> list[tuple[int, int]]:
    """Return the offsets of the dead letters' events."""
    return [(letter.partition, letter.offset) for letter in running.dead_letters()]


def committed(running: Tiers) -> int:
    """Return the number of events that LISTEN has committed."""
    consumer = Consumer({"bootstrap.servers": running.kafka.servers, "group.id": "escalon-listen"})
    try:
        found = consumer.committed([TopicPartition("events", number) for number in range(2)], 20)
        return sum(max(0, place.offset) for place in found)
    finally:
        consumer.close()


def test_a_bad_deploy_stops_at_the_limit_and_a_fix_goes_on_behind_it(kafka_home: Path, tmp_path: Path) -> None:
    with tiers(kafka_home, tmp_path, ESCALON_DEAD_LETTER_RUN=str(LIMIT)) as running:
        running.publish(*EVENTS)
        running.start("listen", **BAD_DEPLOY)
        assert running.exit_code("listen") == DEAD_LETTER_LIMIT_EXIT
        said = " ".join(running.log("listen").split())
        assert f"The last {LIMIT} messages of events/" in said
        assert "too_large at offset 0" in said
        first = places(running)
        assert LIMIT <= len(first) < len(EVENTS) / 2
        assert committed(running) == len(first)

        running.start("listen", **BAD_DEPLOY)  # again without a fix
        assert running.exit_code("listen") == DEAD_LETTER_LIMIT_EXIT
        again = places(running)
        assert len(first) + LIMIT <= len(again) == len(set(again)) < len(EVENTS)
        assert committed(running) == len(again)

        running.start("listen", "work", "settle")
        with TopicReader(running.kafka, ["events"]) as reader:
            events = {(one.partition, one.offset): (one.key or b"").decode() for one in reader.to_end()}
        behind = {name for place, name in events.items() if place not in again}
        assert len(behind) == len(EVENTS) - len(again)
        assert set(running.outcomes(behind)) == behind
        assert sorted(places(running)) == sorted(again)
