"""Run a whole pipeline on this machine: servers where none are configured, topics, tables, one process a tier."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from streams.adapters.clickhouse import ClickHouseConfig, migrate
from streams.adapters.kafka import KafkaConfig
from streams.adapters.kafka_admin import create_topics
from streams.app.process import FAUST_TIERS, TIERS, ready_file
from streams.app.providers import Providers
from streams.app.redaction import redaction_policy
from streams.app.settings import Settings
from streams.core.errors import ServiceError
from streams.embedded.broker import Tansu, choose_broker
from streams.embedded.stack import EmbeddedStack
from streams.embedded.supervisor import Child, Supervisor, module_command, module_environment
from streams.pipeline.code import SETTING
from streams.pipeline.load import Pipeline, load_pipeline
from streams.resources import resource

SHUTDOWN_SECONDS = 10.0
"""How long a worker may take to stop once it has drained."""
READY_SECONDS = 180.0
STEADY_SECONDS = 60.0
"""A process that has run for so long may end and be begun anew; one that ends sooner after that would again."""
RECORD = "record"
"""It has no table to wait for, and reads the pipeline's file for its redaction."""


@dataclass(frozen=True, slots=True)
class RunningPipeline:
    """A running pipeline: where everything is, and the processes to look after."""

    settings: Settings
    kafka: KafkaConfig
    clickhouse: ClickHouseConfig
    supervisor: Supervisor
    pipeline: Path
    """The pipeline's file."""
    environment: Mapping[str, str] = field(repr=False)
    """What the pipeline's processes are started with."""
    processes: dict[str, Child] = field(default_factory=dict)
    """The last one started of each name: its tier, and its instance if that is not the usual one."""
    clock: Callable[[], float] = time.monotonic
    _revived: dict[str, float] = field(default_factory=dict)
    """When the process of a tier was begun anew."""

    def start(self, tier: str, instance: str | None = None, environment: Mapping[str, str] | None = None) -> Child:
        """Start one process of a tier, with `environment` added to the pipeline's.

        A second one of the same tier needs an `instance` of its own. Where web ports are wanted, each name has the
        next one from ESCALON_WEB_PORT on.
        """
        settings = self._of(instance)
        ready_file(settings, tier).unlink(missing_ok=True)
        name = tier if instance is None else f"{tier}-{instance}"
        command = [*module_command("streams"), "worker", tier]
        own = {**self.environment, **(environment or {}), "ESCALON_INSTANCE": settings.instance}
        if settings.web_port is not None:
            names = list(dict.fromkeys([*self.processes, name]))
            own["ESCALON_WEB_PORT"] = str(settings.web_port + names.index(name))
        self.processes[name] = self.supervisor.spawn(
            name, command, own, grace=settings.drain_seconds + SHUTDOWN_SECONDS
        )
        return self.processes[name]

    def start_all(self, tiers: Iterable[str]) -> None:
        """Start a process of each, and wait until those of Faust have partitions and tables; raises ServiceError."""
        for tier, child in [(tier, self.start(tier)) for tier in tiers]:
            if tier in FAUST_TIERS:
                self.wait_ready(child, tier)

    def wait_ready(self, child: Child, tier: str, instance: str | None = None) -> None:
        """Wait until a Faust tier's process has partitions and tables; raises ServiceError when it does not."""
        self.supervisor.wait_ready(child, ready_file(self._of(instance), tier).exists, READY_SECONDS)

    def revive(self) -> list[str]:
        """Start the tiers anew whose processes have ended by themselves; a line about each.

        Raises ServiceError where a server has ended, or a tier soon after it was begun anew.
        """
        said = []
        for tier in TIERS:
            child, now = self.processes[tier], self.clock()
            code, steady = child.process.poll(), now - self._revived.get(tier, -math.inf) >= STEADY_SECONDS
            if code is None or not steady:
                continue
            self.supervisor.stop(child)
            self.start(tier)
            self._revived[tier] = now
            said.append(f"{tier} ended with exit code {code} and is begun anew; {child.log} says why.")
        self.supervisor.check()
        return said

    def reload(self) -> None:
        """Start the tiers again that read the pipeline's file, with the file as it is now.

        The file is checked first: raises ConfigError when it is wrong, and what runs goes on. Events wait in Kafka.
        """
        loaded = load_pipeline(self.pipeline, self.settings.python)
        handlers = [*loaded.listeners.values(), *loaded.workers.values(), *loaded.reasoners.values()]
        Providers(loaded, self.settings).check(handlers)
        redaction_policy(loaded)
        readers = (*FAUST_TIERS, RECORD)
        self.supervisor.stop(*(self.processes[tier] for tier in readers))
        self.start_all(readers)

    def _of(self, instance: str | None) -> Settings:
        return self.settings if instance is None else replace(self.settings, instance=instance)


