"""Any message for any topic is read, or unreadable with a reason, by everything that reads it; and nothing else."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

import pytest

from bench.fuzz_messages import SHARES, Fuzzed, Fuzzer
from streams.adapters.clickhouse import TABLES, row_of
from streams.adapters.codec import Codec
from streams.adapters.dead_letters import DeadLetters, EventIds
from streams.adapters.event_reader import EventReader
from streams.adapters.ground_truth import TRUTHS, read_ground_truth
from streams.adapters.kafka_record import KafkaRecord
from streams.audit.dead_letters.table import ENDING
from streams.audit.verify.message_identity import IdentityReader
from streams.core.errors import UnreadableError
from streams.core.messages import Call
from streams.core.topics import BY_NAME
from streams.models.listeners.image import perceptual_hash
from streams.sink.avro_forwarding import AvroRowLayout

CODEC = Codec()
READER = EventReader(CODEC, "cluster", "live", 900_000)
IDS = EventIds(READER, CODEC, "")
LETTERS = DeadLetters(run="live", cluster_id="cluster", keep_whole=lambda _: "sha", event_id=IDS)
AT = datetime(2026, 11, 1, tzinfo=UTC)
MESSAGES = 2500


def fuzzed(seed: int) -> list[Fuzzed]:
    fuzzer = Fuzzer(seed, lambda data: hashlib.sha256(data).hexdigest())
    return [fuzzer.message() for _ in range(MESSAGES)]


@pytest.fixture(scope="module")
def messages() -> list[Fuzzed]:
    return fuzzed(11)


def record(one: Fuzzed) -> KafkaRecord:
    return KafkaRecord(one.topic, 0, 7, one.key, one.value, AT, one.readable_headers)


def read(one: Fuzzed) -> Any:
    """Decode a record in the way of the tiers."""
    kind = BY_NAME[one.topic].message
    if one.topic == "events":
        return READER(record(one))
    return read_ground_truth(kind, record(one), CODEC) if kind in TRUTHS else CODEC.decode(kind, one.value)


def test_the_same_seed_gives_the_same_messages_and_another_one_others() -> None:
    assert [one.value for one in fuzzed(3)[:200]] == [one.value for one in fuzzed(3)[:200]]
    assert [one.value for one in fuzzed(3)[:200]] != [one.value for one in fuzzed(4)[:200]]


def test_every_message_is_read_or_has_a_reason_and_its_letter_fits_into_a_message(messages: list[Fuzzed]) -> None:
    seen = {topic: [0, 0] for topic in SHARES}
    for one in messages:
        try:
            read(one)
            seen[one.topic][0] += 1
        except UnreadableError as error:
            seen[one.topic][1] += 1
            assert error.reason  # noqa: PT017  either way is right
            letter = LETTERS.letter(record(one), error)
            assert len(CODEC.encode(letter)) < 300_000
            assert letter.detail
            assert 0 < len(letter.event_id) <= 200
    assert all(good and bad for good, bad in seen.values()), f"a topic saw one kind only: {seen}"


def test_verify_and_the_sink_read_the_same_messages_without_stumbling(messages: list[Fuzzed]) -> None:
    identify, form = IdentityReader(CODEC), AvroRowLayout(Call, CODEC)
    for one in messages:
        kind = BY_NAME[one.topic].message
        if kind not in TABLES:
            assert one.topic in ENDING
            continue
        try:
            identify(kind, _Message(one))
        except UnreadableError as error:
            assert error.reason  # noqa: PT017  either way is right
        if kind is Call and one.value:
            form.body(one.value)
        try:
            row_of(read(one))
        except UnreadableError as error:
            assert error.reason  # noqa: PT017  either way is right


class _Message:
    """A record of confluent-kafka."""

    def __init__(self, one: Fuzzed) -> None:
        self.value = lambda: one.value
        self.topic = lambda: one.topic
        self.partition = lambda: 0
        self.offset = lambda: 7
        self.key = lambda: one.key
        self.timestamp = lambda: (1, 1_764_000_000_000)
        self.headers = lambda: one.readable_headers


def test_every_image_is_hashed_or_has_a_reason() -> None:
    images: list[bytes] = []
    fuzzer = Fuzzer(5, lambda data: images.append(data) or "sha")  # type: ignore[func-returns-value]
    while len(images) < 150:
        fuzzer.message()
    reasons = set()
    for image in images:
        try:
            assert 0 <= perceptual_hash(image) < 2**64
        except UnreadableError as error:
            reasons.add(error.reason)
    assert reasons == {"not_an_image", "image_too_large"}
