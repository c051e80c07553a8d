"""Puts the stages of a candidate pipeline together for a replay."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from streams.adapters.blobs import BlobStore
from streams.app.providers import Providers
from streams.app.redaction import redaction_policy
from streams.app.settings import Settings
from streams.core.errors import ConfigError
from streams.core.messages import Tier
from streams.models.listeners.image import MAX_BYTES
from streams.models.listeners.image_pool import FewAtOnce
from streams.pipeline.handlers import Handler
from streams.pipeline.load import Pipeline
from streams.replay.changelogs import Changelogs
from streams.replay.drive import Tiers, as_replayed
from streams.replay.images import EarlierImages
from streams.replay.spending import Spending, Watched
from streams.replay.store import ReplayStore
from streams.stages.listen import IMAGE_DUPLICATE
from streams.stages.ports import Desk
from streams.stages.task import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """What the stages of a replay are made from."""

    settings: Settings
    pipeline: Pipeline
    providers: Providers
    store: ReplayStore
    spending: Spending
    changelogs: Changelogs
    before: Callable[[Handler, Task], None]
    """Told of each call before it is made; it may refuse it."""

    def tiers(self) -> Tiers:
        """The stages. Raises ConfigError where a limit is set and a call has no price."""
        pipeline = as_replayed(self.pipeline)
        handlers: dict[Tier, Mapping[str, Handler]] = {
            "listener": pipeline.listeners,
            "worker": pipeline.workers,
            "reasoner": pipeline.reasoners,
        }
        desks = {tier: self._desk(of) for tier, of in handlers.items()}
        if self.spending.limit is not None:
            _check_prices(desks, pipeline)
        images = FewAtOnce(partial(BlobStore(self.settings.blobs).get, most=MAX_BYTES + 1))
        watcher = next((one for one in pipeline.listeners.values() if one.spec.kind == IMAGE_DUPLICATE), None)
        return Tiers(
            pipeline=pipeline,
            desks=desks,
            images=images,
            seen=self._seen(watcher),
            now=self.settings.now,
        )

    def _seen(self, watcher: Handler | None) -> EarlierImages:
        """The images seen first; where nobody watches images, none need be read."""
        if watcher is None:
            return EarlierImages([], 1, self.store)
        return EarlierImages(self.changelogs.images(), watcher.spec.capacity, self.store)

    def _desk(self, handlers: Mapping[str, Handler]) -> Desk:
        """A tier's desk. Thresholds are asked for as the file has them: whether a calibration has expired is a
        question to the live stream."""
        return Desk(
            pipeline_hash=self.pipeline.hash,
            askers={name: Watched(asker, self.before) for name, asker in self.providers.askers(handlers).items()},
            answers=self.store,
            prices=self.pipeline.prices,
            now=self.settings.now,
            timer=time.perf_counter,
            sleep=asyncio.sleep,
            jitter=random.random,
            purse=self.spending,
            prior=self.store,
            agrees=self.providers.agrees(handlers),
            assessors=self.providers.assessors(handlers),
            redaction=redaction_policy(self.pipeline),
        )


def _check_prices(desks: Mapping[Tier, Desk], pipeline: Pipeline) -> None:
    """A limit can be kept only where every call has a price."""
    for tier, desk in desks.items():
        asked = [(name, one) for name, own in desk.askers.items() for one in (own, own.fallback) if one is not None]
        for name, asker in asked:
            if not asker.free and (asker.priced_as is None or pipeline.prices.find(asker.priced_as) is None):
                what = f"the calls of {tier}s.{name} have no price, so no limit can be kept."
                raise ConfigError(what, "Set priced_as on its model, or leave --max-cost out.", "max-cost")
