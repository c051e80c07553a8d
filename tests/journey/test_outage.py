"""An API key expires, and is renewed much later: every event is answered, and the report says what was wrong."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from streams.adapters.codec import Codec
from streams.adapters.topic_reader import TopicReader
from streams.audit.query import Audit
from streams.audit.report import make_report
from streams.core.messages import Deferred, Escalation
from tests.harness.fakes.messages_outcomes import Answer, Failure
from tests.harness.journey import WAIT_SECONDS, Journey, running_journey

pytestmark = pytest.mark.embedded

PIPELINE = Path(__file__).parent / "outage.toml"
EVENTS = {f"e{number}": f"case {number}" if number % 2 else f"when, {number}?" for number in range(3)}
ROUNDS = 2
"""More than the pipeline's `times`."""


def sound(_: Any) -> Answer:
    """An answer of the reasoner's shape."""
    return Answer(json.dumps({"answer": {"thoughts": "considered", "reply": "settled"}}))


def wait_for_rounds(journey: Journey) -> None:
    """Return once every event has been put off often enough."""
    tail, rounds = TopicReader(journey.running.kafka, ["deferred-provider"]), dict.fromkeys(EVENTS, 0)
    deadline = time.monotonic() + WAIT_SECONDS
    try:
        while min(rounds.values()) < ROUNDS:
            assert time.monotonic() < deadline, rounds
            journey.running.supervisor.check()
            for record in tail.batch():
                task = Codec().decode(Deferred, record.value or b"").task
                assert isinstance(task, Escalation)
                rounds[task.event.origin.event_id] = task.outages
    finally:
        tail.close()


def expired(_: Mapping[str, Any]) -> Failure:
    return Failure(401, "invalid x-api-key")


def test_no_event_ends_because_of_an_expired_key(tmp_path: Path) -> None:
    with running_journey(PIPELINE, tmp_path, say=expired, environment={"ESCALON_PARTITIONS": "1"}) as journey:
        with journey.publisher() as publisher:
            for event_id, text in EVENTS.items():
                publisher.publish(text, id=event_id)
        wait_for_rounds(journey)
        journey.claude.server.answer = sound
        outcomes = journey.outcomes(set(EVENTS))
        journey.query("SELECT count() AS n FROM outcomes", lambda rows: rows[0]["n"] == len(EVENTS))
        audit = Audit(journey.running.clickhouse)
        (outage, *_) = make_report(audit, "live").parts["outages"]
        audit.close()

    assert [[one.state for one in outcomes[name]] for name in EVENTS] == [["answered"]] * len(EVENTS)
    assert outage["fault"] == "unauthorized"
    assert "invalid x-api-key" in outage["said"]