@contextmanager
def running_pipeline(
    settings: Settings, pipeline: Pipeline, report: Callable[[str], None] = lambda _: None
) -> Iterator[RunningPipeline]:
    """Start what is not configured as external, then the pipeline's processes; stop all of it at the end.

    Inside it every tier has its partitions, so that no event waits for a start. `report` is given one sentence about
    the broker that was chosen.
    """
    with ExitStack() as open_:
        supervisor, kafka, clickhouse, batch_bytes = _servers(settings, open_, report)
        settings = replace(settings, batch_bytes=batch_bytes)
        create_topics(
            kafka, settings.topic_prefix, settings.partitions, settings.replication, settings.topic_retention_seconds
        )
        migrate(clickhouse, retention=settings.audit_retention)
        environment = worker_environment(settings, kafka, clickhouse, pipeline.path)
        located = replace(settings, kafka=kafka, clickhouse=clickhouse)
        running = RunningPipeline(located, kafka, clickhouse, supervisor, pipeline.path, environment)
        shutil.rmtree(settings.data_dir / "ready", ignore_errors=True)
        try:
            running.start_all(TIERS)
            yield running
        finally:
            supervisor.stop(*running.processes.values())


def _servers(
    settings: Settings, open_: ExitStack, report: Callable[[str], None]
) -> tuple[Supervisor, KafkaConfig, ClickHouseConfig, int]:
    """What runs or is configured, and how many bytes a worker may send at once."""
    if settings.kafka is not None and settings.clickhouse is not None:
        supervisor = open_.enter_context(Supervisor(settings.data_dir / "logs"))
        return supervisor, settings.kafka, settings.clickhouse, settings.batch_bytes
    if (settings.kafka is None) != (settings.clickhouse is None):
        what = "Only one of Kafka and ClickHouse is configured."
        raise ServiceError(what, "Set both ESCALON_KAFKA and ESCALON_CLICKHOUSE, or neither.")
    broker = choose_broker(
        settings.data_dir, resource("kafka"), kafka_home=settings.kafka_home, cache_dir=settings.cache_dir
    )
    report(broker.note)
    stack = open_.enter_context(EmbeddedStack(settings.data_dir, broker))
    if isinstance(broker, Tansu):
        # Tables of a broker that forgot its topics belong to nobody.
        shutil.rmtree(settings.data_dir / "tables", ignore_errors=True)
    return (
        stack.supervisor,
        KafkaConfig(servers=stack.addresses.kafka),
        ClickHouseConfig(url=stack.addresses.clickhouse),
        # Tansu may number the messages of one batch alike, and the recovery of a table would then miss keys.
        1 if isinstance(broker, Tansu) else settings.batch_bytes,
    )


def worker_environment(
    settings: Settings, kafka: KafkaConfig, clickhouse: ClickHouseConfig, pipeline: Path
) -> dict[str, str]:
    """The environment of the pipeline's processes: this one's, with the addresses and the pipeline."""
    named = {
        "ESCALON_KAFKA": kafka.servers,
        "ESCALON_CLICKHOUSE": clickhouse.url,
        "ESCALON_DATA": str(settings.data_dir),
        "ESCALON_KAFKA_BATCH_BYTES": str(settings.batch_bytes),
        "ESCALON_PIPELINE": str(pipeline),
        "ESCALON_CASSETTE": str(settings.cassette or ""),
        "ESCALON_RECORD_CASSETTE": str(settings.record_cassette or ""),
        SETTING: str(settings.python),
    }
    return module_environment() | named
