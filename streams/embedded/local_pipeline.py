"""Run a whole pipeline on this machine: the servers, unless configured, topics, tables, and a process for each tier."""

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
from streams.adapters.reachable import check_clickhouse, check_kafka
from streams.app.process import BATCH, FAUST_TIERS, TIERS, ready_file
from streams.app.providers import Providers
from streams.app.redaction import redaction_policy
from streams.app.settings import Settings
from streams.core.errors import DEAD_LETTER_LIMIT_EXIT, ServiceError
from streams.embedded.broker import Tansu, choose_broker
from streams.embedded.stack import EmbeddedStack
from streams.embedded.supervisor import Child, Supervisor, module_command, module_environment
from streams.packaged_files import resource
from streams.pipeline.code import SETTING
from streams.pipeline.load import Pipeline, load_pipeline

SHUTDOWN_SECONDS = 6.0
"""The time a worker has to stop after it has drained."""
READY_SECONDS = 180.0
STEADY_SECONDS = 60.0
"""A restarted process that ends sooner than this is not restarted again."""
NO_PIPELINE = Path()
"""The pipeline file of a running pipeline without one, of which only RECORD may be started."""
RECORD = "record"
"""The sink: it has no tables to wait for, but reads the pipeline file for its redaction."""


@dataclass(frozen=True, slots=True)
class RunningPipeline:
    """A running pipeline: its settings, servers and processes."""

    settings: Settings
    kafka: KafkaConfig
    clickhouse: ClickHouseConfig
    supervisor: Supervisor
    pipeline: Path
    """The pipeline file."""
    environment: Mapping[str, str] = field(repr=False)
    """The environment of the pipeline's processes."""
    processes: dict[str, Child] = field(default_factory=dict)
    """The last process started under each name: TIER, or TIER-INSTANCE."""
    clock: Callable[[], float] = time.monotonic
    _restarted_at: dict[str, float] = field(default_factory=dict)
    """The time at which a tier was last restarted."""

    def start(self, tier: str, instance: str | None = None, environment: Mapping[str, str] | None = None) -> Child:
        """Start one process of a tier, with `environment` added to the pipeline's.

        A second process of the same tier needs its own `instance`. If ESCALON_WEB_PORT is set, each name gets the next
        port from there.
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

    def start_all(self, tiers: Iterable[str], progress: Callable[[str], None] = lambda _: None) -> None:
        """Start each tier, and wait until the Faust tiers have partitions and tables, or raise ServiceError."""
        for tier, child in [(tier, self.start(tier)) for tier in tiers]:
            if tier in FAUST_TIERS:
                progress(f"Waiting until {tier} has its partitions")
                self.wait_ready(child, tier)

    def wait_ready(self, child: Child, tier: str, instance: str | None = None) -> None:
        """Wait until a Faust tier has its partitions and tables, or raise ServiceError."""
        self.supervisor.wait_ready(child, ready_file(self._of(instance), tier).exists, READY_SECONDS)

    def restart_ended(self) -> list[str]:
        """Restart each tier whose process has ended, and return a line about each.

        Raises ServiceError if a server has ended, a tier soon after its restart, or one at its limit on dead letters.
        """
        restarted = []
        for tier in [tier for tier in (*TIERS, BATCH) if tier in self.processes]:
            child, now = self.processes[tier], self.clock()
            code, steady = child.process.poll(), now - self._restarted_at.get(tier, -math.inf) >= STEADY_SECONDS
            if code in (None, DEAD_LETTER_LIMIT_EXIT) or not steady:
                continue
            self.supervisor.stop(child)
            self.start(tier)
            self._restarted_at[tier] = now
            restarted.append(f"{tier} ended with exit code {code} and was restarted; see {child.log}.")
        self.supervisor.check()
        return restarted

    def reload(self) -> None:
        """Restart the tiers that read the pipeline file. Meanwhile events wait in Kafka.

        The file is checked first: if it is wrong, ConfigError is raised and the running tiers continue.
        """
        loaded = load_pipeline(self.pipeline, self.settings.python)
        handlers = [*loaded.listeners.values(), *loaded.workers.values(), *loaded.reasoners.values()]
        Providers(loaded, self.settings).check(handlers)
        redaction_policy(loaded)
        readers = (*FAUST_TIERS, RECORD, BATCH)
        self.supervisor.stop(*(self.processes[tier] for tier in readers if tier in self.processes))
        self.start_all([tier for tier in readers if tier != BATCH or loaded.batches])

    def _of(self, instance: str | None) -> Settings:
        return self.settings if instance is None else replace(self.settings, instance=instance)


@contextmanager
def running_pipeline(
    settings: Settings,
    pipeline: Pipeline,
    report: Callable[[str], None] = lambda _: None,
    progress: Callable[[str], None] = lambda _: None,
) -> Iterator[RunningPipeline]:
    """Start the servers that are not configured, then the pipeline's processes; stop all of them at the end.

    Inside it every tier has its partitions. `report` gets one sentence about the chosen broker, and `progress` says
    what is being waited for.
    """
    with connected_pipeline(settings, pipeline.path, report, progress) as running:
        shutil.rmtree(settings.data_dir / "ready", ignore_errors=True)
        try:
            running.start_all([*TIERS, *([BATCH] if pipeline.batches else [])], progress)
            yield running
        finally:
            running.supervisor.stop(*running.processes.values())


@contextmanager
def connected_pipeline(
    settings: Settings,
    pipeline: Path | None,
    report: Callable[[str], None] = lambda _: None,
    progress: Callable[[str], None] = lambda _: None,
) -> Iterator[RunningPipeline]:
    """Start the servers that are not configured, with topics and tables, and no process yet; stop them at the end."""
    with ExitStack() as open_:
        progress("Waiting for Kafka and ClickHouse")
        supervisor, kafka, clickhouse, batch_bytes = _servers(settings, open_, report)
        settings = replace(settings, batch_bytes=batch_bytes)
        progress("Creating topics and tables")
        create_topics(
            kafka, settings.topic_prefix, settings.partitions, settings.replication, settings.topic_retention_seconds
        )
        migrate(clickhouse, retention=settings.audit_retention)
        environment = worker_environment(settings, kafka, clickhouse, pipeline)
        connected = replace(settings, kafka=kafka, clickhouse=clickhouse)
        yield RunningPipeline(connected, kafka, clickhouse, supervisor, pipeline or NO_PIPELINE, environment)


def _servers(
    settings: Settings, open_: ExitStack, report: Callable[[str], None]
) -> tuple[Supervisor, KafkaConfig, ClickHouseConfig, int]:
    """Return the supervisor, the two servers, and the most bytes that a producer may send at once."""
    if settings.kafka is not None and settings.clickhouse is not None:
        check_kafka(settings.kafka)
        check_clickhouse(settings.clickhouse)
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
        # Local tables are worthless, because the broker has lost the topics they were built from.
        shutil.rmtree(settings.data_dir / "tables", ignore_errors=True)
    return (
        stack.supervisor,
        KafkaConfig(servers=stack.addresses.kafka),
        ClickHouseConfig(url=stack.addresses.clickhouse),
        # Tansu may give all messages of a batch one offset, and the recovery of a table would then miss keys.
        1 if isinstance(broker, Tansu) else settings.batch_bytes,
    )


def worker_environment(
    settings: Settings, kafka: KafkaConfig, clickhouse: ClickHouseConfig, pipeline: Path | None
) -> dict[str, str]:
    named = {
        "ESCALON_KAFKA": kafka.servers,
        "ESCALON_CLICKHOUSE": clickhouse.url,
        "ESCALON_DATA": str(settings.data_dir),
        "ESCALON_KAFKA_BATCH_BYTES": str(settings.batch_bytes),
        "ESCALON_PIPELINE": str(pipeline or ""),
        "ESCALON_DRAIN_SECONDS": f"{settings.drain_seconds:.0f}",
        "ESCALON_CASSETTE": str(settings.cassette or ""),
        "ESCALON_RECORD_CASSETTE": str(settings.record_cassette or ""),
        SETTING: str(settings.python),
    }
    return module_environment() | named
