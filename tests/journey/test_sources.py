"""The user's own topics through a whole pipeline: each record ends in one way, and verify shows in which."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from streams.app.settings import Settings
from streams.audit.dead_letters.handling import retry_letters, split_retryable
from streams.audit.dead_letters.retry import NotRetried, RetryResult
from streams.audit.dead_letters.table import DeadLetterTable, LetterAction, LetterFilter
from streams.audit.verify.report import VerifyReport, VerifyRequest
from streams.cli.verification import verification
from streams.pipeline.code import ANY_PYTHON
from streams.pipeline.load import load_pipeline
from streams.replay.selection import EventSelection
from streams.replay.setup import ReplayDependencies, ReplayOrder
from tests.harness.journey import Journey, running_journey
from tests.harness.user_topics import (
    TRACE,
    Sent,
    binary,
    change,
    create,
    flattened,
    note,
    send,
    structured,
    tombstones,
)

pytestmark = pytest.mark.embedded
FILE = Path(__file__).parent / "sources" / "pipeline.toml"
NOTES = [
    note(1, "Is it open?"),
    note(1, "Is it open?"),  # sent twice
    note(2, "No hurry.", "us"),
    note(3, "Elsewhere?", "jp"),
    note(4, "Really?", draft=True),
    Sent(b"{ no JSON", headers={"region": "eu"}),
    Sent({"subject": "without a number", "body": "Why?"}, headers={"region": "eu"}),
    *tombstones(["a", "b"]),
]
CHANGES = [
    change(1, "r", 100, wrapped=True),
    change(1, "u", 108, {"state": "changed"}),
    change(1, "u", 108, {"state": "changed"}),  # published again after a crash of the connector
    change(2, "c", 116, {"state": "archived"}),
    change(1, "d", 124),
    *tombstones([{"id": 1}]),
]
EVENTS = {
    "1 1": ("answered", "crm.notes"),
    "2 1": ("ignored", "crm.notes"),
    'shop.orders {"id":1} 100 r 1793611800000': ("answered", "shop.orders"),
    'shop.orders {"id":1} 108 u 1793611800000': ("answered", "shop.orders"),
    'shop.flat {"id":7} 132 c 1793611800000': ("ignored", "shop.flat"),
    "/desk 1": ("answered", "cloud"),
    "/desk 2": ("answered", "cloud"),
}


@pytest.fixture(scope="module")
def journey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    """The pipeline, before any of its user's topics exists."""
    data = tmp_path_factory.mktemp("sources")
    with running_journey(FILE, data, environment={"ESCALON_PIPELINE": str(FILE)}) as running:
        yield running


def settings_of(journey: Journey, pipeline: Path = FILE) -> Settings:
    running = journey.running
    return replace(running.settings, kafka=running.kafka, clickhouse=running.clickhouse, pipeline=pipeline)


def verified(journey: Journey) -> VerifyReport:
    specs = load_pipeline(FILE, ANY_PYTHON).spec.source
    question = VerifyRequest(run="live", now=int(time.time() * 1000), grace=60_000)
    return verification(settings_of(journey), question, lambda _, __: None, specs)


def retried(journey: Journey, pipeline: Path) -> list[RetryResult]:
    """Retry all open dead letters, by a pipeline file."""
    with closing(journey.running.clickhouse.connect()) as client:
        letters = DeadLetterTable(client)
        refused, wanted = split_retryable(letters.select(LetterFilter(run="live")), "", ("open",), None)
        return [*refused, *retry_letters(settings_of(journey, pipeline), letters, wanted, None, "me")]


def test_every_record_of_two_kinds_of_topics_ends_in_exactly_one_way(journey: Journey) -> None:
    kafka = journey.running.kafka
    for topic, records in (
        ("crm.notes", NOTES),
        ("shop.orders", CHANGES),
        ("shop.flat", [flattened(7, 132, remark="all is well")]),
        ("cloud", [structured(1, "Where is it?"), binary(1, "Where is it?"), binary(2, "When?")]),
    ):
        create(kafka, topic, 2)
        send(kafka, topic, records)
    outcomes = journey.outcomes(set(EVENTS))
    assert {name: (one[0].state, one[0].origin.topic) for name, one in outcomes.items()} == EVENTS
    assert all(len(one) == 1 for one in outcomes.values())
    assert outcomes["1 1"][0].origin.trace_id == TRACE
    assert outcomes["1 1"][0].origin.data_subject is not None
    written = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
    assert {one[0].origin.event_time - written for one in outcomes.values()} == {timedelta(0)}


def test_what_makes_no_event_is_a_dead_letter_with_its_place_and_reason(journey: Journey) -> None:
    letters = [one for many in journey.dead_letters(set()).values() for one in many]
    rows = journey.query("SELECT reason, topic FROM dead_letters ORDER BY reason", until=lambda found: len(found) == 2)
    assert [(row["reason"], row["topic"]) for row in rows] == [("bad_id", "crm.notes"), ("invalid_json", "crm.notes")]
    assert all(len(one.event_id) == 32 for one in letters)


def test_verify_says_what_each_record_became(journey: Journey) -> None:
    report = verified(journey)
    assert report.clean, report.faults
    assert report.sources == {
        "crm.notes": {"records": 9, "events": 3, "filtered": 2, "tombstone": 2, "dead_letters": 2},
        "shop.orders": {"records": 6, "events": 3, "filtered": 2, "tombstone": 1},  # a delete has no state
        "shop.flat": {"records": 1, "events": 1},
        "cloud": {"records": 3, "events": 3},
    }
    assert report.ends["outcome"] == len(EVENTS)


def test_a_retry_maps_the_record_again_and_publishes_the_event_alone(journey: Journey, tmp_path: Path) -> None:
    still = retried(journey, FILE)
    assert len(still) == 2
    assert all(isinstance(one, NotRetried) and one.why.startswith("It still makes no event") for one in still)
    shutil.copytree(FILE.parent, tmp_path, dirs_exist_ok=True)
    fixed = tmp_path / "pipeline.toml"
    fixed.write_text(FILE.read_text("utf-8").replace('id = ["/note/number", "header:version"]', ""), "utf-8")
    done = [one for one in retried(journey, fixed) if isinstance(one, LetterAction)]
    assert [one.topic for one in done] == ["events"]
    (outcome,) = journey.outcomes({done[0].event_id})[done[0].event_id]
    assert (outcome.state, outcome.origin.topic) == ("answered", "crm.notes")
    report = verified(journey)
    assert report.clean, report.faults
    assert report.sources["crm.notes"]["records"] == 9, "a retry never writes to the user's topic"


def test_a_replay_reads_a_topic_of_the_users_as_the_candidate_maps_it(journey: Journey) -> None:
    running = journey.running
    place = ReplayDependencies(settings=settings_of(journey), kafka=running.kafka, clickhouse=running.clickhouse)
    pipeline = load_pipeline(FILE, ANY_PYTHON)
    order = ReplayOrder(run="again", pipeline=pipeline, selection=EventSelection(), topic="crm.notes")
    source = place.source(order)
    chosen = source.choose(order.selection)
    assert (len(chosen), chosen.unreadable, chosen.skipped) == (3, 2, 4)
    assert {event.origin.event_id for _, event in source.events(chosen)} == {"1 1", "2 1"}
