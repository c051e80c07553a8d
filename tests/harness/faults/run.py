"""One seeded run: events at a steady rate, faults at random moments, and the proof at the end."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from streams.app.publisher import Publisher
from tests.harness.faults.fleet import Fleet
from tests.harness.faults.proof import Proof, Watch, prove
from tests.harness.faults.scenarios import Scenario
from tests.harness.faults.traffic import Planned, traffic

PATIENCE_SECONDS: Final = 120.0
"""Seconds without an end, once all is published and the last fault is over, after which the rest counts as lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The number of events, and their rate per second."""

    events: int
    rate: float


def run(on: Fleet, scenario: Scenario, seed: int, load: Load) -> Proof:
    """Run a scenario and say what came of it. Everything random follows from the seed, but the processes' pace."""
    on.begin()
    events = list(traffic(seed, load.events))
    planned = {one.id: one for one in events}
    publishing = threading.Thread(target=_publish, args=(on, events, load.rate), daemon=True)
    watch = Watch(on, planned)
    began = time.monotonic()
    publishing.start()
    try:
        _until_the_end(on, watch, publishing, _Timetable(scenario, seed))
        return prove(on, watch, time.monotonic() - began)
    finally:
        publishing.join(30)
        watch.close()


class _Timetable:
    """The due time of each fault, by the monotonic clock."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self._scenario = scenario
        self._chance = random.Random(f"faults {seed}")
        self._done = 0
        self._next = time.monotonic() + self._pause()

    def step(self, on: Fleet) -> bool:
        """Do the next fault if it is due."""
        if not self._scenario.faults or self._done >= self._scenario.most or time.monotonic() < self._next:
            return False
        self._scenario.faults[self._done % len(self._scenario.faults)](on, self._chance)
        self._done += 1
        self._next = time.monotonic() + self._pause()
        return True

    def _pause(self) -> float:
        return self._scenario.every * self._chance.uniform(0.5, 1.5)


def _until_the_end(on: Fleet, watch: Watch, publishing: threading.Thread, timetable: _Timetable) -> None:
    ended, since = 0, time.monotonic()
    while True:
        on.running.supervisor.check()
        watch.look()
        left = watch.missing()
        if not publishing.is_alive() and not left:
            return
        if len(left) != ended or publishing.is_alive():
            ended, since = len(left), time.monotonic()
        # Towards the end the faults stop when the stream does, so that there is something to wait for.
        if publishing.is_alive() and timetable.step(on):
            since = time.monotonic()
        if time.monotonic() - since > PATIENCE_SECONDS:
            return


def _publish(on: Fleet, events: Sequence[Planned], rate: float) -> None:
    began = time.monotonic()
    with Publisher(on.running.kafka, blobs=on.running.settings.blobs) as publisher:
        for number, event in enumerate(events):
            time.sleep(max(0.0, began + number / rate - time.monotonic()))
            publisher.publish(event.text or "", id=event.id, image=event.image)
