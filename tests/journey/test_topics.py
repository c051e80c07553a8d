"""Topics as others leave them, through a whole pipeline on Apache Kafka: transactions, and a topic made again."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from typer.testing import CliRunner

from streams.app.publisher import Delivery
from streams.cli.main import app
from tests.harness.fakes.topic_history import remake
from tests.harness.fakes.transactions import abort, commit, left_open, send
from tests.harness.journey import WAIT_SECONDS, Journey

# The broker in memory has no transactions, and its topics cannot be made again.
pytestmark = [pytest.mark.embedded, pytest.mark.parametrize("journey", ["kafka"], indirect=True, scope="module")]

WORKER = "claude-haiku-5-5"


def verified() -> dict[str, Any]:
    """Return the report of verify once the sink has written everything, or after a while the report at that time."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        said = CliRunner().invoke(app, ["verify", "--grace", "0s", "--json"])
        assert said.exit_code in (0, 1), said.output
        found: dict[str, Any] = json.loads(said.stdout)
        if found["clean"] or time.monotonic() > deadline:
            return found


def event(name: str) -> bytes:
    return json.dumps({"id": name, "text": f"When do you open, and who is {name}?"}).encode()


def test_what_is_aborted_or_not_committed_is_neither_worked_nor_missed(journey: Journey) -> None:
    kafka = journey.running.kafka
    send(kafka, "events", [event("plain")])
    abort(kafka, "events", [event("aborted-1"), event("aborted-2")])
    commit(kafka, "events", [event("committed")])
    journey.outcomes({"plain", "committed"})
    with left_open(kafka, "events", [event("open")]):
        send(kafka, "events", [event("behind")])
        found = verified()
        assert (found["faults"], found["counts"]["events"]["records"]) == ([], 2)
        assert found["held_back"] == {"events": 2}
    ended = journey.outcomes({"behind"})
    assert set(ended) == {"plain", "committed", "behind"}
    assert journey.claude.asked(WORKER) == 3
    found = verified()
    assert (found["faults"], found["held_back"]) == ([], {})


def test_events_of_a_topic_that_is_made_again_are_other_events(journey: Journey) -> None:
    def publish(text: str) -> list[Delivery]:
        with journey.publisher() as publisher:
            for number in range(5):
                publisher.publish(f"{text}, number {number}?", key="desk")  # a partition that nothing else is on
            return publisher.flush()

    before = journey.claude.asked(WORKER)
    old = publish("When did you open")
    journey.outcomes({one.event_id for one in old})
    remake(journey.running.kafka, "events", partitions=journey.running.settings.partitions)
    new = publish("When will you close")
    assert [(one.partition, one.offset) for one in new] == [(one.partition, one.offset) for one in old]
    ids = {one.event_id for one in new}
    assert ids.isdisjoint(one.event_id for one in old)
    found = journey.outcomes(ids)
    assert all(len(found[one]) == 1 for one in ids)
    assert journey.claude.asked(WORKER) == before + 10
    lost = [fault for fault in verified()["faults"] if fault["kind"] in ("lost_event", "doubled_outcome")]
    assert lost == []
