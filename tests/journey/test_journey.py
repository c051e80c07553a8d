"""From events to outcomes to the audit, on real servers. The tests build on each other's events, in order."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from datetime import UTC, datetime

import pytest
from confluent_kafka import Producer
from fastavro import schemaless_writer

from streams.adapters import schemas
from streams.adapters.codec import SINGLE_OBJECT, Codec
from streams.adapters.event_reader import derived_event_id
from streams.adapters.kafka_admin import describe_cluster
from streams.adapters.kafka_record import KafkaRecord
from streams.adapters.topic_reader import TopicReader, record_of
from streams.core.messages import RawEvent
from tests.harness.fakes.strange_headers import Headers
from tests.harness.fakes.strange_headers import publish as publish_strange
from tests.harness.journey import Journey
from tests.harness.pictures import picture

pytestmark = pytest.mark.embedded

WORKER, REASONER = "claude-haiku-5-5", "claude-opus-5-5"

TEXTS = {
    "chatter": "ok",
    "routine": "When are you open?",
    "repeat": "  When are you open? ",
    "refused": "Where does my neighbour live?",
    "unsure": "Are you not sure?",
    "broken": "Is this nonsense?",
    "open": "please think about everything",
    "lost": "please think of a hopeless case",
    "unknown": "la la la",
}
ENDS = {
    "chatter": ("ignored", "listener"),
    "routine": ("answered", "worker"),
    "repeat": ("answered", "worker"),
    "refused": ("answered", "reasoner"),
    "unsure": ("answered", "reasoner"),
    "broken": ("answered", "reasoner"),
    "open": ("answered", "reasoner"),
    "lost": ("failed", "reasoner"),
    "unknown": ("ignored", "listener"),
}


def test_every_event_ends_in_exactly_one_outcome_at_the_tier_that_should_end_it(journey: Journey) -> None:
    with journey.publisher() as publisher:
        for event_id, text in TEXTS.items():
            publisher.publish(text, id=event_id)
        deliveries = publisher.flush()
    assert {one.event_id for one in deliveries} == set(TEXTS)
    found = journey.outcomes(set(TEXTS))
    assert {event_id: (found[event_id][0].state, found[event_id][0].tier) for event_id in TEXTS} == ENDS
    assert all(len(found[event_id]) == 1 for event_id in TEXTS)
    assert found["refused"][0].reasons == ("refused: policy: about another customer",)
    assert len(found["lost"][0].reasons) == 2


def test_an_image_seen_before_is_a_duplicate_of_the_first_and_the_first_is_not(journey: Journey) -> None:
    seen_at = datetime(2026, 1, 31, 12, tzinfo=UTC)
    with journey.publisher() as publisher:
        publisher.publish(id="photo-1", image=picture(), time=seen_at)
        publisher.publish(id="photo-2", image=picture(shade=140))
        publisher.flush()
        journey.outcomes({"photo-1", "photo-2"})
        publisher.publish(id="photo-3", image=picture(size=128))
        publisher.publish(id="photo-1", image=picture(), time=seen_at)
    found = journey.outcomes({"photo-1", "photo-2", "photo-3"})
    assert [found[name][0].state for name in ("photo-1", "photo-2", "photo-3")] == ["answered", "answered", "duplicate"]
    assert found["photo-3"][0].duplicate_of == "photo-1"


def test_the_audit_holds_every_call_of_every_tier(journey: Journey) -> None:
    sql = (
        "SELECT tier, handler, model, count() AS calls, countIf(cache_hit) AS hits, countIf(refused) AS refusals, "
        "sum(cost_usd) AS usd FROM calls GROUP BY ALL ORDER BY tier, handler"
    )
    expected = {"answer": 5, "file": 2, "photo": 3, "resolve": 5, "seen": 3, "words": 9}
    rows = journey.query(sql, until=lambda rows: {row["handler"]: row["calls"] for row in rows} == expected)
    assert {row["handler"]: row["calls"] for row in rows} == expected
    by_handler = {row["handler"]: row for row in rows}
    assert {row["tier"] for row in rows} == {"listener", "worker", "reasoner"}
    assert (by_handler["answer"]["hits"], by_handler["answer"]["refusals"]) == (1, 1)
    assert by_handler["answer"]["usd"] > 0
    assert by_handler["resolve"]["usd"] > by_handler["answer"]["usd"]
    empty = journey.query(
        "SELECT count() AS n FROM calls WHERE provider = 'anthropic' AND status = 'answered' AND "
        "(prompt = '' OR system_prompt = '' OR response = '' OR input_tokens IS NULL OR duration_seconds IS NULL)"
    )
    assert empty[0]["n"] == 0


def test_an_answer_of_the_store_notes_what_it_saved(journey: Journey) -> None:
    rows = journey.query(
        "SELECT event_id, cache_hit, cost_usd, saved_usd FROM calls "
        "WHERE handler = 'answer' AND event_id IN ('routine', 'repeat')"
    )
    paid = next(row for row in rows if not row["cache_hit"])
    hit = next(row for row in rows if row["cache_hit"])
    assert (hit["cost_usd"], hit["saved_usd"], paid["saved_usd"]) == (0, paid["cost_usd"], None)


def test_the_same_20_events_again_ask_no_worker_model(journey: Journey) -> None:
    texts = [f"What does item {number} cost?" for number in range(20)]
    with journey.publisher() as publisher:
        for text in texts:
            publisher.publish(text)
        first = {one.event_id for one in publisher.flush()}
        journey.outcomes(first)
        asked = journey.claude.asked(WORKER)
        for text in texts:
            publisher.publish(text)
        again = {one.event_id for one in publisher.flush()}
    assert not first & again
    found = journey.outcomes(again)
    assert journey.claude.asked(WORKER) == asked
    assert {found[event_id][0].answer for event_id in again} == {'{"reply": "from nine to five"}'}


def test_an_event_published_twice_under_one_id_has_one_outcome_and_costs_nothing_more(journey: Journey) -> None:
    asked = journey.claude.server.count
    with journey.publisher() as publisher:
        for event_id in ("routine", "refused", "open", "chatter"):
            publisher.publish(TEXTS[event_id], id=event_id)
        publisher.publish("thanks", id="afterwards")
    found = journey.outcomes({"afterwards", "routine", "refused", "open", "chatter"})
    assert all(len(found[event_id]) == 1 for event_id in ("routine", "refused", "open", "chatter"))
    assert journey.claude.server.count == asked


def broken_messages(limit: int) -> dict[str, bytes]:
    event = Codec().encode(RawEvent(text="Are you open?"))
    return {
        "invalid_utf8": bytes(range(128, 256)),
        "truncated": event[:-4],
        "unknown_schema": SINGLE_OBJECT + b"\x01" * 8 + event[10:],
        "no_registry": b"\x00\x00\x00\x00\x07" + event[10:],
        "invalid_json": b'{"text": "half',
        "too_large": b"x" * limit,
        "missing_image": json.dumps({"image": "0" * 64}).encode(),
    }


def test_a_broken_message_lands_in_the_dead_letters_while_its_neighbours_go_through(journey: Journey) -> None:
    cluster = describe_cluster(journey.running.kafka)
    producer = Producer(journey.running.kafka.confluent(**{"message.max.bytes": 12_000_000}))
    broken, ids, neighbours = broken_messages(10_000_000), {}, set()
    with journey.publisher() as publisher:
        publisher.publish(image=b"this is no image at all", id="not-an-image")
    for reason, payload in broken.items():
        for name, value in ((reason, payload), (f"beside-{reason}", b"thanks")):
            producer.produce("events", value, on_delivery=lambda _, message, name=name: ids.update({name: message}))
        neighbours.add(f"beside-{reason}")
    assert producer.flush(30) == 0
    positions = {name: derived_event_id(record_of(message), cluster.cluster_id) for name, message in ids.items()}
    journey.outcomes({positions[name] for name in neighbours})
    expected = {positions[reason]: reason for reason in broken} | {"not-an-image": "not_an_image"}
    letters = journey.dead_letters(set(expected))
    assert {event_id: letters[event_id][0].reason for event_id in expected} == expected
    large = letters[positions["too_large"]][0]
    assert (large.payload_size, len(large.payload)) == (10_000_000, 65_536)
    assert large.reference is not None
    whole = journey.query("SELECT reason, count() AS n FROM dead_letters GROUP BY reason", lambda rows: len(rows) >= 8)
    assert {row["reason"] for row in whole} == set(expected.values())


def test_avro_written_by_any_client_comes_out(journey: Journey) -> None:
    schema, out = schemas.current()[RawEvent], io.BytesIO()
    out.write(SINGLE_OBJECT + schema.fingerprint)
    schemaless_writer(out, schema.parsed, {"id": "avro-1", "text": "When do you open?"})
    producer = Producer(journey.running.kafka.confluent())
    producer.produce("events", out.getvalue(), key="avro-1")
    assert producer.flush(10) == 0
    assert journey.outcomes({"avro-1"})["avro-1"][0].state == "answered"


def test_json_from_a_stock_console_client_comes_out(journey: Journey) -> None:
    if "tansu" in journey.running.supervisor.pids():
        pytest.skip("skipped: kcat cannot talk to the in-memory broker")
    if (kcat := shutil.which("kcat")) is None:
        pytest.skip("skipped: no kcat (apt install kcat), so the console client is not tested")
    subprocess.run(
        [kcat, "-P", "-b", journey.running.kafka.servers, "-t", "events"],
        input=b'{"id": "console-1", "text": "Open on Sunday?"}\n{"id": "console-2", "text": "thanks"}\n',
        check=True,
        timeout=60,
    )
    found = journey.outcomes({"console-1", "console-2"})
    assert (found["console-1"][0].state, found["console-2"][0].state) == ("answered", "ignored")


def test_the_key_shows_nowhere(journey: Journey) -> None:
    logs = b"".join(path.read_bytes() for path in (journey.running.settings.data_dir / "logs").glob("*.log"))
    rows = journey.query("SELECT * FROM calls WHERE provider = 'anthropic'")
    assert rows
    assert b"planted-key" not in logs
    assert "planted-key" not in repr(rows)


def read(journey: Journey, offset: int) -> KafkaRecord:
    """The record at an offset of the first partition of the events."""
    tail = TopicReader(journey.running.kafka, ["events"], {("events", 0): offset}, only_started=True)
    try:
        return next(record for record in tail.to_end() if record.offset == offset)
    finally:
        tail.close()


def test_an_event_with_strange_headers_ends_like_any_other(journey: Journey) -> None:
    """A header's name may be any bytes, and there may be any number of headers."""
    strange: Headers = [("escalon-event-id", b"strange"), (b"\xff\xfe", b"1"), (b"caf\xe9", b"")]
    first = publish_strange(journey.running.kafka, "events", (b"When are you open?", strange), (b"\xff", strange[1:]))
    flood: Headers = [("escalon-event-id", b"flood"), *[("", b"")] * 50_000, ("tracestate", b"v" * 5_000)]
    publish_strange(journey.running.kafka, "events", (b"\xff" * 60_000, flood))
    publish_strange(journey.running.kafka, "events", (b"ok", [("escalon-event-id", b"behind")]))
    found = journey.outcomes({"strange", "behind"})
    assert [found[one][0].state for one in ("strange", "behind")] == ["answered", "ignored"]
    cluster = describe_cluster(journey.running.kafka).cluster_id
    unreadable = derived_event_id(read(journey, first + 1), cluster)
    letters = journey.dead_letters({"flood", unreadable})
    assert letters[unreadable][0].headers == (), "names that are not UTF-8 are left out"
    assert "of its headers are left out" in letters["flood"][0].detail
