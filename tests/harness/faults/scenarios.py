"""Faults by name. Each is done at a random moment, and repaired afterwards."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from streams.app.process import FAUST_TIERS
from tests.harness.faults.clock import Clock
from tests.harness.faults.fleet import MODELS, Fleet, Place

Fault = Callable[[Fleet, random.Random], None]
ASKED: Final = re.compile(r"--alter --topic (?P<topic>\S+) --partitions (?P<count>\d+)")
RESTART_SECONDS: Final = 2.0
"""The seconds until a killed process is started again."""


def kill_a_worker(fleet: Fleet, chance: random.Random) -> None:
    """SIGKILL a worker of any tier and start it again."""
    place = _any(fleet, chance)
    fleet.kill(place)
    time.sleep(RESTART_SECONDS)
    fleet.start(place)


def stop_a_worker(fleet: Fleet, chance: random.Random) -> None:
    """SIGTERM a worker of any tier and start it again."""
    place = _any(fleet, chance)
    fleet.terminate(place)
    time.sleep(RESTART_SECONDS)
    fleet.start(place)


def restart_a_worker(fleet: Fleet, chance: random.Random) -> None:
    """SIGTERM a worker of a Faust tier and start it again, perhaps while its group is still dealing with its end."""
    place = _any(fleet, chance, FAUST_TIERS)
    fleet.terminate(place)
    time.sleep(chance.uniform(0, 2))
    fleet.start(place)


def add_and_take_a_worker(fleet: Fleet, chance: random.Random) -> None:
    """Start one more worker of a tier, then stop it, so that partitions move twice."""
    place = (chance.choice(FAUST_TIERS), "2")
    fleet.start(place)
    fleet.wait_ready(place)
    fleet.note(f"{place[0]}-2 added")
    time.sleep(chance.uniform(2, 8))
    fleet.terminate(place)
    fleet.remove(place)


def wipe_the_tables(fleet: Fleet, chance: random.Random) -> None:
    """SIGKILL a worker with tables, delete them, and start it again."""
    place = _any(fleet, chance, FAUST_TIERS)
    fleet.kill(place)
    fleet.wipe(place)
    time.sleep(RESTART_SECONDS)
    fleet.start(place)


def restart_the_broker(fleet: Fleet, chance: random.Random) -> None:
    """SIGKILL the only broker and start it again."""
    fleet.kill_server("kafka")
    time.sleep(chance.uniform(1, 10))
    fleet.start_broker()


def lose_a_leader(fleet: Fleet, chance: random.Random) -> None:
    """SIGKILL the broker that leads a random partition of the events, and start it again after a while."""
    leader = fleet.leader_of("events", chance.randrange(8))
    fleet.kill_server(f"kafka-{leader}")
    time.sleep(chance.uniform(5, 15))
    fleet.start_node(leader)


def freeze_a_worker(fleet: Fleet, chance: random.Random) -> None:
    """SIGSTOP a worker until its partitions belong to another; then it finishes what it had begun."""
    place = ("work", chance.choice("01"))
    before = fleet.handovers()[MODELS["work"]]
    with fleet.frozen(place):
        while fleet.handovers()[MODELS["work"]] == before:
            time.sleep(1)
        time.sleep(chance.uniform(0, 5))


def add_partitions(fleet: Fleet, _: random.Random) -> None:
    """`events` and `verdicts` get more partitions under running workers, and the operator does what these ask for."""
    for topic in ("events", "verdicts"):
        fleet.raise_partitions(topic, 12)
    for tier in ("listen", "work"):
        places = [place for place in fleet.places if place[0] == tier]
        for place in places:
            assert "Restart the tier" in fleet.ended(place)
        for place in places:
            fleet.start(place)
            while said := fleet.ready_or_ended(place):
                asked = ASKED.search(said)
                assert asked is not None, said
                fleet.raise_partitions(asked["topic"], int(asked["count"]))
                fleet.start(place)


def take_clickhouse_unavailable(fleet: Fleet, _: random.Random) -> None:
    """ClickHouse is gone for a minute."""
    fleet.kill_server("clickhouse")
    time.sleep(60)
    fleet.start_clickhouse()


def turn_a_clock(fleet: Fleet, chance: random.Random) -> None:
    """The time of day jumps under a running worker: by up to two days forth or back, and home again."""
    place = _any(fleet, chance, FAUST_TIERS)
    fleet.terminate(place)
    clock = Clock(fleet.running.settings.data_dir / f"clock-{place[0]}-{place[1]}")
    fleet.start(place, clock.environment)
    fleet.wait_ready(place)
    for seconds in (chance.choice((-172_800, -3_600, 3_600, 172_800)), 0):
        time.sleep(chance.uniform(3, 6))
        clock.turn(seconds)
        fleet.note(f"the clock of {place[0]}-{place[1]} is {seconds:+} s away")


def _any(fleet: Fleet, chance: random.Random, tiers: tuple[str, ...] | None = None) -> Place:
    places = [place for place in fleet.places if tiers is None or place[0] in tiers]
    return chance.choice(sorted(places))


@dataclass(frozen=True, slots=True)
class Scenario:
    """Faults that come by turns, about every `every` seconds, at most `most` of them."""

    faults: tuple[Fault, ...]
    every: float
    most: int = 1000
    brokers: int = 1


SCENARIOS: Final[Mapping[str, Scenario]] = {
    "none": Scenario((), 3600),
    "kill": Scenario((kill_a_worker,), 30),
    "stop": Scenario((stop_a_worker,), 20),
    "restarts": Scenario((restart_a_worker,), 3),
    "rebalance": Scenario((add_and_take_a_worker,), 15),
    "wiped": Scenario((wipe_the_tables,), 30),
    "broker": Scenario((restart_the_broker,), 40, 2),
    "leader": Scenario((lose_a_leader,), 40, 2, brokers=3),
    "clickhouse": Scenario((take_clickhouse_unavailable,), 15, 1),
    "clock": Scenario((turn_a_clock,), 25),
    "short": Scenario((kill_a_worker, stop_a_worker), 8, 2),
    "partitions": Scenario((add_partitions,), 10, 1),
    "frozen": Scenario((freeze_a_worker,), 10, 2),
    "short leader": Scenario((lose_a_leader,), 8, 1, brokers=3),
}
