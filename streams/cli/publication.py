"""Publish events and labels with the settings' servers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from streams.app.publisher import Delivery, Publisher
from streams.app.settings import Settings
from streams.cli.context import require_kafka
from streams.cli.event_source import Publishable
from streams.core.messages import Label


def publish_events(settings: Settings, events: Iterable[Publishable], topic: str | None = None) -> list[Delivery]:
    with Publisher(require_kafka(settings), blobs=settings.blobs, topic=topic) as publisher:
        for item in events:
            publisher.publish_raw(item.event, image=item.image)
        return publisher.flush()


def publish_labels(settings: Settings, labels: Sequence[Label]) -> list[Delivery]:
    with Publisher(require_kafka(settings), blobs=settings.blobs) as publisher:
        for one in labels:
            publisher.publish_label(one)
        return publisher.flush()
