"""The deployment that the pages show while it starts: they listen before its pipeline, servers and tiers are ready."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar

from streams.adapters.clickhouse_connection import ClickHouseConfig
from streams.adapters.kafka import KafkaConfig
from streams.app.process import FAUST_TIERS, ready_file
from streams.app.settings import Settings, require_clickhouse
from streams.audit.query import Audit
from streams.core.errors import EscalonError
from streams.embedded.stack import running
from streams.pipeline.code import make_importable
from streams.pipeline.load import Pipeline, load_pipeline
from streams.ui.links import LinkSigner, signing_key
from streams.ui.operator.frame import OperatorSite
from streams.ui.operator.pages import make_operator_site
from streams.ui.operator.reads import AuditReads
from streams.ui.panel.site import PanelSite

LOOK_SECONDS: Final = 0.5
log = logging.getLogger("escalon.ui")
_T = TypeVar("_T")


@dataclass(kw_only=True)
class StartingDeployment:
    """A deployment that another process starts: a pipeline file, and servers on the data directory or configured."""

    settings: Settings
    pipeline: Path
    site: OperatorSite
    look_seconds: float = LOOK_SECONDS

    def steps(self) -> list[tuple[str, bool]]:
        """Return what must be ready, in words, and whether it is."""
        servers = self.site.settings.clickhouse is not None
        tiers = [(f"tier {tier}", servers and ready_file(self.settings, tier).exists()) for tier in FAUST_TIERS]
        return [("pipeline file", self.site.pipeline is not None), ("Kafka and ClickHouse", servers), *tiers]

    async def connect(self) -> PanelSite:
        """Wait until the pipeline file can be read and the servers run, then return the panels of the deployment."""
        pipeline = await self._wait(self._load)
        self.site.pipeline = pipeline
        self.site.settings = settings = await self._wait(self._connected)
        return await self._wait(lambda: _panel(settings, pipeline))

    async def _wait(self, look: Callable[[], _T | None]) -> _T:
        while True:
            try:
                if (found := await asyncio.to_thread(look)) is not None:
                    return found
            except EscalonError as error:
                log.info("not ready: %s", error)
            await asyncio.sleep(self.look_seconds)

    def _load(self) -> Pipeline | None:
        if not self.pipeline.is_file():
            return None
        pipeline = load_pipeline(self.pipeline, self.settings.python)
        make_importable(pipeline.spec, self.pipeline.parent)
        return pipeline

    def _connected(self) -> Settings | None:
        if self.settings.kafka is not None and self.settings.clickhouse is not None:
            return replace(self.settings, pipeline=self.pipeline)
        found = running(self.settings.data_dir)
        if found is None:
            return None
        kafka, clickhouse = KafkaConfig(servers=found.kafka), ClickHouseConfig(url=found.clickhouse)
        return replace(self.settings, kafka=kafka, clickhouse=clickhouse, pipeline=self.pipeline)


def operator_of(settings: Settings, pipeline: Pipeline | None) -> OperatorSite:
    """Return the operator's pages on the audit that the settings of the site name when it is read."""
    signer = LinkSigner(signing_key(settings))
    reads = AuditReads(lambda: Audit(require_clickhouse(site.settings)))
    site = make_operator_site(settings, pipeline, reads, signer)
    return site


def _panel(settings: Settings, pipeline: Pipeline) -> PanelSite:
    site = PanelSite(settings, pipeline)
    site.load()
    return site
