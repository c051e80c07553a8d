"""Fuzzed messages through a whole pipeline: each must be a dead letter with a reason, or rightly accepted.

    python -m bench.fuzz [--messages 10000] [--seed 1] [--kafka-home DIR] [--json]

The pipeline is that of tests/journey, with Claude's place taken by the fake API. Messages for every topic come from
bench/fuzz_messages.py. Behind them a last unreadable message goes to each partition; once all of those are
dead letters, everything before them has been looked at. A message counts as accepted if it has no dead letter and can
be decoded apart from the pipeline, and one on the topic events only if its event has an outcome as well. A process that
ended, a message that is neither, and a dead letter without a reason are failures: exit code 1. What cannot be read
on the topic dead-letters itself makes no further letter: it stays there, and is counted apart.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from confluent_kafka import Producer

from bench.fuzz_messages import Fuzzed, Fuzzer
from streams.adapters.blobs import BlobStore
from streams.adapters.codec import Codec
from streams.adapters.dead_letters import EventIds
from streams.adapters.event_reader import EventReader
from streams.adapters.ground_truth import TRUTHS, read_ground_truth
from streams.adapters.kafka_admin import describe_cluster
from streams.adapters.topic_reader import TopicReader
from streams.app.settings import read_settings
from streams.core.errors import UnreadableError
from streams.core.messages import DeadLetter, Outcome
from streams.core.topics import BY_NAME, TOPICS
from streams.embedded.local_pipeline import RunningPipeline, running_pipeline
from streams.pipeline.load import load_pipeline
from tests.harness.fakes.strange_headers import Wire, publish_batches
from tests.harness.journey import PIPELINE, FakeClaude

LAST = b"\xff the last one"
UNREAD = ("dead-letters", "reservations", "deferred-batch")
"""The topics whose unreadable messages no tier of this pipeline turns into a dead letter: `escalon ui` alone reads
reservations, and BATCH does not run without a handler that has `batch`."""
STILL_SECONDS, WAIT_SECONDS = 10.0, 60.0
Place = tuple[str, int, int]


@dataclass(slots=True)
class Report:
    """The ends of the messages."""

    messages: int
    seed: int
    seconds: float = 0.0
    dead_letters: int = 0
    accepted: int = 0
    left: int = 0
    """Unreadable, on the topic dead-letters itself."""
    by_topic: dict[str, dict[str, int]] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    defects: list[str] = field(default_factory=list)
    """Details of the unexpected dead letters."""
    neither: list[str] = field(default_factory=list)
    without_reason: int = 0
    processes: str = "all alive"

    @property
    def failed(self) -> bool:
        """True if any message did not end as it must."""
        return bool(self.neither or self.without_reason or self.processes != "all alive")


@contextmanager
def pipeline(directory: Path, kafka_home: Path | None) -> Iterator[RunningPipeline]:
    """The pipeline of the journey."""
    environment = {
        "ESCALON_DATA": str(directory), "ESCALON_CACHE": str(directory / "cache"), "KAFKA_HOME": str(kafka_home or ""),
        "ESCALON_PARTITIONS": "2", "ESCALON_DEAD_LETTER_RUN": "0", "ESCALON_DEAD_LETTER_PERCENT": "0",
        "ANTHROPIC_API_KEY": "none", "ESCALON_ALLOW_PYTHON": "1",
    }  # fmt: skip
    with FakeClaude() as claude:
        environment["ANTHROPIC_BASE_URL"] = claude.server.url
        with ExitStack() as open_:
            open_.enter_context(patch.dict(os.environ, environment))
            settings = read_settings()
            loaded = load_pipeline(PIPELINE / "pipeline.toml", settings.python)
            yield open_.enter_context(running_pipeline(settings, loaded))


def run(running: RunningPipeline, messages: int, seed: int, tell: Callable[[str], None] = lambda _: None) -> Report:
    """Publish the messages and count what becomes of them."""
    started, report = time.monotonic(), Report(messages, seed)
    published = _publish(running, messages, Fuzzer(seed, BlobStore(running.settings.blobs).put))
    tell(f"{messages} messages published")
    last = _publish_last(running)
    letters = _letters(running, set(last), published.keys(), tell)
    tell("the last ones are dead letters; waiting for outcomes")
    ended = _outcomes(running)
    try:
        running.supervisor.check()
    except Exception as error:
        report.processes = str(error)
    judge = _Judge(running, letters, ended)
    for place, one in published.items():
        _count(report, place, one, judge)
    ours = [letters[place] for place in (*published, *last) if place in letters]
    report.without_reason = sum(not (letter.reason and letter.detail) for letter in ours)
    report.seconds = round(time.monotonic() - started, 1)
    return report


def _publish(running: RunningPipeline, messages: int, fuzzer: Fuzzer) -> dict[Place, Fuzzed]:
    settings = {"enable.idempotence": False, "message.max.bytes": 2_000_000, "queue.buffering.max.kbytes": 1 << 20}
    producer, published, failures = Producer(running.kafka.confluent(**settings)), {}, []

    def delivered(error: Any, message: Any, one: Fuzzed) -> None:
        if error is not None:
            failures.append(error.str())
        else:
            published[message.topic(), message.partition(), message.offset()] = one

    fuzzed = [fuzzer.message() for _ in range(messages)]
    for one in (one for one in fuzzed if not one.odd_names):
        more = {} if one.timestamp is None else {"timestamp": one.timestamp}
        producer.produce(
            one.topic, one.value, key=one.key, headers=one.headers,
            on_delivery=lambda error, message, one=one: delivered(error, message, one), **more,
        )  # fmt: skip
        producer.poll(0)
    assert producer.flush(120) == 0
    assert not failures, failures[:3]
    odd, partitions = [one for one in fuzzed if one.odd_names], describe_cluster(running.kafka).partitions
    places = publish_batches(
        running.kafka,
        [
            (one.topic, number % partitions[one.topic], [Wire(one.value, one.headers, one.key, one.timestamp)])
            for number, one in enumerate(odd)
        ],
    )
    return published | dict(zip(places, odd, strict=True))


def _publish_last(running: RunningPipeline) -> list[Place]:
    producer, places = Producer(running.kafka.confluent(**{"enable.idempotence": False})), []
    partitions = describe_cluster(running.kafka).partitions
    for spec in (one for one in TOPICS if one.name not in UNREAD):
        for number in range(partitions[spec.name]):
            producer.produce(
                spec.name, LAST, partition=number,
                on_delivery=lambda _, message: places.append((message.topic(), message.partition(), message.offset())),
            )  # fmt: skip
    assert producer.flush(60) == 0
    return places


def _letters(
    running: RunningPipeline, until: set[Place], published: Set[Place], tell: Callable[[str], None]
) -> dict[Place, DeadLetter]:
    """The dead letters that are not among what was published, by the place of the record they are about, once those of
    the last records are there."""
    tail, codec, found = TopicReader(running.kafka, ["dead-letters"]), Codec(), dict[Place, DeadLetter]()
    deadline, told = time.monotonic() + WAIT_SECONDS, 0.0
    still = time.monotonic()
    try:
        while time.monotonic() < deadline and (until - found.keys() or time.monotonic() - still < STILL_SECONDS):
            for record in tail.batch(0.5):
                still, deadline = time.monotonic(), time.monotonic() + WAIT_SECONDS
                if (record.topic, record.partition, record.offset) in published:
                    continue
                letter = codec.decode(DeadLetter, record.value or b"")
                found[letter.topic, letter.partition, letter.offset] = letter
            if time.monotonic() - told > 10:
                told = time.monotonic()
                tell(f"{len(found)} dead letters, {len(until - found.keys())} of the last ones to come")
    finally:
        tail.close()
    assert not until - found.keys(), f"the end of {sorted(until - found.keys())[:4]} never became a dead letter"
    return found


def _outcomes(running: RunningPipeline) -> set[str]:
    """The ids of all events that have an outcome, once no more come."""
    tail, codec, found = TopicReader(running.kafka, ["outcomes"]), Codec(), set[str]()
    still = time.monotonic()
    try:
        while time.monotonic() - still < STILL_SECONDS:
            for record in tail.batch(0.5):
                still = time.monotonic()
                try:
                    found.add(codec.decode(Outcome, record.value or b"").origin.event_id)
                except UnreadableError:
                    continue
    finally:
        tail.close()
    return found


class _Judge:
    """Says of a message without a dead letter whether it was rightly accepted."""

    def __init__(self, running: RunningPipeline, letters: Mapping[Place, DeadLetter], ended: set[str]) -> None:
        cluster, settings = describe_cluster(running.kafka), running.settings
        self.letters, self._ended, self._codec = letters, ended, Codec()
        self._dead = {letter.event_id for letter in letters.values()}
        self._reader = EventReader(self._codec, cluster.cluster_id, settings.run, settings.max_event_bytes)
        self._ids = EventIds(self._reader, self._codec, settings.topic_prefix)
        with closing(TopicReader(running.kafka, sorted(BY_NAME))) as tail:
            self._records = {(one.topic, one.partition, one.offset): one for one in tail.to_end()}

    def fault(self, place: Place, one: Fuzzed) -> str | None:
        """Why not; None when it was."""
        at = self._records[place]
        try:
            kind = BY_NAME[one.topic].message
            if one.topic == "events":
                self._reader(at)
                event = self._ids(at)
                return None if event in self._ended or event in self._dead else "its event came to no end"
            if kind in TRUTHS:
                read_ground_truth(kind, at, self._codec)
            else:
                self._codec.decode(kind, one.value)
        except UnreadableError as error:
            return f"it cannot be read ({error.reason}) and has no dead letter"
        return None


def _count(report: Report, place: Place, one: Fuzzed, judge: _Judge) -> None:
    counts = report.by_topic.setdefault(one.topic, {"dead letters": 0, "accepted": 0})
    letter = judge.letters.get(place)
    if letter is not None:
        report.dead_letters += 1
        counts["dead letters"] += 1
        report.reasons[letter.reason] = report.reasons.get(letter.reason, 0) + 1
        if letter.reason == "defect" and len(report.defects) < 50:
            report.defects.append(f"{one.topic}: {letter.error_class}: {letter.detail[:200]}")
    elif (fault := judge.fault(place, one)) is not None and one.topic == "dead-letters":
        report.left += 1
    elif fault is not None:
        report.neither.append(f"{place}: {fault}: {one.value[:60]!r}")
    else:
        report.accepted += 1
        counts["accepted"] += 1


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kafka-home", type=Path, help="Apache Kafka; without it the broker in memory")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, pipeline(Path(directory), given.kafka_home) as running:
        report = run(running, given.messages, given.seed, lambda line: print(line, file=sys.stderr, flush=True))
    if given.json:
        print(json.dumps(asdict(report)))
    else:
        _show(report)
    return 1 if report.failed else 0


def _show(report: Report) -> None:
    print(f"{report.messages} messages, seed {report.seed}, {report.seconds} s, processes: {report.processes}")
    print(f"dead letters {report.dead_letters}, rightly accepted {report.accepted}, neither {len(report.neither)}")
    print(f"unreadable on the topic dead-letters itself, and left there: {report.left}")
    for topic, counts in sorted(report.by_topic.items()):
        print(f"  {topic:<13} {counts}")
    print("reasons:", dict(Counter(report.reasons).most_common()))
    for line in (*sorted(set(report.defects))[:20], *report.neither[:20]):
        print("  ", line)


if __name__ == "__main__":
    sys.exit(main())
