"""A pipeline that redacts, and a person who is erased from it. The same passes with "kafka" among the params."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from streams.adapters.blobs import BlobStore
from streams.adapters.codec import Codec
from streams.adapters.topic_reader import TopicReader
from streams.core.messages import Outcome
from streams.core.tables import SETTLED
from streams.embedded.local_pipeline import RunningPipeline
from streams.sink.erasure_sweeper import ErasureSweeper
from tests.harness.commands import Done, in_shop
from tests.harness.journey import WAIT_SECONDS, Journey, running_journey
from tests.harness.pictures import picture
from tests.harness.progress import wait_for_sink

pytestmark = pytest.mark.embedded

ANNA = "anna-77"
EMAIL = "anna@x.org"
TEXT = f"Where is my order? Write to {EMAIL}."
FUNCTIONS = """
from streams import Answer


def answer(task):
    return Answer({"reply": f"You said: {task.text}"}, 0.9)


def upper(text):
    return text.replace("order", "ORDER")
"""
PIPELINE = """
name = "privacy"

[redaction]
function = "privacy_functions:upper"

[listeners.seen]
kind = "image-duplicate"

[listeners.words]
kind = "rules"
applies_to = ["text"]
[listeners.words.rules]
question = ['\\?']

[routes]
question = "workers.answer"
unsure = "ignore"

[workers.answer]
handler = "privacy_functions:answer"
inputs = ["text"]
"""
EVENTS = {"anna-1", "anna-2", "anna-photo", "bob-1", "bob-photo"}
TABLES = ("calls", "outcomes", "verdicts", "dead_letters", "labels")


@dataclass(frozen=True)
class Private:
    """The pipeline after some events, and the command."""

    journey: Journey
    running: RunningPipeline

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """The audit's answer."""
        return self.journey.query(sql)

    def counts(self) -> dict[str, int]:
        """Rows of each table."""
        return {table: self.rows(f"SELECT count() AS n FROM {table}")[0]["n"] for table in TABLES}

    def restart(self, *tiers: str) -> None:
        """Stop some tiers cleanly and start them again."""
        self.running.supervisor.stop(*(self.running.processes[tier] for tier in tiers))
        self.running.start_all(tiers)

    def latest(self, topic: str) -> dict[bytes, bytes]:
        """The last values on a compacted topic, without those that were deleted."""
        tail, found = TopicReader(self.running.kafka, [topic]), dict[bytes, bytes]()
        try:
            for record in tail.to_end():
                found.pop(record.key or b"", None)
                if record.value:
                    found[record.key or b""] = record.value
        finally:
            tail.close()
        return found


@pytest.fixture(scope="module", params=["tansu"])
def private(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Private]:
    home = request.getfixturevalue("kafka_home") if request.param == "kafka" else None
    data = tmp_path_factory.mktemp(f"private-{request.param}")
    (data / "privacy_functions.py").write_text(FUNCTIONS, "utf-8")
    (data / "pipeline.toml").write_text(PIPELINE, "utf-8")
    more = {"ESCALON_PARTITIONS": "2", "ESCALON_TOPIC_RETENTION_DAYS": "14"}
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(str(data))
        with running_journey(data / "pipeline.toml", data, home, environment=more) as journey:
            made = Private(journey, journey.running)
            published(made)
            yield made


def published(made: Private) -> None:
    with made.journey.publisher() as publisher:
        publisher.publish(TEXT, id="anna-1", data_subject=ANNA)
        publisher.publish(TEXT + " Again?", id="anna-2", data_subject=ANNA)
        publisher.publish(id="anna-photo", image=picture(1), data_subject=ANNA)
        publisher.publish("Where is mine?", id="bob-1", data_subject="bob")
        publisher.publish(id="bob-photo", image=picture(7), data_subject="bob")
        publisher.label("anna-1", {"reply": f"to {EMAIL}"})
    broken = json.dumps({"text": f"\x00 {EMAIL}", "id": "anna-broken"}).encode()
    producer = Producer(made.running.kafka.confluent())
    producer.produce("events", broken, headers={"escalon-data-subject": ANNA})
    producer.flush()
    made.journey.outcomes(EVENTS)
    expected = {"calls": 8, "outcomes": 5, "verdicts": 5, "dead_letters": 1, "labels": 1}
    deadline = time.monotonic() + WAIT_SECONDS
    while made.counts() != expected and time.monotonic() < deadline:
        time.sleep(0.3)
    assert made.counts() == expected


def everything(made: Private) -> str:
    """All that the audit's tables hold, also in rows that were replaced."""
    return "\n".join(str(made.rows(f"SELECT * FROM {table}_rows")) for table in TABLES)


def escalon(made: Private, capsys: pytest.CaptureFixture[str], *arguments: str) -> Done:
    directory = made.running.settings.data_dir
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("ESCALON_KAFKA", made.running.kafka.servers)
        with in_shop(directory, made.running.clickhouse, patched, capsys) as command:
            return command(*arguments)


def test_the_audit_is_redacted_and_the_outcome_is_true(private: Private) -> None:
    assert EMAIL not in everything(private)
    assert private.running.settings.clickhouse is not None
    outcome = private.journey.outcomes({"anna-1"})["anna-1"][0]
    assert json.loads(outcome.answer or "") == {"reply": f"You said: {TEXT}"}
    (row,) = private.rows("SELECT response, prompt, redaction FROM calls WHERE event_id = 'anna-1' AND tier = 'worker'")
    assert json.loads(row["response"]) == {"reply": "You said: Where is my ORDER? Write to [email]."}
    policies = "SELECT DISTINCT redaction FROM {}"
    stamps = [private.rows(policies.format(table)) for table in TABLES if table != "labels"]
    assert stamps == [[{"redaction": row["redaction"]}]] * 4
    assert str(row["redaction"]).startswith("redaction-")


