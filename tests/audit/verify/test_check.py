"""`escalon verify` on a real broker and a real ClickHouse engine, with each fault planted by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import pytest

from streams.adapters.clickhouse import ClickHouseConfig
from streams.adapters.event_reader import derived_event_id
from streams.adapters.kafka import KafkaConfig
from streams.adapters.kafka_record import ID_HEADER
from streams.audit.dead_letters.table import DeadLetterTable, LetterAction
from streams.core.errors import UnreadableError
from streams.core.messages import DeadLetter, Deferred, Escalation, Label
from streams.embedded.broker import ApacheKafka, Tansu
from streams.embedded.supervisor import Supervisor
from streams.packaged_files import resource
from tests.builders import call
from tests.harness.audit import write
from tests.harness.audit_world import World, event_of, kinds, letter, lose_an_outcome, settle_what_never_was
from tests.harness.fakes.transactions import abort, left_open

pytestmark = [pytest.mark.embedded, pytest.mark.slow]


@pytest.fixture(scope="module")
def in_memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaConfig]:
    with Supervisor(tmp_path_factory.mktemp("tansu") / "logs") as supervisor:
        yield KafkaConfig(servers=Tansu().start(supervisor))


@pytest.fixture(scope="module")
def apache(kafka_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaConfig]:
    data = tmp_path_factory.mktemp("kafka")
    with Supervisor(data / "logs") as supervisor:
        yield KafkaConfig(servers=ApacheKafka(kafka_home, resource("kafka"), data).start(supervisor))


@pytest.fixture
def world(in_memory: KafkaConfig, config: ClickHouseConfig) -> World:
    return World(in_memory, config)


def test_a_stream_where_nothing_is_wrong_is_clean(world: World) -> None:
    world.live("a", "b", "c")
    world.write(Label(event_id="a", run=world.run, label="1", labelled_at=datetime(2026, 11, 1, 0, 0, 0, 7, UTC)))
    report = world.verify()
    assert kinds(report) == []
    assert report.ends == {"outcome": 3, "dead_letter": 0, "dropped": 0, "deferred": 0, "in_flight": 0, "lost": 0}
    assert report.counts["calls"] | {"rows_unproven": 0} == {"records": 3, "copies": 0, "rows": 3, "rows_unproven": 0}
    assert report.counts["labels"]["rows"] == 1


def test_the_call_of_a_judge_needs_an_event_and_its_row_like_any_other(world: World) -> None:
    world.live("a")
    world.write(call(event_of(world, "a"), "m", "judge"))
    assert kinds(world.verify()) == []
    world.put(call(event_of(world, "a"), "m", "judge", attempt=2))
    assert kinds(world.verify()) == [("missing_row", "calls", 1)]


Plant = Callable[[World], None]


def end_an_event_twice(world: World) -> None:
    first = world.made("a")[2]
    world.write(replace(first, state="failed", settled_at=first.settled_at + timedelta(seconds=1)))


def lose_a_row_of_calls(world: World) -> None:
    world.put(call(event_of(world, "a"), "second"))


def call_for_what_never_was(world: World) -> None:
    world.write(world.made("never", 99)[1])


def decide_on_what_never_was(world: World) -> None:
    world.write(world.made("never", 99)[0])


def lose_a_row_of_labels(world: World) -> None:
    world.put(Label(event_id="a", run=world.run, label="1", labelled_at=datetime(2026, 11, 1, tzinfo=UTC)))


def lose_a_row_of_outcomes(world: World) -> None:
    world.publish("unrecorded", 1)
    verdict_, call_, outcome_ = world.made("unrecorded", 0, 1)
    world.write(verdict_, call_)
    world.put(outcome_)


def add_a_row_of_calls(world: World) -> None:
    write(world.clickhouse, call(event_of(world, "a"), "third", started_at=datetime.now(UTC)))


def name_a_call_without_a_row(world: World) -> None:
    world.publish("uncalled", 1)
    verdict_, _, outcome_ = world.made("uncalled", 0, 1)
    world.write(verdict_, outcome_)


def write_unreadable_records(world: World) -> None:
    world.raw("outcomes", b"\xc3\x01 no outcome")


FAULTS: list[tuple[Plant, tuple[str, str, int]]] = [
    (lose_an_outcome, ("lost_event", "events", 1)),
    (end_an_event_twice, ("doubled_outcome", "outcomes", 1)),
    (lose_a_row_of_calls, ("missing_row", "calls", 1)),
    (settle_what_never_was, ("orphan_outcome", "outcomes", 1)),
    (call_for_what_never_was, ("orphan_call", "calls", 1)),
    (decide_on_what_never_was, ("orphan_verdict", "verdicts", 1)),
    (lose_a_row_of_labels, ("missing_row", "labels", 1)),
    (lose_a_row_of_outcomes, ("missing_row", "outcomes", 1)),
    (add_a_row_of_calls, ("stray_row", "calls", 1)),
    (name_a_call_without_a_row, ("missing_call", "outcomes", 1)),
    (write_unreadable_records, ("unreadable", "outcomes", 1)),
]


@pytest.mark.parametrize(
    ("plant", "found"),
    FAULTS,
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_each_fault_is_found_alone_and_by_its_name(world: World, plant: Plant, found: tuple[str, str, int]) -> None:
    world.live("a", "b")
    plant(world)
    report = world.verify()
    assert kinds(report) == [found]
    (example,) = report.faults[0].examples
    assert "event_id" in example or found[0] == "unreadable"


def test_all_faults_at_once_are_found_on_apache_kafka_and_none_without(
    apache: KafkaConfig, config: ClickHouseConfig
) -> None:
    world = World(apache, config)
    world.live("a", "b")
    assert kinds(world.verify()) == []
    for plant, _ in FAULTS:
        plant(world)
    assert sorted(kinds(world.verify())) == sorted(found for _, found in FAULTS)


def test_the_lost_event_is_named_with_its_place(world: World) -> None:
    world.live("a")
    lose_an_outcome(world)
    (fault,) = world.verify().faults
    assert fault.examples == ({"partition": 1, "offset": 0, "event_id": "lost"},)


def test_records_younger_than_the_grace_are_not_faults_yet(world: World) -> None:
    world.live("a")
    lose_an_outcome(world)
    lose_a_row_of_labels(world)
    report = world.verify(grace=2 * 3_600_000)
    assert kinds(report) == []
    assert report.young == {"lost_event": 1, "missing_row": 1}
    assert report.ends["in_flight"] == 1


def test_an_event_from_the_far_future_is_lost_like_any_other(world: World) -> None:
    ahead = int((datetime.now(UTC) + timedelta(days=365)).timestamp() * 1000)
    world.producer.produce(f"{world.prefix}events", b'{"id": "ahead", "text": "x"}', timestamp=ahead)
    assert world.producer.flush(20) == 0
    assert kinds(world.verify(grace=600_000)) == [("lost_event", "events", 1)]


def test_an_event_published_twice_under_one_id_needs_one_outcome(world: World) -> None:
    world.live("a")
    world.publish("a", 1)
    report = world.verify()
    assert kinds(report) == []
    assert (report.counts["events"]["records"], report.counts["events"]["distinct"]) == (2, 1)


def test_an_outcome_delivered_again_alike_is_a_fault_only_when_asked(world: World) -> None:
    world.publish("a")
    told = world.made("a")
    world.write(*told)
    world.write(told[2])
    report = world.verify()
    assert kinds(report) == []
    assert report.counts["outcomes"]["copies"] == 1
    assert kinds(world.verify(strict=True)) == [("copied_outcome", "outcomes", 1)]


def test_a_dead_letter_with_its_reason_is_an_end(world: World) -> None:
    world.live("a")
    world.raw("events", b"\xff\xff no text", 1)
    own = derived_event_id(world.record("events", 0, 1), world.cluster)
    world.write(letter(world, "events", 0, own, 1))
    report = world.verify()
    assert kinds(report) == []
    assert report.ends["dead_letter"] == 1
    assert report.reasons == {"bad_event": 1}


def dead(world: World) -> DeadLetter:
    """An unreadable event and its dead letter."""
    world.raw("events", b"\xff\xff no text", 1)
    own = derived_event_id(world.record("events", 0, 1), world.cluster)
    made = letter(world, "events", 0, own, 1)
    world.write(made)
    return made


def act(world: World, one: DeadLetter, action: Literal["retried", "dropped"]) -> None:
    """Put on record what was done about a dead letter."""
    done = LetterAction(
        run=world.run, acted_at=datetime.now(UTC), dead_letter_id=one.dead_letter_id, event_id=one.event_id,
        action=action, operator="me",
    )  # fmt: skip
    with closing(world.clickhouse.connect()) as client:
        DeadLetterTable(client).record([done])


def again(world: World, one: DeadLetter) -> None:
    """Publish its event once more, as a retry does."""
    world.producer.produce(
        f"{world.prefix}events", b'{"text": "mended"}', partition=1, headers={ID_HEADER: one.event_id.encode()}
    )
    assert world.producer.flush(20) == 0


def test_a_retried_event_that_came_through_is_clean(world: World) -> None:
    world.live("a")
    one = dead(world)
    act(world, one, "retried")
    again(world, one)
    world.write(*world.made(one.event_id, 1, 1))
    report = world.verify()
    assert (kinds(report), report.ends["outcome"], report.ends["dead_letter"]) == ([], 2, 0)
    assert (report.reasons, report.counts["events"]["distinct"]) == ({}, 2)


def test_a_retried_event_that_failed_again_is_one_open_dead_letter(world: World) -> None:
    one = dead(world)
    act(world, one, "retried")
    again(world, one)
    world.write(letter(world, "events", 1, one.event_id, 1))
    report = world.verify()
    assert (kinds(report), report.ends["dead_letter"], report.reasons) == ([], 1, {"bad_event": 1})


def test_a_retried_event_that_came_to_no_end_is_lost_once_the_grace_since_then_is_over(world: World) -> None:
    one = dead(world)
    act(world, one, "retried")
    again(world, one)
    assert kinds(world.verify()) == [("lost_event", "events", 1)]
    hour = 3_600_000
    young = world.verify(grace=2 * hour)
    assert (kinds(young), young.ends["in_flight"]) == ([], 1)


def test_the_grace_of_a_retried_event_begins_with_the_retry(world: World) -> None:
    old = int((datetime.now(UTC) - timedelta(days=1)).timestamp() * 1000)
    world.producer.produce(f"{world.prefix}events", b"\xff", partition=1, timestamp=old)
    assert world.producer.flush(20) == 0
    one = letter(world, "events", 0, derived_event_id(world.record("events", 0, 1), world.cluster), 1)
    world.write(one)
    act(world, one, "retried")
    report = world.verify(grace=2 * 3_600_000)
    assert (kinds(report), report.ends["in_flight"]) == ([], 1)


def test_a_dropped_dead_letter_is_settled(world: World) -> None:
    act(world, dead(world), "dropped")
    report = world.verify()
    assert (kinds(report), report.ends["dropped"], report.ends["dead_letter"]) == ([], 1, 0)
    assert report.reasons == {}


def test_a_row_that_no_table_takes_does_not_end_its_event(world: World) -> None:
    lose_an_outcome(world)
    world.write(replace(letter(world, "verdicts", 0, "lost"), reason="bad_row"))
    assert kinds(world.verify()) == [("lost_event", "events", 1)]


def test_a_record_that_the_sink_dead_lettered_needs_no_row(world: World) -> None:
    world.live("a")
    world.raw("labels", b"no label")
    world.put(call(event_of(world, "a"), "refused"))
    world.write(letter(world, "labels", 0, "x"), letter(world, "calls", 1, "a"))
    assert kinds(world.verify()) == []


def test_a_dead_letter_excuses_its_own_record_and_no_other_that_came_to_its_place(world: World) -> None:
    """After the topic was created again, the position is the same but the record is not."""
    world.live("a")
    world.raw("labels", b"no label")
    world.put(call(event_of(world, "a"), "refused"))
    for topic, offset in (("labels", 0), ("calls", 1)):
        before = replace(world.record(topic, offset), value=b"what was there once")
        world.write(replace(letter(world, topic, offset, "x"), dead_letter_id=world.letters.letter_id(before)))
    assert kinds(world.verify()) == [("unreadable", "labels", 1), ("missing_row", "calls", 1)]


def test_what_waits_for_a_budget_is_not_lost(world: World) -> None:
    world.live("a")
    world.publish("waits", 1)
    seen, _, _ = world.made("waits", 0, 1)
    world.write(seen)
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    world.put(Deferred(cause="budget", verdict=seen, not_before=tomorrow, reason="budget"))
    report = world.verify()
    assert kinds(report) == []
    assert report.ends["deferred"] == 1


def test_what_waits_for_a_provider_is_not_lost(world: World) -> None:
    world.live("a")
    world.publish("waits", 1)
    seen, _, _ = world.made("waits", 0, 1)
    world.write(seen)
    task = Escalation(
        event=seen.event, intents=("order",), handler="think", reason="routed", fingerprint="f", pipeline="p",
        decided_at=seen.decided_at, failures=("overloaded",),
    )  # fmt: skip
    now = datetime.now(UTC)
    world.put(Deferred(cause="provider", escalation=task, not_before=now - timedelta(days=1), reason="overloaded"))
    assert kinds(world.verify()) == [("lost_event", "events", 1)]
    world.put(Deferred(cause="provider", escalation=task, not_before=now + timedelta(hours=2), reason="overloaded"))
    report = world.verify()
    assert (kinds(report), report.ends["deferred"]) == ([], 1)


def test_a_replays_rows_need_no_records(world: World) -> None:
    world.live("a")
    replay = event_of(world, "a")
    write(world.clickhouse, call(replace(replay, origin=replace(replay.origin, run=f"{world.run}-replay"))))
    assert kinds(world.verify()) == []


def test_rows_from_before_the_events_held_are_counted_as_unproven(world: World) -> None:
    old = replace(event_of(world, "old"), origin=replace(event_of(world, "old").origin, offset=5))
    write(world.clickhouse, call(old, started_at=datetime(2026, 1, 1, tzinfo=UTC)))
    world.live("a")
    report = world.verify()
    assert kinds(report) == []
    assert report.counts["calls"]["rows_unproven"] == 1


def test_since_a_time_only_what_came_later_is_proven(world: World) -> None:
    lose_an_outcome(world)
    lose_a_row_of_labels(world)
    after = int(datetime.now(UTC).timestamp() * 1000) + 50
    while int(datetime.now(UTC).timestamp() * 1000) <= after:
        pass
    world.live("a")
    report = world.verify(since=after)
    assert kinds(report) == []
    assert report.counts["events"]["records"] == 1
    assert "events" in report.trimmed


@pytest.mark.parametrize("told", [True, False])
def test_two_events_under_one_id_are_two_and_one_outcome_is_not_the_end_of_both(world: World, told: bool) -> None:
    for text in ("where is my order?", "where is my order?", "cancel my order"):
        world.raw("events", json.dumps({"id": "a", "text": text}).encode())
    seen, asked, ended = world.made("a")
    said = world.ids.content_digest(world.record("events", 0))
    world.write(seen, asked, replace(ended, origin=replace(ended.origin, content_digest=said)))
    if told:
        made = world.letters.letter(world.record("events", 2), UnreadableError("id_conflict", "It is another event."))
        world.write(replace(made, content_digest=world.ids.content_digest(world.record("events", 2))))
    report = world.verify()
    ends = {name: count for name, count in report.ends.items() if count}
    if told:
        assert (kinds(report), ends) == ([], {"outcome": 1, "dead_letter": 1})
        assert report.reasons == {"id_conflict": 1}
    else:
        assert (kinds(report), ends) == ([("lost_event", "events", 1)], {"outcome": 1, "lost": 1})


def test_what_lies_behind_an_open_transaction_is_neither_read_nor_lost_and_is_said(
    config: ClickHouseConfig, apache: KafkaConfig
) -> None:
    world = World(apache, config)
    world.live("a")
    abort(apache, f"{world.prefix}events", [b'{"id": "aborted", "text": "x"}'] * 3)
    with left_open(apache, f"{world.prefix}events", [b'{"id": "open", "text": "x"}']):
        world.publish("behind")
        report = world.verify()
        assert (kinds(report), report.counts["events"]["records"], report.held_back) == ([], 1, {"events": 2})
    assert kinds(world.verify()) == [("lost_event", "events", 1)]
