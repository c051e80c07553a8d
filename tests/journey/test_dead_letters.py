"""Dead letters through a real pipeline: listed, shown, retried before and after the fix, dropped, and verified."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from io import BytesIO
from typing import Any

import pytest
from confluent_kafka import Producer
from PIL import Image
from typer.testing import CliRunner, Result

from streams.adapters.blobs import BlobStore
from streams.adapters.event_reader import derived_event_id
from streams.adapters.kafka_admin import describe_cluster
from streams.adapters.topic_reader import record_of
from streams.cli.main import app
from tests.harness.journey import Journey

pytestmark = pytest.mark.embedded

# Older than the topics' retention, and Kafka would forget the first records before they are verified.
HAPPENED = datetime.now(UTC).replace(microsecond=125_000) - timedelta(hours=3)
TRACE = "0af7651916cd43dd8448eb211c80319c"
ESCAPE = "\x1b[2J\x1b]0;owned\x07"


def image(drawn: Image.Image) -> bytes:
    out = BytesIO()
    drawn.save(out, "PNG")
    return out.getvalue()


def escalon(*arguments: str) -> Result:
    done = CliRunner().invoke(app, ["dead-letters", *arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def documents(*arguments: str) -> list[dict[str, Any]]:
    done = escalon(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def publish(journey: Journey, values: dict[str, bytes]) -> dict[str, str]:
    """Publish bytes with a time and a trace of their own; returns the event ids their places give."""
    producer = Producer(
        journey.running.kafka.confluent(**{"enable.idempotence": False, "message.max.bytes": 2_000_000})
    )
    places: dict[str, Any] = {}
    headers = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "theirs": b"\xff\x00"}
    for name, value in values.items():
        producer.produce(
            "events", value, timestamp=int(HAPPENED.timestamp() * 1000), headers=dict(headers),
            on_delivery=lambda _, message, name=name: places.update({name: message}),
        )  # fmt: skip
    assert producer.flush(30) == 0
    cluster = describe_cluster(journey.running.kafka).cluster_id
    return {name: derived_event_id(record_of(message), cluster) for name, message in places.items()}


def letters(journey: Journey, until: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
    """The list, once the sink has what is waited for."""
    journey.query(
        "SELECT toString(dead_letter_id) AS id, event_id FROM dead_letters", lambda _: until(documents("list"))
    )
    found = documents("list")
    assert until(found), found
    return found


def list_open(journey: Journey, ids: dict[str, str]) -> dict[str, str]:
    """Check the listing of the three letters, and return their ids by the names of their events."""
    found = letters(journey, lambda all_: len(all_) == 3)
    by_event = {one["event_id"]: one for one in found}
    assert {name: by_event[event]["reason"] for name, event in ids.items()} == {
        "small": "missing_image", "large": "missing_image", "hopeless": "invalid_utf8",
    }  # fmt: skip
    assert {one["state"] for one in found} == {"open"}
    assert len(documents("list", "--reason", "invalid_utf8")) == 1
    assert documents("list", "--topic", "verdicts") == []
    assert len(documents("list", "--since", "4h", "--until", "2h")) == 3
    assert documents("list", "--since", "2h") == []
    return {name: by_event[event]["dead_letter_id"] for name, event in ids.items()}


def show_safely(dead: dict[str, str]) -> None:
    """Check that a stranger's message is shown whole, and that none of it reaches the terminal unescaped."""
    shown = escalon("show", dead["large"])
    assert "x" * 100_000 in shown.stdout
    shown = escalon("show", dead["hopeless"])
    assert "\x1b" not in shown.stdout
    assert "ff 1b 5b 32 4a" in shown.stdout


def retry_before_the_fix(journey: Journey, ids: dict[str, str], first: str) -> None:
    """Check that a retry fails again as one more dead letter, and that the first is not open any more."""
    assert [one["done"] for one in documents("retry", first)] == ["retried"]
    found = letters(journey, lambda all_: len(all_) == 4)
    of_small = {one["state"]: one for one in found if one["event_id"] == ids["small"]}
    assert set(of_small) == {"open", "retried"}
    assert datetime.fromisoformat(of_small["open"]["event_time"]) == HAPPENED
    assert "it was retried" in documents("retry", first)[0]["left"]


def retry_after_the_fix(journey: Journey, ids: dict[str, str], *images: bytes) -> None:
    """Check that each event lands once, under its id, its time and its trace."""
    store = BlobStore(journey.running.settings.blobs)
    for one in images:
        store.put(one)
    assert len(documents("retry", "--reason", "missing_image")) == 2
    outcomes = journey.outcomes({ids["small"], ids["large"]})
    for name in ("small", "large"):
        (outcome,) = outcomes[ids[name]]
        assert (outcome.state, outcome.origin.event_time) == ("answered", HAPPENED)
        assert outcome.origin.trace_id == TRACE


def retry_once_more(journey: Journey, ids: dict[str, str], first: str) -> None:
    """Check that a retry of an event that has ended says why not, and publishes nothing."""
    journey.query(
        "SELECT event_id FROM outcomes", lambda rows: {ids["small"], ids["large"]} <= {one["event_id"] for one in rows}
    )
    assert "has ended as answered" in documents("retry", first, "--again")[0]["left"]
    assert documents("retry", "--reason", "missing_image") == []


def drop(dropped: str) -> None:
    assert escalon("drop", dropped, "--reason", "a test").exit_code == 0
    assert "it was dropped" in documents("retry", dropped)[0]["left"]
    (one,) = documents("list", "--state", "dropped")
    assert (one["dead_letter_id"], one["why"]) == (dropped, "a test")


def test_a_dead_letter_lands_as_if_first_seen_once_it_is_retried_after_the_fix(journey: Journey) -> None:
    flat, round_ = image(Image.linear_gradient("L")), image(Image.radial_gradient("L"))
    ids = publish(
        journey,
        {
            "small": json.dumps({"image": sha256(flat).hexdigest()}).encode(),
            "large": json.dumps({"image": sha256(round_).hexdigest(), "note": "x" * 100_000}).encode(),
            "hopeless": b"\xff" + ESCAPE.encode(),
        },
    )
    dead = list_open(journey, ids)
    show_safely(dead)
    retry_before_the_fix(journey, ids, dead["small"])
    retry_after_the_fix(journey, ids, flat, round_)
    retry_once_more(journey, ids, dead["small"])
    drop(dead["hopeless"])
    assert all(len(some) == 1 for some in journey.outcomes({ids["small"]}).values())
    journey.query("SELECT count() AS n FROM calls", lambda rows: rows[0]["n"] >= 4)
    verified = CliRunner().invoke(app, ["verify", "--grace", "0s", "--json"])
    report = json.loads(verified.stdout)
    assert (verified.exit_code, report["faults"]) == (0, [])
    assert report["ends"] | {"deferred": 0} == {
        "outcome": 2, "dead_letter": 0, "dropped": 1, "deferred": 0, "in_flight": 0, "lost": 0,
    }  # fmt: skip
