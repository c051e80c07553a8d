"""A node of Apache Kafka on 127.0.0.1, broker and controller in one."""

from __future__ import annotations

import os
import shlex
import subprocess
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from streams.core.errors import ServiceError
from streams.embedded.kafka_install import java_program
from streams.embedded.supervisor import Child, Supervisor

FORMAT_SECONDS: Final = 60.0
JAVA_OPTIONS: Final = {
    "KAFKA_HEAP_OPTS": "-Xms512m -Xmx512m",
    "KAFKA_JVM_PERFORMANCE_OPTS": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1",
}
"""Java options by the variables that Kafka's scripts use. The second makes it start fast, not run fast."""

# The session timeout is short, because a killed node waits for its own last session to end. An idle controller writes a
# record now and then; at the usual two a second that is a third of what an idle node costs.
_PROPERTIES: Final = """\
process.roles=broker,controller
node.id={id}
controller.quorum.voters={voters}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={logs}
message.max.bytes={message_bytes}
auto.create.topics.enable=false
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
metadata.max.idle.interval.ms=10000
group.initial.rebalance.delay.ms=0
min.insync.replicas={insync}
offsets.topic.replication.factor={replicas}
offsets.topic.num.partitions=8
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr={insync}
transaction.state.log.num.partitions=8
share.coordinator.state.topic.replication.factor={replicas}
share.coordinator.state.topic.min.isr={insync}
share.coordinator.state.topic.num.partitions=8
log.cleaner.dedupe.buffer.size=16777216
{settings}"""


def new_cluster_id() -> str:
    """Return an id for a new cluster in Kafka's format."""
    return urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaNode:
    """A node with the jars of `home`/libs and its data in `data_dir`.

    `controllers` has the controller port of each node of the cluster by id. Internal topics have a replica on each node
    and are confirmed when all but one have the message.
    """

    id: int
    port: int
    controllers: Mapping[int, int]
    home: Path
    resources: Path
    data_dir: Path
    message_bytes: int
    settings: str = ""
    """More lines of its configuration; a line replaces an earlier one of the same name."""

    @property
    def name(self) -> str:
        return "kafka" if len(self.controllers) == 1 else f"kafka-{self.id}"

    def start(self, supervisor: Supervisor, cluster_id: str) -> Child:
        """Start its process; the first time, format its storage for this cluster."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        properties = self.data_dir / "server.properties"
        properties.write_text(self._properties(), encoding="ascii")
        if not (self._logs / "meta.properties").exists():
            self._format(properties, cluster_id)
        return supervisor.spawn(self.name, [*self._java(), "kafka.Kafka", str(properties)])

    @property
    def _logs(self) -> Path:
        return self.data_dir / "logs"

    def _properties(self) -> str:
        nodes = len(self.controllers)
        return _PROPERTIES.format(
            id=self.id,
            port=self.port,
            voters=",".join(f"{number}@127.0.0.1:{port}" for number, port in self.controllers.items()),
            controller=self.controllers[self.id],
            logs=_escape(self._logs),
            message_bytes=self.message_bytes,
            replicas=nodes,
            insync=max(1, nodes - 1),
            settings=self.settings,
        )

    def _java(self) -> list[str]:
        options = [one for name, usual in JAVA_OPTIONS.items() for one in shlex.split(os.environ.get(name) or usual)]
        log4j = f"-Dlog4j2.configurationFile={self.resources / 'log4j2.xml'}"
        return [java_program(), *options, log4j, "-cp", f"{self.home / 'libs'}/*"]

    def _format(self, properties: Path, cluster_id: str) -> None:
        # In one argument, because an id that begins with a hyphen would be taken for an option.
        tool = ["kafka.tools.StorageTool", "format", f"--cluster-id={cluster_id}", "-c", str(properties)]
        done = subprocess.run(  # noqa: S603 - no shell; every argument is our own
            [*self._java(), *tool], capture_output=True, text=True, check=False, timeout=FORMAT_SECONDS
        )
        if done.returncode != 0:
            output = (done.stdout + done.stderr)[-2000:]
            raise ServiceError(f"Apache Kafka could not format {self.data_dir}:\n{output}", "Is the disk full?")


def _escape(path: Path) -> str:
    """Return a path as Java's properties files write it: ASCII, with UTF-16 escapes."""
    units = str(path).encode("utf-16-be")
    codes = [int.from_bytes(units[place : place + 2], "big") for place in range(0, len(units), 2)]
    return "".join(chr(code) if 32 <= code < 127 and code != 0x5C else f"\\u{code:04x}" for code in codes)
