"""Events of other producers, on escalon's own topic and on the user's: each ends once, and none is a dead letter."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from streams.adapters.codec_factory import codec_for
from streams.adapters.topic_reader import TopicReader
from streams.core.messages import Outcome
from tests.harness.fetched import UnavailableError
from tests.harness.producers import Record, cloud_events, console, franz_go, kafkajs, kcat
from tests.harness.tiers.running import Tiers, tiers, wait_until

pytestmark = pytest.mark.ecosystem

PIPELINE: Final = """
name = "shop"

[[source]]
topics = ["shop.notes"]

[[source]]
topics = ["shop.cloud"]
format = "cloudevents"
text = "/data/text"

[[source]]
topics = ["shop.changes"]
format = "debezium"
text = "/after/body"

[listeners.all]
kind = "rules"

[listeners.all.rules]
nothing = ["."]

[routes]
nothing = "ignore"
unsure = "ignore"
"""
TOPICS: Final = ("events", "shop.notes")
NOT_HAD: Final = "NOT TESTED WITH ANOTHER PRODUCER"
Publish = Callable[[str, str, str, Sequence[Record]], None]


@pytest.fixture(scope="module")
def shop(kafka_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tiers]:
    """LISTEN and SETTLE, and topics of the user's own."""
    data = tmp_path_factory.mktemp("producers")
    file = data / "pipeline.toml"
    file.write_text(PIPELINE, "utf-8")
    with tiers(kafka_home, data, ESCALON_PIPELINE=str(file)) as running:
        admin = AdminClient(running.kafka.confluent())
        topics = [NewTopic(name, 2, 1) for name in ("shop.notes", "shop.cloud", "shop.changes")]
        for made in admin.create_topics(topics).values():
            made.result(30)
        running.start("listen", "settle")
        running.wait_ready("listen", "settle")
        yield running


def notes(name: str, count: int) -> list[Record]:
    """Half of them with a key, and half with their id in a header."""
    made = []
    for number in range(count):
        one, text = f"{name}-{number}", f"When are you open, {number}? Grüße 🎉"
        if number % 2:
            made.append(Record(json.dumps({"text": text}), None, {"escalon-event-id": one}))
        else:
            made.append(Record(json.dumps({"id": one, "text": text}, ensure_ascii=False), one, {"shop": "north"}))
    return made


def outcomes(shop: Tiers) -> Counter[str]:
    """Return the number of outcomes so far, by event."""
    codec = codec_for(None)
    with TopicReader(shop.kafka, ["outcomes"]) as reader:
        return Counter(codec.decode(Outcome, one.value or b"").origin.event_id for one in reader.to_end())


def ended_once(shop: Tiers, ids: set[str]) -> None:
    """Wait for the outcomes: one of each event, and no dead letter."""
    wait_until(lambda: ids <= outcomes(shop).keys() or bool(shop.dead_letters()), f"the outcomes of {len(ids)} events")
    assert shop.dead_letters() == []
    found = outcomes(shop)
    assert {one: found[one] for one in ids if found[one] != 1} == {}


def published(publish: Callable[[], None]) -> None:
    """Publish, or skip the test with the reason."""
    try:
        publish()
    except UnavailableError as error:
        pytest.skip(f"{NOT_HAD}: {error}")


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize(
    ("producer", "compression"),
    [
        ("kcat", "zstd"),
        ("kcat", "none"),
        ("console", "lz4"),
        ("kafkajs", "gzip"),
        ("franz-go", "zstd"),
        ("franz-go", "snappy"),
    ],
)
def test_every_event_of_a_producer_ends_once(
    shop: Tiers, kafka_home: Path, producer: str, compression: str, topic: str
) -> None:
    def from_console(servers: str, topic: str, compression: str, records: Sequence[Record]) -> None:
        console(servers, topic, compression, records, kafka_home)

    known: dict[str, Publish] = {"kcat": kcat, "console": from_console, "kafkajs": kafkajs, "franz-go": franz_go}
    name, count = f"{producer}-{compression}-{topic}", 10 if producer == "kcat" else 200
    published(lambda: known[producer](shop.kafka.servers, topic, compression, notes(name, count)))
    ended_once(shop, {f"{name}-{number}" for number in range(count)})


@pytest.mark.parametrize("topic", TOPICS)
def test_of_1000_events_in_transactions_the_700_that_were_committed_end(shop: Tiers, topic: str) -> None:
    """Ten transactions of 100, of which three are aborted."""
    name = f"transaction-{topic}"
    records = [
        Record(json.dumps({"id": f"{name}-{number}", "text": "open?"}), aborted=number // 100 in (2, 5, 8))
        for number in range(1000)
    ]
    published(lambda: franz_go(shop.kafka.servers, topic, "lz4", records, batch=100))
    committed = {f"{name}-{number}" for number in range(1000) if not records[number].aborted}
    assert len(committed) == 700
    ended_once(shop, committed)
    franz_go(shop.kafka.servers, topic, "none", [Record(json.dumps({"id": f"{name}-last", "text": "open?"}))])
    ended_once(shop, {f"{name}-last"})
    assert {one for one in outcomes(shop) if one.startswith(f"{name}-")} == committed | {f"{name}-last"}


@pytest.mark.parametrize("topic", ["events", "shop.cloud"])
@pytest.mark.parametrize("mode", ["structured", "binary"])
def test_cloudevents_of_the_projects_own_sdk_are_named_by_source_and_id(shop: Tiers, mode: str, topic: str) -> None:
    source = f"/{topic}/{mode}"
    published(lambda: franz_go(shop.kafka.servers, topic, "none", cloud_events(mode, 20, source)))
    ended_once(shop, {f"{source} {number}" for number in range(20)})


def test_each_change_of_a_row_by_debezium_is_an_event_and_the_same_change_again_is_none(shop: Tiers) -> None:
    changes = [change(number) for number in range(3)]
    published(lambda: franz_go(shop.kafka.servers, "shop.changes", "none", [*changes, changes[1]]))
    last = Record(json.dumps({"id": "after-the-changes", "text": "open?"}))
    franz_go(shop.kafka.servers, "shop.notes", "none", [last])
    ended_once(shop, {"after-the-changes"})
    wait_until(lambda: len(changed(shop)) >= len(changes), "the outcomes of the changes")
    ended_once(shop, changed(shop))
    assert len(changed(shop)) == len(changes)


def changed(shop: Tiers) -> set[str]:
    return {one for one in outcomes(shop) if one.startswith("shop.changes ")}


def change(number: int) -> Record:
    """One change of the same row, in the envelope of Debezium's connector for PostgreSQL."""
    source = {
        "version": "3.2.0.Final", "connector": "postgresql", "name": "shop", "ts_ms": 1_790_000_000_000 + number,
        "snapshot": "false", "db": "shop", "schema": "public", "table": "tickets", "txId": 700 + number,
        "lsn": 24_000_000 + 8 * number,
    }  # fmt: skip
    row = {"id": 7, "body": f"When are you open, for the {number}. time?"}
    payload = {"before": {"id": 7} if number else None, "after": row, "source": source, "op": "u" if number else "c",
               "ts_ms": 1_790_000_000_500 + number}  # fmt: skip
    schema = {"type": "struct", "fields": [], "optional": False, "name": "shop.public.tickets.Envelope"}
    return Record(
        json.dumps({"schema": schema, "payload": payload}),
        json.dumps({"schema": {"type": "struct", "fields": [], "optional": False}, "payload": {"id": 7}}),
    )
