"""The stages of a candidate pipeline, built for a replay."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain

from streams.app.provider_limits import has_batches
from streams.app.providers import Providers
from streams.app.redaction import redaction_policy
from streams.app.settings import Settings
from streams.calling.caller import Callee
from streams.calling.chain import CallServices, Layer
from streams.calling.prompted import PromptedModel
from streams.calling.record import CallRecords
from streams.calling.task import Task
from streams.core.errors import ConfigError
from streams.core.messages import Tier
from streams.core.pricing import PriceList
from streams.pipeline.handlers import Handler
from streams.pipeline.load import Pipeline
from streams.pipeline.spec import ImageDuplicateListener
from streams.replay.batches import ReplayBatches
from streams.replay.changelogs import Changelogs
from streams.replay.counted import Counted, ReplaySpending
from streams.replay.drive import Tiers, as_replayed
from streams.replay.images import EarlierImages
from streams.replay.in_batch import InBatch
from streams.replay.replayed import ReplayedAnswers
from streams.replay.store import ReplayStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """The parts that the stages of a replay are built from."""

    settings: Settings
    pipeline: Pipeline
    providers: Providers
    store: ReplayStore
    spending: ReplaySpending
    changelogs: Changelogs
    before: Callable[[Handler, Task], None]
    """Called before each call; it may refuse the call."""
    batches: ReplayBatches | None = None
    """None: all calls are made by the ordinary API."""

    def tiers(self) -> Tiers:
        """Return the stages. Raises ConfigError where a limit is set and a call has no price."""
        pipeline = as_replayed(self.pipeline)
        records = CallRecords(
            pipeline_hash=pipeline.hash,
            prices=pipeline.prices,
            now=self.settings.now,
            timer=time.perf_counter,
            redaction=redaction_policy(pipeline),
        )
        handlers: dict[Tier, Mapping[str, Handler]] = {
            "listener": pipeline.listeners,
            "worker": pipeline.workers,
            "reasoner": pipeline.reasoners,
        }
        callers = {tier: self.providers.callers(of, self._services(records)) for tier, of in handlers.items()}
        if self.spending.limit is not None:
            _check_prices(chain.from_iterable(map(self.providers.callees, handlers.values())), pipeline.prices)
        watcher = next(
            (one.spec for one in pipeline.listeners.values() if isinstance(one.spec, ImageDuplicateListener)), None
        )
        return Tiers(
            pipeline=pipeline,
            callers=callers,
            scorers=self.providers.scorers(pipeline.workers),
            records=records,
            images=self.providers.images,
            seen=self._seen(watcher),
            now=self.settings.now,
        )

    def _services(self, records: CallRecords) -> CallServices:
        return CallServices(
            answers=ReplayedAnswers(store=self.store, prior=self.store, records=records),
            records=records,
            sleep=asyncio.sleep,
            jitter=random.random,
            budget=self.spending,
            watch=partial(Counted, before=self.before),
            in_batch=partial(self._in_batch, self.batches, records) if self.batches is not None else None,
        )

    def _in_batch(self, batches: ReplayBatches, records: CallRecords, model: PromptedModel) -> Layer | None:
        if not has_batches(self.pipeline.spec.models[model.prompting.model_key]):
            return None
        return partial(InBatch, batches=batches, model=model, records=records, before=self.before)

    def _seen(self, watcher: ImageDuplicateListener | None) -> EarlierImages:
        """Return the images seen first; without a listener for images none are read."""
        if watcher is None:
            return EarlierImages([], 1, self.store)
        return EarlierImages(self.changelogs.images(), watcher.capacity, self.store)


def _check_prices(callees: Iterable[Callee], prices: PriceList) -> None:
    """Raise ConfigError for a call without a price: no limit can be kept for it."""
    for one in callees:
        if one.priced_as is None or prices.find(one.priced_as) is None:
            what = f"the calls of {one.handler.tier}s.{one.handler.name} have no price, so no limit can be kept."
            raise ConfigError(what, "Set priced_as on its model, or leave --max-cost out.", "max-cost")
