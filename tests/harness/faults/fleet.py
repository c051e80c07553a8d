"""A running pipeline of several workers a tier, and what can be done to it."""

from __future__ import annotations

import os
import shutil
import signal
import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import pytest
from confluent_kafka.admin import (
    AdminClient,
    NewPartitions,
)

from streams.adapters.topic_reader import TopicReader
from streams.app.process import FAUST_TIERS, TIERS, ready_file
from streams.app.settings import read_settings
from streams.embedded.broker import Broker
from streams.embedded.local_pipeline import RunningPipeline, running_pipeline
from streams.embedded.stack import EmbeddedStack, start_clickhouse
from streams.pipeline.load import load_pipeline
from tests.harness.faults.cluster import KafkaCluster
from tests.harness.faults.provider import Provider, asker_of
from tests.harness.faults.traffic import REASONER, answer

PIPELINE: Final = Path(__file__).parent / "pipeline" / "pipeline.toml"
MODELS: Final[Mapping[str, str]] = {"work": "claude-haiku-5-5", "reason": REASONER}

END_SECONDS: Final = 120.0
OFFSETS: Final = "__consumer_offsets"
GROUP_RECORD: Final = struct.Struct(">hh")
"""The beginning of the key of a group's own record: its version, which is 2, and the length of the group's name."""

Place = tuple[str, str]
"""A tier and an instance."""


@dataclass(kw_only=True)
class Toll:
    """The faults done to the processes, and what they may have cost."""

    kills: list[str] = field(default_factory=list)
    under_way: int = 0
    """Calls of killed workers that the provider had not answered yet."""
    notes: list[str] = field(default_factory=list)
    stops: list[float] = field(default_factory=list)
    """Seconds that each SIGTERM took."""


@dataclass(kw_only=True)
class Fleet:
    """The processes by tier and instance."""

    running: RunningPipeline
    stack: EmbeddedStack
    broker: Broker
    provider: Provider
    places: list[Place]
    toll: Toll = field(default_factory=Toll)
    started: float = field(default_factory=time.time)

    def begin(self) -> None:
        """Count from here."""
        self.provider.books.sales.clear()
        self.toll, self.started = Toll(), time.time()

    def note(self, what: str) -> None:
        """Keep a line about what is done and when."""
        self.toll.notes.append(f"{time.time() - self.started:.1f} s: {what}")

    def start(self, place: Place, environment: Mapping[str, str] | None = None) -> None:
        """Start a worker; it is in its group some seconds later."""
        tier, instance = place
        self.running.start(tier, instance, {"ANTHROPIC_API_KEY": f"key-{instance}", **(environment or {})})
        if place not in self.places:
            self.places.append(place)

    def wait_ready(self, place: Place) -> None:
        """Wait until a Faust worker has its partitions and its tables."""
        tier, instance = place
        if tier in FAUST_TIERS:
            self.running.wait_ready(self.running.processes[f"{tier}-{instance}"], tier, instance)

    def kill(self, place: Place) -> None:
        """SIGKILL a worker; the calls it had under way are counted at that moment."""
        tier, instance = place
        self.running.supervisor.kill(self.running.processes[f"{tier}-{instance}"])
        under_way = self.provider.books.under_way(asker_of(f"key-{instance}", MODELS.get(tier, "")))
        self.toll.kills.append(f"{tier}-{instance}")
        self.toll.under_way += under_way
        self.note(f"SIGKILL {tier}-{instance}, {under_way} calls under way")

    @contextmanager
    def frozen(self, place: Place) -> Iterator[None]:
        """SIGSTOP a worker, and let it go on at the end."""
        tier, instance = place
        process = self.running.processes[f"{tier}-{instance}"].process
        process.send_signal(signal.SIGSTOP)
        self.note(f"SIGSTOP {tier}-{instance}")
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)
            self.note(f"SIGCONT {tier}-{instance}")

    def terminate(self, place: Place) -> None:
        """SIGTERM a worker and wait for its end."""
        tier, instance = place
        began = time.monotonic()
        child = self.running.processes[f"{tier}-{instance}"]
        self.running.supervisor.stop(child)
        self.toll.stops.append(time.monotonic() - began)
        self.note(f"SIGTERM {tier}-{instance}: {self.toll.stops[-1]:.1f} s, exit code {child.process.returncode}")

    def remove(self, place: Place) -> None:
        """A worker that has ended does not come back."""
        self.places.remove(place)

    def wipe(self, place: Place) -> None:
        """Delete the tables of a worker that has ended."""
        tier, instance = place
        for directory in (self.running.settings.data_dir / "tables").glob(f"*/{tier}-{instance}"):
            shutil.rmtree(directory)
        self.note(f"tables of {tier}-{instance} deleted")

    def kill_server(self, name: str) -> None:
        """SIGKILL the broker or ClickHouse."""
        self.stack.supervisor.kill(self.stack.supervisor.child(name))
        self.note(f"SIGKILL {name}")

    def start_clickhouse(self) -> None:
        """Start ClickHouse where it was."""
        port = int(self.stack.addresses.clickhouse.rpartition(":")[2])
        start_clickhouse(self.stack.supervisor, self.running.settings.data_dir, port)
        self.note("ClickHouse is back")

    def start_broker(self) -> None:
        """Start a broker of one node where it was."""
        self.broker.start(self.stack.supervisor, int(self.stack.addresses.kafka.rpartition(":")[2]))
        self.note("the broker is back")

    def handovers(self) -> dict[str, list[float]]:
        """Return the times at which the group of each tier that asks a model was given its partitions, by the model.

        Kafka writes them down before a member learns of its partitions.
        """
        models = {f"escalon-{tier}": model for tier, model in MODELS.items()}
        found: dict[str, list[float]] = {model: [] for model in models.values()}
        with TopicReader(self.running.kafka, [OFFSETS]) as reader:
            for record in reader.to_end():
                key = record.key or b""
                group = key[GROUP_RECORD.size :].decode("utf-8", "replace")
                if GROUP_RECORD.unpack_from(key)[0] == 2 and group in models and record.value:
                    found[models[group]].append(record.timestamp.timestamp())
        return found

    def raise_partitions(self, topic: str, count: int) -> None:
        """Give a topic more partitions while it is in use."""
        admin = AdminClient(self.running.kafka.confluent())
        admin.create_partitions([NewPartitions(topic, count)])[topic].result(30)
        self.note(f"{topic} has {count} partitions")

    def ended(self, place: Place) -> str:
        """Wait until a worker ends by itself, and return the last lines of its log on one line."""
        tier, instance = place
        child = self.running.processes[f"{tier}-{instance}"]
        code = child.process.wait(END_SECONDS)
        self.running.supervisor.stop(child)
        self.note(f"{tier}-{instance} ended with exit code {code}")
        return " ".join(child.tail().split())

    def ready_or_ended(self, place: Place) -> str:
        """Wait until a worker has its partitions, or ends; return the last lines of one that has ended."""
        tier, instance = place
        child = self.running.processes[f"{tier}-{instance}"]
        ready = ready_file(replace(self.running.settings, instance=instance), tier)
        deadline = time.monotonic() + END_SECONDS
        while child.process.poll() is None and not ready.exists():
            assert time.monotonic() < deadline, f"{tier}-{instance} is neither ready nor at its end:{child.tail()}"
            time.sleep(0.1)
        return "" if ready.exists() else self.ended(place)

    def leader_of(self, topic: str, partition: int) -> int:
        """The node that leads a partition."""
        found = AdminClient(self.running.kafka.confluent()).list_topics(topic, timeout=15)
        return int(found.topics[topic].partitions[partition].leader)

    def start_node(self, number: int) -> None:
        """Start one node of a cluster where it was."""
        assert isinstance(self.broker, KafkaCluster)
        self.broker.start_node(self.stack.supervisor, number)
        self.note(f"node {number} is back")


