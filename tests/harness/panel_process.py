"""`escalon ui` as a process of its own, on servers that may be killed."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from streams.app.settings import Settings
from streams.embedded.supervisor import Child, Supervisor, module_command, module_environment

UI_KEY = "k" * 32
READY_SECONDS = 120.0


@dataclass
class UiProcess:
    """The server of the pages on a port, restarted on demand."""

    supervisor: Supervisor
    settings: Settings
    pipeline: Path
    port: int

    @property
    def address(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> Mapping[str, str]:
        """The settings of the process."""
        kafka, clickhouse = self.settings.kafka, self.settings.clickhouse
        assert kafka is not None
        assert clickhouse is not None
        return {
            **module_environment(),
            "ESCALON_KAFKA": kafka.servers,
            "ESCALON_CLICKHOUSE": clickhouse.url,
            "ESCALON_CLICKHOUSE_DATABASE": clickhouse.database,
            "ESCALON_DATA": str(self.settings.data_dir),
            "ESCALON_TOPIC_PREFIX": self.settings.topic_prefix,
            "ESCALON_PIPELINE": str(self.pipeline),
            "ESCALON_UI_KEY": UI_KEY,
            "ESCALON_ALLOW_PYTHON": "1",
            "ESCALON_KAFKA_BATCH_BYTES": str(self.settings.batch_bytes),
        }

    def spawn(self) -> Child:
        """Start it, without waiting."""
        return self.supervisor.spawn(
            "ui", [*module_command("streams"), "ui", "--port", str(self.port)], self.environment
        )

    def start(self) -> Child:
        """Start it, and wait until it answers."""
        child = self.spawn()
        self.supervisor.wait_ready(child, self.answers, READY_SECONDS)
        return child

    def answers(self) -> bool:
        """True if it answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/static/panel.css")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
