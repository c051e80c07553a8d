"""The time from publication to outcome, and of each hop, at steady rates through a listener, a worker and SETTLE.

The models are a fake Messages API without latency. An event's time begins when its program hands it to the publisher
and ends when a consumer has its outcome. A hop ends when its message is handed to the producer, as Kafka's time of
creation says: so it includes the delivery of the message before, and `delivery` is that of the outcome.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final

from confluent_kafka import OFFSET_END, Consumer, TopicPartition

from bench.deployment import PARTITIONS, PATIENCE_SECONDS, TIERS, Deployment, deployment, messages_api
from bench.desk import PATHS, desk
from bench.measure import Case, Options, Ratio, Result, Rounds, interleave
from streams.adapters.codec_factory import codec_for
from streams.core import messages as m

PATH: Final = "answered by a worker"
RATES: Final = {20: 300, 100: 1500, 300: 3000}
"""Events a second, and how many."""
QUICK_EVENTS: Final = 60
TARGETS: Final = {(100, "p50"): 15.0, (100, "p99"): 60.0, (300, "p99"): 250.0}
"""The longest time allowed, in milliseconds."""
HOPS: Final = {"verdicts": "LISTEN", "results": "WORK", "outcomes": "SETTLE"}
MESSAGES: Final = {"verdicts": m.Verdict, "results": m.Result, "outcomes": m.Outcome}
SEEN: Final = "seen"


@dataclass(slots=True)
class Watch:
    """Follows the topics of the hops in a thread, and keeps each message's time of creation by event."""

    consumer: Consumer
    times: dict[str, dict[str, float]] = field(default_factory=dict)
    """By event: the milliseconds at which each topic had it, and at which its outcome was seen."""
    ended: int = 0
    _raw: list[tuple[float, Any]] = field(default_factory=list)
    _stopped: threading.Event = field(default_factory=threading.Event)

    def follow(self) -> None:
        while not self._stopped.is_set():
            message = self.consumer.poll(0.1)
            if message is not None and message.error() is None:
                self._raw.append((1000 * time.time(), message))
                self.ended += message.topic() == "outcomes"

    def stop(self) -> None:
        """Stop following; decode only now, so that decoding does not delay what is measured."""
        self._stopped.set()

    def read(self) -> None:
        codec = codec_for(None)
        for seen, message in self._raw:
            event_id = _event_id(codec.decode(MESSAGES[message.topic()], message.value()))
            own = self.times.setdefault(event_id, {})
            own[message.topic()] = message.timestamp()[1]
            if message.topic() == "outcomes":
                own[SEEN] = seen


def _event_id(message: Any) -> str:
    origin = message.event.origin if isinstance(message, m.Verdict) else message.origin
    return str(origin.event_id)


@contextmanager
def watching(deployed: Deployment) -> Iterator[Watch]:
    """Follow the topics from now on."""
    consumer = Consumer(deployed.running.kafka.consumer("bench-latency", **{"fetch.wait.max.ms": 10}))
    places = [TopicPartition(topic, number, OFFSET_END) for topic in MESSAGES for number in range(PARTITIONS)]
    consumer.assign(places)
    consumer.poll(1.0)  # the ends are looked up by the first fetch
    watch = Watch(consumer)
    thread = threading.Thread(target=watch.follow)
    thread.start()
    try:
        yield watch
    finally:
        watch.stop()
        thread.join()
        consumer.close()


@dataclass(frozen=True, slots=True)
class Steady:
    """Events at a steady rate through a running pipeline."""

    deployed: Deployment
    per_second: int
    events: int
    numbers: Iterator[int] = field(default_factory=count)

    def __call__(self) -> Mapping[str, float]:
        prefix = f"{self.per_second}-{next(self.numbers)}"
        events = [PATHS[PATH](f"{prefix}-{number}") for number in range(self.events)]
        published: dict[str, float] = {}
        with watching(self.deployed) as watch:
            self.deployed.publish(_noted(events, published), self.per_second)
            deadline = time.monotonic() + PATIENCE_SECONDS
            while watch.ended < self.events:
                self.deployed.running.supervisor.check()
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{watch.ended} of {self.events} events have an outcome.")
                time.sleep(0.1)
        watch.read()
        return figures(published, watch.times)


def _noted(events: Iterable[Mapping[str, Any]], published: dict[str, float]) -> Iterator[Mapping[str, Any]]:
    """Note the time at which each event has just been given to the publisher, as the next one is asked for."""
    for event in events:
        yield event
        published[str(event["id"])] = 1000 * time.time()


def figures(published: Mapping[str, float], times: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return percentiles of the whole time, and the median and 99th percentile of each hop."""
    whole = [times[event_id][SEEN] - at for event_id, at in published.items()]
    found = {f"p{share} ms": percentile(whole, share) for share in (50, 90, 99)}
    hops: dict[str, list[float]] = {name: [] for name in (*HOPS.values(), "delivery")}
    for event_id, at in published.items():
        before, own = at, times[event_id]
        for topic, name in HOPS.items():
            hops[name].append(own[topic] - before)
            before = own[topic]
        hops["delivery"].append(own[SEEN] - before)
    for name, taken in hops.items():
        found |= {f"{name}-p{share} ms": percentile(taken, share) for share in (50, 99)}
    return found


def percentile(values: Iterable[float], share: int) -> float:
    """Return the least value that at least `share` per cent of all do not exceed."""
    ordered = sorted(values)
    return ordered[-(-len(ordered) * share // 100) - 1]


def ratios(rounds: Rounds, name: str) -> Iterator[Ratio]:
    for (rate, quantity), most in TARGETS.items():
        taken = rounds.taken[f"{name}: {rate}/s", f"{quantity} ms"]
        yield Ratio(f"{quantity} at {rate}/s / {most:g} ms", tuple(one / most for one in taken), at_most=1.0)


def run(options: Options) -> Result:
    """Run all rates in turns."""
    cases: dict[str, Case] = {}
    with ExitStack() as opened:
        url = opened.enter_context(messages_api())
        pipeline = desk(Path(opened.enter_context(tempfile.TemporaryDirectory())))
        for name, tree in options.checkouts().items():
            deployed = opened.enter_context(deployment(pipeline, options, tree, ANTHROPIC_BASE_URL=url))
            deployed.start(*TIERS)
            Steady(deployed, 50, options.size(200, 20))()  # warm up
            for rate, events in RATES.items():
                cases[f"{name}: {rate}/s"] = Steady(deployed, rate, options.size(events, QUICK_EVENTS))
        rounds = interleave(cases, options.rounds_or(3))
    notes = ["one process a tier, servers, publisher and consumer on the same cores"]
    return Result("latency", list(ratios(rounds, "escalon")), rounds.figures(), notes)