@contextmanager
def fleet(data: Path, broker: Broker, replication: int = 1, partitions: int = 8, workers: int = 2) -> Iterator[Fleet]:
    """So many workers of every tier on servers of their own, all ready."""
    with ExitStack() as opened:
        provider = opened.enter_context(Provider(answer))
        stack = opened.enter_context(EmbeddedStack(data, broker))
        patched = opened.enter_context(pytest.MonkeyPatch.context())
        environment = {
            "ANTHROPIC_BASE_URL": provider.server.url,
            "ANTHROPIC_API_KEY": "key-0",
            "ESCALON_DATA": str(data),
            "ESCALON_CACHE": str(data / "cache"),
            "ESCALON_KAFKA": stack.addresses.kafka,
            "ESCALON_CLICKHOUSE": stack.addresses.clickhouse,
            "ESCALON_REPLICATION": str(replication),
            "ESCALON_PARTITIONS": str(partitions),
            "ESCALON_ALLOW_PYTHON": "1",
        }
        for name, value in environment.items():
            patched.setenv(name, value)
        patched.delenv("ESCALON_SCHEMA_REGISTRY", raising=False)
        settings = read_settings(os.environ)
        running = opened.enter_context(running_pipeline(settings, load_pipeline(PIPELINE, settings.python)))
        # The first of each tier is known by its tier alone; here every one has an instance in its name.
        for tier in TIERS:
            running.processes[f"{tier}-0"] = running.processes[tier]
        places = [(tier, "0") for tier in TIERS]
        made = Fleet(running=running, stack=stack, broker=broker, provider=provider, places=places)
        more = [(tier, str(instance)) for instance in range(1, workers) for tier in TIERS]
        for place in more:
            made.start(place)
        for place in more:
            made.wait_ready(place)
        yield made
