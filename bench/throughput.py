"""The throughput of each tier alone on a backlog, with 1, 2 and 4 processes, beside bare loops and frameworks.

Every case starts its processes with a backlog in place and is watched from outside: events a second and the CPU time of
an event are those between the first tenth of the output and the last. A bare loop answers each record with the messages
that LISTEN publishes for an event ignored by a rule: as many, with the same values. It does not read them, and its
offsets do not wait for Kafka's confirmation.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import count, islice
from pathlib import Path
from typing import Final

from confluent_kafka.admin import AdminClient, NewTopic

from bench.deployment import PARTITIONS, Deployment, deployment, messages_api
from bench.desk import MAIL, PATHS, desk
from bench.measure import ROOT, Case, Options, Ratio, Result, Rounds, cpu_seconds, interleave
from bench.peers import install
from streams.adapters.topic_reader import TopicReader
from streams.app.publisher import Publisher
from streams.models.listeners.classifier import Classifier

RULE, CLASSIFIER, ANSWERED = "ignored by a rule", "ignored by the classifier", "answered by a worker"
LOOPS: Final = {
    "aiokafka loop": "aiokafka_loop",
    "confluent-kafka loop": "confluent_loop",
    "Quix Streams": "quix",
    "faust-streaming hop": "faust_hop",
}
CHAIN: Final = {"listen": "verdicts", "work": "results", "settle": "outcomes"}
"""The topic that each tier writes one message to for an answered event."""
PROCESSES: Final = (1, 2, 4)
RATE, CPU = "throughput events/s", "CPU µs/event"
BATCH: Final = 64
_NUMBERS: Final = count()


def watch(deployed: Deployment, topic: str, start: int, expected: int, cpu: Callable[[], float]) -> Mapping[str, float]:
    """Wait for the output of a backlog; return the figures from its first tenth to its last."""
    deployed.wait_for(topic, start + expected // 10)
    first, began, spent = deployed.end(topic), time.monotonic(), cpu()
    deployed.wait_for(topic, start + expected * 9 // 10)
    last, ended, spent = deployed.end(topic), time.monotonic(), cpu() - spent
    deployed.wait_for(topic, start + expected)
    done = max(1, last - first)
    return {RATE: done / (ended - began), CPU: 1e6 * spent / done}


def events(path: str, number: int) -> Iterable[Mapping[str, object]]:
    """Return so many events that no case has had."""
    return (PATHS[path](f"event-{one}") for one in islice(_NUMBERS, number))


@dataclass(frozen=True, slots=True)
class TierCase:
    """Some processes of LISTEN on a backlog of one path."""

    deployed: Deployment
    path: str
    events: int
    processes: int = 1

    def __call__(self) -> Mapping[str, float]:
        self.deployed.publish(events(self.path, self.events))
        return self.run("listen")

    def run(self, tier: str) -> Mapping[str, float]:
        """Run a tier on what waits for it, then stop it."""
        deployed, topic = self.deployed, CHAIN[tier]
        start = deployed.end(topic)
        deployed.start(tier, processes=self.processes, ready=False)
        try:
            return watch(deployed, topic, start, self.events, lambda: deployed.cpu()[tier.upper()])
        finally:
            deployed.stop(tier)

    def chain(self) -> Mapping[str, float]:
        """Run every tier of an answered event, one after the other."""
        self.deployed.publish(events(self.path, self.events))
        found = {tier: self.run(tier) for tier in CHAIN}
        return {
            f"{tier.upper()} {name.split()[1]}": value for tier, own in found.items() for name, value in own.items()
        }


@dataclass(frozen=True, slots=True)
class LoopCase:
    """A peer on a backlog in a topic of its own."""

    deployed: Deployment
    peer: str
    events: int
    values: list[bytes]
    rounds: Iterator[int] = field(default_factory=count)

    def __call__(self) -> Mapping[str, float]:
        kafka, number = self.deployed.running.kafka, next(self.rounds)
        source, target = (f"{self.peer}-{number}-{end}" for end in ("in", "out"))
        admin = AdminClient(kafka.confluent())
        for made in admin.create_topics([NewTopic(one, PARTITIONS) for one in (source, target)]).values():
            made.result(30)
        plain = replace(kafka, compression="none")  # a peer may lack what it needs to read another
        with Publisher(plain, topic=source) as publisher:
            for one in events(RULE, self.events):
                publisher.publish(**one)  # type: ignore[arg-type]
        values = [b64encode(value).decode() for value in self.values]
        argument = {"kafka": kafka.servers, "source": source, "target": target, "values": values}
        expected = self.events * len(values)
        with subprocess.Popen(
            install.command(self.peer, argument), cwd=install.ROOT, start_new_session=True
        ) as program:
            try:
                found = watch(self.deployed, target, 0, expected, lambda: cpu_seconds(program.pid))
            finally:
                program.kill()
        return {RATE: found[RATE] / len(values), CPU: found[CPU] * len(values)}


def published_by_listen(deployed: Deployment) -> list[bytes]:
    """Return the values that LISTEN publishes for an event ignored by a rule; the deployment has had nothing else."""
    found: dict[str, bytes] = {}
    with TopicReader(deployed.running.kafka, ["calls", "verdicts", "results", "images", "escalations"]) as reader:
        for record in reader.to_end():
            found[record.topic] = record.value or b""
    return list(found.values())


def classifier_alone(artifact: Path, texts: int) -> Case:
    """The classifier in batches, without Kafka."""
    classifier = Classifier.load(artifact)
    letters = [json.dumps({"letter": MAIL.format(number)}) for number in range(texts)]

    def measured() -> Mapping[str, float]:
        began = time.process_time()
        for start in range(0, texts, BATCH):
            classifier.predict(letters[start : start + BATCH])
        return {CPU: 1e6 * (time.process_time() - began) / texts}

    return measured


@contextmanager
def cases(options: Options) -> Iterator[dict[str, Case]]:
    """All cases, on one broker."""
    with ExitStack() as opened:
        url = opened.enter_context(messages_api())
        pipeline = desk(Path(opened.enter_context(tempfile.TemporaryDirectory())))
        own = opened.enter_context(deployment(pipeline, options, ROOT, ANTHROPIC_BASE_URL=url))
        events = options.size(8000, 300)
        TierCase(own, RULE, options.size(1000, 10))()
        values = published_by_listen(own)
        found: dict[str, Case] = {
            "LISTEN with a rule": TierCase(own, RULE, events),
            "LISTEN with the classifier": TierCase(own, CLASSIFIER, events),
            "the classifier alone": classifier_alone(pipeline.with_name("intents.npz"), events),
        }
        found |= {name: LoopCase(own, peer, options.size(40_000, 4000), values) for name, peer in LOOPS.items()}
        for number in options.size(PROCESSES, PROCESSES[:2]):
            found[f"answered, {number} a tier"] = TierCase(own, ANSWERED, options.size(2000, 400), number).chain
        yield found


def ratios(rounds: Rounds) -> Iterator[Ratio]:
    """Yield how much of a loop's throughput on one core LISTEN has, and how the tiers grow with their processes."""
    rule, classifier = ("LISTEN with a rule", CPU), ("LISTEN with the classifier", CPU)
    for name in LOOPS:
        target = 0.5 if name == "aiokafka loop" else None
        yield rounds.ratio(f"LISTEN with a rule / {name}, events per CPU second", (name, CPU), rule, at_least=target)
    alone = ("the classifier alone", CPU)
    yield rounds.ratio("LISTEN with the classifier / the classifier alone, the same", alone, classifier, at_least=0.7)
    for tier in map(str.upper, CHAIN):
        for name, target in (("events/s", 1.6), ("µs/event", None)):
            two, one = (f"answered, {number} a tier" for number in (2, 1))
            yield rounds.ratio(
                f"{tier}, 2 processes / 1, {name}", (two, f"{tier} {name}"), (one, f"{tier} {name}"), at_least=target
            )


def run(options: Options) -> Result:
    """Run all cases in turns."""
    with cases(options) as found:
        rounds = interleave(found, options.rounds_or(3))
    notes = [
        f"{PARTITIONS} partitions; the broker and the fake Messages API share the machine's cores with the tiers",
        f"the classifier alone predicts in batches of {BATCH}; LISTEN also reads, writes and publishes",
    ]
    return Result("throughput", list(ratios(rounds)), rounds.figures(), notes)
