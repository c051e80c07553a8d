"""Some tiers of a pipeline on Apache Kafka, each a process with a data directory of its own, and no ClickHouse."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from confluent_kafka.admin import AdminClient, NewPartitions

from streams.adapters.codec_factory import codec_for
from streams.adapters.kafka import KafkaConfig
from streams.adapters.kafka_admin import create_topics
from streams.adapters.topic_reader import TopicReader
from streams.app.publisher import Publisher
from streams.core.messages import DeadLetter, Outcome
from streams.embedded.broker import ApacheKafka
from streams.embedded.supervisor import Child, Supervisor, module_command, module_environment
from streams.packaged_files import resource
from tests.harness.faults.provider import Provider

PIPELINE: Final = Path(__file__).parent / "pipeline" / "pipeline.toml"
WAIT_SECONDS: Final = 120.0
PADDING: Final = "I ask because I come from far away. " * 100
"""Makes an entry of a table larger than a page of the disk."""


def answer(_: Mapping[str, Any]) -> Any:
    """A sure answer."""
    return {"answer": {"reply": "from nine to five"}, "confidence": 0.95}


@dataclass
class Tiers:
    """The processes by tier, and what the provider sold."""

    kafka: KafkaConfig
    supervisor: Supervisor
    provider: Provider
    data: Path
    environment: Mapping[str, str]
    processes: dict[str, Child] = field(default_factory=dict)

    def directory(self, tier: str) -> Path:
        """A tier's data directory, which may be a disk of its own."""
        return self.data / tier

    def start(self, *tiers: str, **environment: str) -> None:
        """Start a process of each tier."""
        for tier in tiers:
            (self.directory(tier) / "ready" / f"{tier}-0").unlink(missing_ok=True)
            own = {"ESCALON_DATA": str(self.directory(tier)), **environment}
            command = [*module_command("streams"), "worker", tier]
            self.processes[tier] = self.supervisor.spawn(tier, command, {**self.environment, **own})

    def wait_ready(self, *tiers: str) -> None:
        """Wait until each has its partitions and its tables."""
        for tier in tiers:
            ready = self.directory(tier) / "ready" / f"{tier}-0"
            self.supervisor.wait_ready(self.processes[tier], ready.exists, WAIT_SECONDS)

    def stop(self, tier: str) -> None:
        """SIGTERM."""
        self.supervisor.stop(self.processes[tier])

    def kill(self, tier: str) -> None:
        """SIGKILL."""
        self.supervisor.kill(self.processes[tier])

    def exit_code(self, tier: str) -> int:
        """The exit code of a process that ends by itself."""
        child = self.processes[tier]
        code = child.process.wait(WAIT_SECONDS)
        self.supervisor.stop(child)
        return code

    def log(self, tier: str) -> str:
        """All that the processes of a tier wrote."""
        return self.processes[tier].log.read_text("utf-8", "replace")

    def wait_for(self, said: str, tier: str) -> None:
        """Wait until a tier's log has some words."""
        wait_until(lambda: said in self.log(tier), f"{said!r} in the log of {tier}")

    def publish(self, *ids: str) -> set[str]:
        """Publish a question each; returns the ids of their events."""
        with Publisher(self.kafka, blobs=str(self.environment["ESCALON_BLOBS"])) as publisher:
            for one in ids:
                publisher.publish(f"When do you open, {one}? {PADDING}", id=one)
            publisher.flush()
        return set(ids)

    def outcomes(self, expected: set[str]) -> dict[str, list[Outcome]]:
        """The outcomes by event, once the expected ones are there."""
        found: dict[str, list[Outcome]] = self._read("outcomes", Outcome, lambda one: one.origin.event_id, expected)
        return found

    def dead_letters(self) -> list[DeadLetter]:
        """Return the dead letters so far."""
        found: dict[str, list[DeadLetter]] = self._read("dead-letters", DeadLetter, lambda one: one.event_id, set())
        return [letter for letters in found.values() for letter in letters]

    def asked(self) -> Counter[str]:
        """Return the number of sales by prompt."""
        return Counter(sale.content[1] for sale in self.provider.books.sales)

    def raise_partitions(self, topic: str, count: int) -> None:
        """Give a topic more partitions."""
        admin = AdminClient(self.kafka.confluent())
        for future in admin.create_partitions([NewPartitions(topic, count)]).values():
            future.result(30)

    def delete(self, topic: str) -> None:
        """Delete a topic."""
        admin = AdminClient(self.kafka.confluent())
        for future in admin.delete_topics([topic]).values():
            future.result(30)

    def _read(self, topic: str, kind: Any, identity: Any, expected: set[str]) -> Any:
        tail, codec = TopicReader(self.kafka, [topic]), codec_for(self.environment.get("ESCALON_SCHEMA_REGISTRY"))
        found: dict[str, list[Any]] = {}
        deadline = time.monotonic() + WAIT_SECONDS
        try:
            for record in tail.to_end():
                found.setdefault(identity(message := codec.decode(kind, record.value or b"")), []).append(message)
            while not expected <= found.keys() and time.monotonic() < deadline:
                for record in tail.batch():
                    found.setdefault(identity(message := codec.decode(kind, record.value or b"")), []).append(message)
        finally:
            tail.close()
        missing = expected - found.keys()
        assert not missing, f"{len(missing)} of {len(expected)} never came on {topic}: {sorted(missing)[:5]}"
        return found


def wait_until(holds: Callable[[], bool], what: str) -> None:
    """Wait for a condition; fails with its name after a long while."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.05)


@contextmanager
def tiers(home: Path, data: Path, **more: str) -> Iterator[Tiers]:
    """A broker with the topics, each of two partitions, and a fake provider; no tier runs yet.

    `more` is added to the environment of the tiers.
    """
    with ExitStack() as opened:
        provider = opened.enter_context(Provider(answer))
        supervisor = opened.enter_context(Supervisor(data / "logs"))
        servers = ApacheKafka(home, resource("kafka"), data / "kafka").start(supervisor)
        kafka = KafkaConfig(servers=servers)
        create_topics(kafka, "", 2, 1)
        environment = (
            module_environment()
            | {"ESCALON_SCHEMA_REGISTRY": "", "ESCALON_ALLOW_PYTHON": "1"}
            | {
                "ANTHROPIC_BASE_URL": provider.server.url,
                "ANTHROPIC_API_KEY": "key",
                "ESCALON_CACHE": str(data / "cache"),
                "ESCALON_KAFKA": servers,
                "ESCALON_PIPELINE": str(PIPELINE),
                "ESCALON_BLOBS": f"file://{data / 'blobs'}",
                "ESCALON_DRAIN_SECONDS": "15",
                **more,
            }
        )
        yield Tiers(kafka, supervisor, provider, data, environment)
