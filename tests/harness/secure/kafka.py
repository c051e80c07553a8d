"""Apache Kafka that requires TLS and a login by SCRAM."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from streams.embedded.broker import free_ports
from streams.embedded.kafka_install import java_program
from streams.embedded.supervisor import Supervisor
from streams.packaged_files import resource
from tests.harness.secure.authority import Authority

MECHANISMS = ("SCRAM-SHA-256", "SCRAM-SHA-512")
READY_SECONDS = 90.0
CLUSTER = "c2VjdXJlLWVzY2Fsb24tMQ"

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=CLIENTS://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=CLIENTS://127.0.0.1:{port}
listener.security.protocol.map=CLIENTS:SASL_SSL,CONTROLLER:PLAINTEXT
inter.broker.listener.name=CLIENTS
sasl.enabled.mechanisms={mechanisms}
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
{logins}
ssl.keystore.type=PKCS12
ssl.keystore.location={keystore}
ssl.keystore.password={passphrase}
ssl.truststore.type=PEM
ssl.truststore.location={ca}
listener.name.clients.ssl.client.auth={client_auth}
log.dirs={logs}
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
log.cleaner.dedupe.buffer.size=16777216
"""


@dataclass(frozen=True, kw_only=True)
class SecureKafka:
    """One node of `home`. `users` are its logins with their passwords; `client_auth` is `required` or `none`."""

    home: Path
    directory: Path
    authority: Authority
    passphrase: str
    users: Mapping[str, str]
    client_auth: str = "none"

    def start(self, supervisor: Supervisor) -> str:
        """Start it, wait until it listens, and return its address."""
        port, controller = free_ports(2)
        self.directory.mkdir(parents=True, exist_ok=True)
        properties = self.directory / "server.properties"
        properties.write_text(self._filled(port, controller), "utf-8")
        self._format(properties)
        child = supervisor.spawn("kafka", [*self._java(), "kafka.Kafka", str(properties)])
        supervisor.wait_ready(child, lambda: "Kafka Server started" in child.tail() or _listens(port), READY_SECONDS)
        return f"127.0.0.1:{port}"

    def _filled(self, port: int, controller: int) -> str:
        keystore = self.directory / "keystore.p12"
        keystore.write_bytes(self.authority.keystore("broker", self.passphrase))
        name, password = next(iter(self.users.items()))
        module = "org.apache.kafka.common.security.scram.ScramLoginModule required"
        logins = "\n".join(
            f'listener.name.clients.{one.lower()}.sasl.jaas.config={module} username="{name}" password="{password}";'
            for one in MECHANISMS
        )
        return _PROPERTIES.format(
            port=port,
            controller=controller,
            mechanisms=",".join(MECHANISMS),
            logins=logins,
            keystore=keystore,
            passphrase=self.passphrase,
            ca=self.authority.ca,
            client_auth=self.client_auth,
            logs=self.directory / "logs",
        )

    def _java(self) -> list[str]:
        log4j = f"-Dlog4j2.configurationFile={resource('kafka') / 'log4j2.xml'}"
        heap = ["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        return [java_program(), *heap, log4j, "-cp", f"{self.home / 'libs'}/*"]

    def _format(self, properties: Path) -> None:
        tool = ["kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c", str(properties)]
        for name, password in self.users.items():
            for one in MECHANISMS:
                tool += ["--add-scram", f"{one}=[name={name},password={password}]"]
        done = subprocess.run([*self._java(), *tool], capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr


def _listens(port: int) -> bool:
    """True if a socket of this machine listens on the port."""
    rows = (row.split() for row in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:])
    mapped = (row.split() for row in Path("/proc/net/tcp6").read_text("ascii").splitlines()[1:])
    return any(row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port for row in (*rows, *mapped))
