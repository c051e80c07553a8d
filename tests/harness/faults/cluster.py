"""Apache Kafka on three nodes: every topic has three copies, and a message is confirmed when two have it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from streams.embedded.broker import MESSAGE_BYTES, await_broker, free_ports
from streams.embedded.kafka_node import KafkaNode, new_cluster_id
from streams.embedded.supervisor import Child, Supervisor

NODES: Final = (1, 2, 3)
READY_SECONDS: Final = 600.0
# Nodes that wait for a processor must not be taken for lost ones. With Kafka's usual limits they vote again and again,
# and a node that has not registered after a minute ends.
PATIENCE: Final = """\
broker.session.timeout.ms=9000
broker.heartbeat.interval.ms=2000
controller.quorum.fetch.timeout.ms=10000
controller.quorum.election.timeout.ms=5000
controller.quorum.request.timeout.ms=10000
initial.broker.registration.timeout.ms=600000
"""


@dataclass(slots=True)
class KafkaCluster:
    """Three nodes on 127.0.0.1, to be started where a single broker is."""

    home: Path
    resources: Path
    data_dir: Path
    nodes: dict[int, KafkaNode] = field(default_factory=dict)
    cluster_id: str = field(default_factory=new_cluster_id)

    @property
    def note(self) -> str:
        """The line that announces the broker."""
        return f"Broker: Apache Kafka on {len(NODES)} nodes ({self.home})."

    def start(self, supervisor: Supervisor, port: int = 0) -> str:  # noqa: ARG002 - its ports are its own
        """Start all nodes and wait until each answers."""
        ports = free_ports(2 * len(NODES))
        controllers = dict(zip(NODES, ports[: len(NODES)], strict=True))
        self.nodes = {
            number: KafkaNode(
                id=number,
                port=ports[len(NODES) + place],
                controllers=controllers,
                home=self.home,
                resources=self.resources,
                data_dir=self.data_dir / str(number),
                message_bytes=MESSAGE_BYTES,
                settings=PATIENCE,
            )
            for place, number in enumerate(NODES)
        }
        children = {number: node.start(supervisor, self.cluster_id) for number, node in self.nodes.items()}
        for number, child in children.items():
            self._await(supervisor, child, number)
        return ",".join(f"127.0.0.1:{node.port}" for node in self.nodes.values())

    def start_node(self, supervisor: Supervisor, number: int) -> None:
        """Start one node where it was."""
        self._await(supervisor, self.nodes[number].start(supervisor, self.cluster_id), number)

    def _await(self, supervisor: Supervisor, child: Child, number: int) -> None:
        await_broker(supervisor, child, f"127.0.0.1:{self.nodes[number].port}", len(NODES), READY_SECONDS)