def test_topics_keep_messages_as_long_as_is_asked(private: Private) -> None:
    asked = ConfigResource(ResourceType.TOPIC, "calls")
    admin = AdminClient(private.running.kafka.confluent())
    (answer,) = admin.describe_configs([asked]).values()
    assert answer.result(10)["retention.ms"].value == str(14 * 86_400_000)


def test_a_person_is_erased_everywhere_and_the_counts_stay(
    private: Private, capsys: pytest.CaptureFixture[str]
) -> None:
    before, cost = private.counts(), private.rows("SELECT sum(cost_usd) AS usd FROM calls")
    (photo,) = private.rows("SELECT image FROM verdicts WHERE event_id = 'anna-photo'")
    kept = private.rows("SELECT * FROM calls WHERE event_id LIKE 'bob%' ORDER BY call_id")
    blobs = private.running.settings.data_dir / "blobs"
    assert (blobs / photo["image"][:2] / photo["image"]).exists()

    looked = escalon(private, capsys, "erase", "--subject", ANNA, "--dry-run", "--json")
    counted = json.loads(looked.stdout)
    assert (counted["events"], counted["calls"], counted["dead_letters"], counted["labels"]) == (4, 5, 1, 1)
    assert (counted["answers"], counted["settled"], counted["images"], counted["blobs"]) == (2, 3, 1, 1)
    done = escalon(private, capsys, "erase", "--subject", ANNA, "--yes")
    assert done.code == 0, done.err
    assert "Restart listen, settle, work" in done.out

    assert (private.counts(), private.rows("SELECT sum(cost_usd) AS usd FROM calls")) == (before, cost)
    assert "Write to" not in everything(private)
    assert "[email]" not in everything(private)
    assert private.rows("SELECT * FROM calls WHERE event_id LIKE 'bob%' ORDER BY call_id") == kept
    assert not (blobs / photo["image"][:2] / photo["image"]).exists()
    assert len(list(blobs.rglob("*"))) >= 2
    (row,) = private.rows("SELECT * FROM erasures")
    assert (row["selected_by"], row["events"], row["calls"], row["blobs"]) == ("subject", 4, 5, 1)
    assert ANNA not in str(row)
    again = escalon(private, capsys, "erase", "--subject", ANNA, "--yes")
    assert (again.code, "there is no such event" in again.err) == (2, True)


def test_after_a_restart_the_tiers_have_forgotten_too(private: Private) -> None:
    private.restart("listen", "work")
    with private.journey.publisher() as publisher:
        publisher.publish(TEXT, id="carl-1")
        publisher.publish("Where is mine?", id="carl-2")
        publisher.publish(id="carl-photo", image=picture(1))
        publisher.publish(id="carl-photo-2", image=picture(7))
    outcomes = private.journey.outcomes({"carl-1", "carl-2", "carl-photo", "carl-photo-2"})
    assert outcomes["carl-photo"][0].state == "ignored"  # the erased image is not remembered
    assert outcomes["carl-photo-2"][0].duplicate_of == "bob-photo"
    found = private.journey.query(
        "SELECT event_id, cache_hit FROM calls WHERE event_id IN ('carl-1', 'carl-2') AND tier = 'worker' ORDER BY 1",
        lambda rows: len(rows) == 2,
    )
    assert [row["cache_hit"] for row in found] == [False, True]


def test_that_an_erased_event_has_ended_is_still_known_without_its_answer(private: Private) -> None:
    settled = private.latest("escalon-settle-settled-changelog")
    outcome = Codec().decode(Outcome, settled[b"live\x00anna-1"][SETTLED.head.size :])
    assert (outcome.state, outcome.answer, outcome.origin.data_subject) == ("answered", None, None)
    assert json.loads(Codec().decode(Outcome, settled[b"live\x00bob-1"][SETTLED.head.size :]).answer or "")


def test_what_comes_back_is_gone_again_after_a_sweep(private: Private) -> None:
    private.journey.query("SELECT count() AS n FROM outcomes", lambda rows: rows[0]["n"] == len(EVENTS) + 4)
    before = private.counts()
    tail = TopicReader(private.running.kafka, ["calls", "outcomes", "verdicts"])
    producer = Producer(private.running.kafka.confluent())
    for record in list(tail.to_end()):
        producer.produce(record.topic, record.value, key=record.key)
    producer.flush()
    tail.close()
    held = "SELECT count() AS n FROM calls WHERE event_id LIKE 'anna%' AND prompt != ''"
    assert private.journey.query(held, lambda rows: rows[0]["n"] > 0)[0]["n"] > 0
    running = private.running
    wait_for_sink(running.kafka)
    blobs = BlobStore(running.settings.blobs)
    ErasureSweeper(clickhouse=running.clickhouse, blobs=blobs, stop=threading.Event()).once()
    assert private.rows(held)[0]["n"] == 0
    assert "Write to" not in str(private.rows("SELECT * FROM calls_rows WHERE event_id LIKE 'anna%'"))
    assert private.counts() == before
