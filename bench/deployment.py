"""A pipeline on servers of its own, with the CPU time of every process. Its tiers may come from another checkout."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from confluent_kafka import Consumer, TopicPartition

from bench.fault_servers import kafka_home
from bench.measure import ROOT, Options, cpu_seconds
from streams.app.process import FAUST_TIERS
from streams.app.publisher import Publisher
from streams.app.settings import read_settings
from streams.embedded.broker import free_ports
from streams.embedded.local_pipeline import RunningPipeline, connected_pipeline
from tests.harness.progress import uncommitted

TIERS: Final = ("listen", "work", "reason", "settle", "record")
PARTITIONS: Final = 4
PATIENCE_SECONDS: Final = 120.0
POLL_SECONDS: Final = 0.02
BROKERS: Final = ("kafka", "tansu")
Event = Mapping[str, Any]
"""The arguments of `Publisher.publish`."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """A pipeline, and the checkout that its tiers come from."""

    running: RunningPipeline
    publisher: Publisher
    topics: Consumer
    environment: Mapping[str, str]

    def start(self, *tiers: str, processes: int = 1, ready: bool = True) -> None:
        """Start so many processes of each tier; with `ready`, wait until they have their partitions."""
        started = []
        for tier in tiers:
            for number in range(processes):
                child = self.running.start(tier, str(number), self.environment)
                started.append((child, tier, str(number)))
        for child, tier, instance in started:
            if ready and tier in FAUST_TIERS:
                self.running.wait_ready(child, tier, instance)

    def stop(self, *tiers: str) -> None:
        """Stop all processes of some tiers."""
        pids = self.running.supervisor.pids()
        names = [name for name in pids if name.rpartition("-")[0] in tiers]
        self.running.supervisor.stop(*(self.running.supervisor.child(name) for name in names))

    def cpu(self) -> dict[str, float]:
        """Return the CPU seconds so far, by tier or server."""
        found: dict[str, float] = {}
        for name, pid in self.running.supervisor.pids().items():
            found[_process(name)] = found.get(_process(name), 0.0) + cpu_seconds(pid)
        return found

    def publish(self, events: Iterable[Event], per_second: float | None = None) -> None:
        """Publish events, all at once or at a steady rate, and wait until Kafka has confirmed them."""
        began = time.monotonic()
        for number, event in enumerate(events):
            if per_second:
                time.sleep(max(0.0, began + number / per_second - time.monotonic()))
            self.publisher.publish(**event)
        self.publisher.flush()

    def end(self, topic: str) -> int:
        """Return the number of messages that a topic has had."""
        places = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        return sum(self.topics.get_watermark_offsets(place, 10.0)[1] for place in places)

    def wait_for(self, topic: str, end: int) -> None:
        """Wait until a topic has had so many messages."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (now := self.end(topic)) < end:
            self.running.supervisor.check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"{topic} has {now} messages of {end}.")
            time.sleep(POLL_SECONDS)

    def wait_for_commits(self, tier: str, topics: Iterable[str]) -> None:
        """Wait until a tier has committed all messages of some topics."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while left := uncommitted(self.running.kafka, tier, topics):
            self.running.supervisor.check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"{tier} has not committed {left} messages.")
            time.sleep(0.5)


def _process(name: str) -> str:
    """Return the name of a process in a report."""
    if name in BROKERS:
        return "broker"
    return {"clickhouse": "ClickHouse"}.get(name, name.rpartition("-")[0].upper())


@contextmanager
def deployment(pipeline: Path, options: Options, tree: Path = ROOT, **environment: str) -> Iterator[Deployment]:
    """Start the servers, with topics and tables; no tier runs yet. `environment` is added to that of the tiers.

    The broker is Apache Kafka, in a quick run the one that is installed.
    """
    home = options.kafka_home if options.quick else kafka_home(options.kafka_home)
    with ExitStack() as opened:
        data = opened.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        own = {
            "ESCALON_DATA": data,
            "ESCALON_PARTITIONS": str(PARTITIONS),
            "ESCALON_ALLOW_PYTHON": "1",
            "KAFKA_HOME": str(home or ""),
            "ANTHROPIC_API_KEY": "none",
            **environment,
        }
        settings = read_settings(own)
        running = opened.enter_context(connected_pipeline(settings, pipeline))
        topics = Consumer(running.kafka.confluent(**{"group.id": "bench"}))
        opened.callback(topics.close)
        publisher = Publisher(running.kafka, blobs=settings.blobs)
        yield Deployment(running, publisher, topics, own | {"PYTHONPATH": str(tree)})
        running.supervisor.stop(
            *(running.processes[name] for name in running.processes if name in running.supervisor.pids())
        )


@contextmanager
def messages_api(latency: float = 0.0) -> Iterator[str]:
    """Run the fake Messages API as a program; yield its address."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "tests.harness.fakes.messages_server"]
    command += ["--port", str(port), "--latency", str(latency)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        program.stdout.readline()
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            program.terminate()
