"""The handlers of a replay whose calls can be in batches, and what their calls are expected to cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple

from streams.app.provider_limits import has_batches
from streams.app.providers import Providers
from streams.app.settings import Settings
from streams.core.errors import ConfigError
from streams.pipeline.handlers import Handler
from streams.pipeline.load import Pipeline
from streams.replay.batch_record import BatchStore


class MeanCost(NamedTuple):
    """The mean US dollars of a handler's live calls by the ordinary API and in batches; None where it had none."""

    name: str
    """`tier.handler`."""
    at_once: Decimal | None
    in_batch: Decimal | None


def expected_costs(
    means: Iterable[MeanCost], shares: Mapping[str, Decimal | None], *, batch: bool
) -> dict[str, Decimal]:
    """Return the mean US dollars of a call in a replay, by handler; unknown ones are left out.

    `shares` has, for each handler whose calls can be in a batch, the share of the price that they cost in one.
    """
    costs = dict[str, Decimal | None]()
    for name, at_once, in_batch in means:
        share = shares.get(name)
        if batch and name in shares:
            costs[name] = in_batch if in_batch is not None or at_once is None or share is None else at_once * share
        else:
            costs[name] = at_once if at_once is not None or in_batch is None or not share else in_batch / share
    return {name: usd for name, usd in costs.items() if usd is not None}


def batch_shares(pipeline: Pipeline, settings: Settings) -> dict[str, Decimal | None]:
    """Return the share of the price that each handler's calls cost in a batch, by `tier.handler`; None: unknown.

    Handlers whose model has no batches are left out.
    """
    providers, shares = Providers(pipeline, settings), dict[str, Decimal | None]()
    for handler in _with_batches(pipeline):
        callee = next(iter(providers.callees({handler.name: handler})))
        price = pipeline.prices.find(callee.priced_as) if callee.priced_as else None
        shares[f"{handler.tier}.{handler.name}"] = price.batch if price else None
    return shares


def check_batches(pipeline: Pipeline, settings: Settings, store: BatchStore, *, wanted: bool) -> None:
    """Raise ConfigError for batches that cannot be had, and for a replay that would leave its own behind."""
    if not wanted:
        if store.batches():
            what = "this replay has made batches, whose answers may be paid for."
            raise ConfigError(what, "Go on with it with --batch.", "batch")
        return
    if settings.cassette is not None or settings.record_cassette is not None:
        raise ConfigError("a cassette holds no batches.", "Leave --batch out, or the cassette.", "batch")
    if not _with_batches(pipeline):
        what = "no handler's model has a batch API."
        raise ConfigError(what, 'Leave --batch out. Models of "claude" and "openai" at their makers have one.', "batch")


def _with_batches(pipeline: Pipeline) -> list[Handler]:
    """Return the handlers whose model's provider has batches."""
    handlers = (*pipeline.listeners.values(), *pipeline.workers.values(), *pipeline.reasoners.values())
    models = pipeline.spec.models
    return [one for one in handlers if one.prompting and has_batches(models[one.prompting.model_key])]
