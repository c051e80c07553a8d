"""The messages that are published and not handled yet, for each process of the pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from streams.adapters.group_lag import GroupLags
from streams.adapters.source_topics import SourceTopics
from streams.core.errors import ServiceError
from streams.core.topics import DEFERRED
from streams.sink.batch import SINK_TABLES, sink_group
from streams.ui.operator.frame import OperatorSite

KEPT_SECONDS: Final = 5.0
READ_BY: Final[Mapping[str, tuple[str, ...]]] = {
    "listen": ("events", "images"), "work": ("verdicts",), "reason": ("escalations",),
    "resume": (DEFERRED["budget"].name,), "batch": (DEFERRED["batch"].name,),
}  # fmt: skip
"""Escalon's topics of each process; of `resume`, those of the tasks that wait for the next day's budget.

`batch` commits a task when those before it went back as well, so its lag is the most that may wait."""
lags_of = lru_cache(maxsize=1)(GroupLags)
"""The lags of a cluster, by one connection."""


async def lag_by_process(site: OperatorSite) -> dict[str, int] | None:
    """Return the messages that each process has not handled; None if Kafka does not answer.

    Numbers are not exact: markers of Kafka's transactions count as messages, and of a last batch of several messages
    the broker in memory counts only some.
    """
    settings = site.settings
    if settings.kafka is None:
        return None
    prefix, kafka = settings.topic_prefix, settings.kafka
    groups = {f"escalon-{prefix}{name}": [prefix + topic for topic in topics] for name, topics in READ_BY.items()}
    groups[sink_group(prefix)] = [prefix + topic for topic in SINK_TABLES]
    specs = site.pipeline.spec.source if site.pipeline is not None else ()
    own = {f"escalon-{prefix}listen": SourceTopics(specs, prefix).among} if specs else {}

    def read() -> dict[str, int] | None:
        try:
            found = lags_of(kafka).read(groups, own)
        except ServiceError:
            return None
        return {group.removeprefix(f"escalon-{prefix}"): behind for group, behind in found.items()}

    return await site.reads.call(("lag", kafka.servers, prefix), read, KEPT_SECONDS)
