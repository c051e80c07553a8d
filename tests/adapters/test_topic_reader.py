"""Topics are read with any content, on a real broker."""

from __future__ import annotations

import pytest

from streams.adapters.kafka import KafkaConfig
from streams.adapters.kafka_admin import create_topics
from streams.adapters.topic_reader import TopicReader
from tests.harness.fakes.strange_headers import Headers, publish

pytestmark = pytest.mark.embedded


def test_a_header_whose_name_is_not_utf_8_is_left_out_and_all_else_is_read(kafka: KafkaConfig) -> None:
    create_topics(kafka, "", 1, 1)
    strange: Headers = [("escalon-event-id", b"mail-7"), (b"\xff\xfe", b"1"), ("(<NULL>, ", b"2")]
    publish(kafka, "events", (b"first", []), (b"strange", strange), (None, [(b"\xff", b"")]), (b"last", [("a", b"1")]))
    tail = TopicReader(kafka, ["events"])
    try:
        found = list(tail.to_end())
    finally:
        tail.close()
    assert [record.value for record in found] == [b"first", b"strange", None, b"last"]
    assert found[1].headers == [("escalon-event-id", b"mail-7"), ("(<NULL>, ", b"2")]
    assert [found[0].headers, found[2].headers, found[3].headers] == [[], [], [("a", b"1")]]


def test_batches_of_any_size_are_read_to_their_ends(kafka: KafkaConfig) -> None:
    """The in-memory broker counts few records of a batch, so its end is found by reading on."""
    create_topics(kafka, "batches.", 4, 1)
    publish(kafka, "batches.events", *((b"%d" % number, []) for number in range(2_000)))
    with TopicReader(kafka, ["batches.events"]) as tail:
        assert sorted(int(record.value or b"") for record in tail.to_end()) == list(range(2_000))
