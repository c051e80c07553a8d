"""Apache Kafka on three nodes: every topic has three copies, and a message is confirmed when two have it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from streams.embedded.broker import MESSAGE_BYTES, await_broker, free_ports
from streams.embedded.kafka_node import KafkaNode, new_cluster_id
from streams.embedded.supervisor import Supervisor

NODES: Final = (1, 2, 3)


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
            )
            for place, number in enumerate(NODES)
        }
        children = {number: node.start(supervisor, self.cluster_id) for number, node in self.nodes.items()}
        for number, child in children.items():
            await_broker(supervisor, child, f"127.0.0.1:{self.nodes[number].port}", len(NODES))
        return ",".join(f"127.0.0.1:{node.port}" for node in self.nodes.values())

    def start_node(self, supervisor: Supervisor, number: int) -> None:
        """Start one node where it was."""
        child = self.nodes[number].start(supervisor, self.cluster_id)
        await_broker(supervisor, child, f"127.0.0.1:{self.nodes[number].port}", len(NODES))
