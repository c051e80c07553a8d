"""Report the lag of a tier on Faust."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import faust

from streams.telemetry.lag import LAG, PartitionLag


def watch_faust(app: faust.App, topics: Collection[str]) -> None:
    """Watch the consumer of a Faust app, on the topics of its agents."""

    def look() -> Iterator[PartitionLag]:
        if not app.started:  # before that it has no consumer to ask
            return
        consumer = app.consumer
        for place in consumer.assignment():
            if place.topic not in topics or place not in consumer.bounds:
                continue
            first, behind_last = consumer.bounds[place]
            reached = consumer.reached(place)
            waiting = behind_last - (first if reached is None else reached)
            yield PartitionLag(place.topic, place.partition, waiting, consumer.held_back(place))

    LAG.watch(look)
