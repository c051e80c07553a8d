"""Cost and saving of each compression of produced messages: CPU time of producer, broker and consumer, bytes on disk.

The messages are what an answered event of the demo's support desk leaves behind: the event, verdict, result, outcome
and the two calls, whose worker's prompt holds the knowledge base. They come as a backlog, which fills batches, or one
event at a time, which does not.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.resources import files
from itertools import count
from pathlib import Path
from typing import Final

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from bench.measure import Options, Ratio, Result, cpu_seconds, interleave
from streams.adapters.codec import Codec
from streams.adapters.kafka import COMPRESSIONS, KafkaConfig
from streams.adapters.topic_reader import TopicReader
from streams.core.messages import RawEvent
from streams.embedded.broker import ApacheKafka
from streams.embedded.kafka_install import install
from streams.embedded.supervisor import Supervisor
from streams.packaged_files import resource
from tests.builders import call, event, outcome, verdict

EVENTS: Final = 4000
PAUSE: Final = 0.01
"""Seconds between two events that come one at a time."""
STEADY_SHARE: Final = 8
CPU, BROKER, READ, DISK = "producer us/message", "broker us/message", "consumer us/message", "disk bytes/message"


def messages(events: int) -> list[bytes]:
    """Return the messages of some answered events, in the order in which they are produced."""
    codec, pack = Codec(), files("streams.demo") / "pack"
    knowledge = (pack / "knowledge.md").read_text("utf-8")
    rows = map(json.loads, (pack / "events.jsonl").read_text("utf-8").splitlines())
    texts = [one["text"] for one in rows if one.get("text")]
    prompt = "You answer customers of an outdoor shop, and only from what follows.\n" + knowledge
    found: list[bytes] = []
    for number in range(events):
        text = f"{texts[number % len(texts)]} (order {7919 * number % 100_000})"
        one = event(f"mail-{number}", text)
        asked = json.dumps({"system": prompt, "messages": [{"role": "user", "content": f"<event>{text}</event>"}]})
        said = json.dumps({"answer": {"reply": f"Your parcel {7919 * number % 100_000} leaves us today."}})
        calls = (call(one, "words", "listener"), call(one, prompt=asked, response=said))
        found += map(codec.encode, (RawEvent(id=f"mail-{number}", text=text), verdict(one), *calls, outcome(one)))
    return found


@dataclass(frozen=True, slots=True)
class Produced:
    """The messages on a topic of their own each time, with one compression."""

    kafka: KafkaConfig
    pid: int
    logs: Path
    values: list[bytes]
    pause: float
    numbers: Iterator[int] = field(default_factory=count)

    def __call__(self) -> Mapping[str, float]:
        topic = f"{self.kafka.compression}-{len(self.values)}-{next(self.numbers)}"
        admin = AdminClient(self.kafka.confluent())  # kept until its answer has come
        admin.create_topics([NewTopic(topic, 4)])[topic].result(30)
        settings = {"linger.ms": 1, "batch.size": 16_384, "acks": "all", "enable.idempotence": True}
        producer, broker, began = Producer(self.kafka.producer(**settings)), cpu_seconds(self.pid), time.process_time()
        for number, value in enumerate(self.values):
            producer.produce(topic, value, key=str(number))
            producer.poll(0)
            if self.pause and number % 5 == 4:
                time.sleep(self.pause)
        producer.flush()
        spent = time.process_time() - began
        began = time.process_time()
        with TopicReader(self.kafka, [topic]) as reader:
            assert sum(1 for _ in reader.to_end()) == len(self.values)
        read = time.process_time() - began
        on_disk = sum(one.stat().st_size for one in self.logs.rglob(f"{topic}-*/*.log"))
        found = {CPU: spent, BROKER: cpu_seconds(self.pid) - broker, READ: read}
        return {name: 1e6 * value / len(self.values) for name, value in found.items()} | {
            DISK: on_disk / len(self.values)
        }


def run(options: Options) -> Result:
    """Produce and read the messages with each compression in turns."""
    events = options.size(EVENTS, 200)
    with ExitStack() as opened:
        directory = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        home = options.kafka_home or install(Path.home() / ".cache" / "escalon", print, resource("kafka"))
        supervisor = opened.enter_context(Supervisor(directory / "logs"))
        broker = ApacheKafka(home, resource("kafka"), directory / "data")
        servers, pid = broker.start(supervisor), next(iter(supervisor.pids().values()))
        cases = {}
        for way, number, pause in (("backlog", events, 0.0), ("steady", events // STEADY_SHARE, PAUSE)):
            values = messages(number)
            for one in COMPRESSIONS:
                kafka = KafkaConfig(servers=servers, compression=one)
                cases[f"{one}, {way}"] = Produced(kafka, pid, directory / "data", values, pause)
        for case in cases.values():
            case()  # warm up
        rounds = interleave(cases, options.rounds_or(5))
    ratios = []
    for way in ("backlog", "steady"):
        plain = f"none, {way}"
        for one in COMPRESSIONS[1:]:
            for name in (CPU, BROKER, READ, DISK):
                pairs = zip(rounds.taken[f"{one}, {way}", name], rounds.taken[plain, name], strict=True)
                what = f"{one} / none, {way}, {name.rsplit(' ', 1)[0]}"
                ratios.append(Ratio(what, tuple(by / without for by, without in pairs)))
    return Result("compression", ratios, rounds.figures())
