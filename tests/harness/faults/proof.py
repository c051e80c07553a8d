"""The proof of a run: the raw topics, the provider's books and `escalon verify`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from streams.adapters.codec import Codec
from streams.adapters.topic_reader import TopicReader
from streams.audit.query import Audit
from streams.core.messages import DeadLetter, Outcome, StoredAnswer
from streams.core.tables import ANSWERS
from tests.harness.faults.fleet import Fleet
from tests.harness.faults.provider import Content
from tests.harness.faults.traffic import Planned
from tests.harness.progress import wait_for_sink

ROOT: Final = Path(__file__).resolve().parents[3]
STILL_SECONDS: Final = 4.0
"""Between two attempts at ClickHouse the sink waits up to 30 seconds."""
EXAMPLES: Final = 5
CHANGELOGS: Final = [ANSWERS[topic].changelog("") for topic in ("verdicts", "escalations")]


class Watch:
    """Follows the outcomes of some events, and all dead letters, on the raw topics."""

    def __init__(self, fleet: Fleet, planned: Mapping[str, Planned]) -> None:
        self.planned = planned
        self._codec = Codec()
        self._tail = TopicReader(fleet.running.kafka, ["outcomes", "dead-letters"])
        self.outcomes: dict[str, list[bytes]] = {}
        self.dead: dict[str, str] = {}
        """The reason by event."""
        self.stored = StoredAnswers(fleet)

    def look(self) -> None:
        """Read what has come."""
        for record in self._tail.batch():
            value = record.value or b""
            if record.topic == "outcomes":
                event_id = self._codec.decode(Outcome, value).origin.event_id
                if event_id in self.planned:
                    self.outcomes.setdefault(event_id, []).append(value)
            else:
                letter = self._codec.decode(DeadLetter, value)
                self.dead[letter.event_id] = letter.reason

    def missing(self, among: Iterable[str] | None = None) -> list[str]:
        """Return the events without an end, of all that are planned or of some."""
        asked = self.planned.keys() if among is None else set(among)
        return sorted(asked - self.outcomes.keys() - self.dead.keys())

    def close(self) -> None:
        """Leave."""
        self._tail.close()
        self.stored.close()


class StoredAnswers:
    """Follows the changelogs of the answers, and notes when each answer could be read from there.

    A record's own time does not say that: it may be written much later, and be readable later still, when its broker or
    another one is lost.
    """

    def __init__(self, fleet: Fleet) -> None:
        self._reader = TopicReader(fleet.running.kafka, CHANGELOGS)
        self.at: dict[Content, float] = {}
        """In seconds since 1970."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        codec = Codec()
        for record in self._reader.follow(self._stop.is_set):
            if record.value:
                call = codec.decode(StoredAnswer, record.value).calls[-1]
                self.at.setdefault((str(call.request_model), str(call.prompt)), time.time())

    def close(self) -> None:
        """Stop following."""
        self._stop.set()
        self._thread.join()
        self._reader.close()


@dataclass(kw_only=True)
class Proof:
    """The figures of one run. All but the first, the copies and the tolls must be 0 or empty."""

    events: int
    lost: list[str]
    doubled: list[str]
    """Events with two outcomes that differ."""
    dead: dict[str, str]
    wrong: list[str]
    """Events that did not end as their text says they must."""
    copies: int
    """Outcomes delivered again, byte by byte the same."""
    calls: int
    paid_again: int
    in_flight: int
    """Calls whose partition was given to another worker before Kafka had the answer."""
    stored_again: int
    """Calls that were paid for again although Kafka had the answer."""
    toll: dict[str, Any] = field(default_factory=dict)
    verify: list[Any] = field(default_factory=list)
    """Faults that `escalon verify` names."""
    paid_examples: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def faults(self) -> dict[str, Any]:
        """The broken promises."""
        found = {
            "lost": self.lost,
            "doubled": self.doubled,
            "dead": self.dead,
            "wrong": self.wrong,
            "verify": self.verify,
            "stored_again": self.stored_again,
        }
        return {name: what for name, what in found.items() if what}


def prove(fleet: Fleet, watch: Watch, seconds: float) -> Proof:
    """Look everything up once the pipeline is still."""
    wait_until_still(fleet)
    watch.look()
    books, stored, handovers = fleet.provider.books, watch.stored.at, fleet.handovers()
    again = [one for _, one in books.paid_again()]
    return Proof(
        events=len(watch.planned),
        lost=watch.missing(),
        doubled=sorted(name for name, values in watch.outcomes.items() if len(set(values)) > 1),
        dead=watch.dead,
        wrong=_wrong(watch),
        copies=sum(len(values) - len(set(values)) for values in watch.outcomes.values()),
        calls=len(books.sales),
        paid_again=len(again),
        in_flight=books.in_flight(handovers, stored),
        stored_again=books.stored_again(handovers, stored),
        toll=asdict(fleet.toll),
        verify=verify(fleet),
        paid_examples=_sold(fleet, {one.content for one in again[:EXAMPLES]}),
        seconds=round(seconds, 1),
    )


def _wrong(watch: Watch) -> list[str]:
    codec, found = Codec(), []
    for event_id, values in watch.outcomes.items():
        outcome = codec.decode(Outcome, values[0])
        if (outcome.state, outcome.tier) not in watch.planned[event_id].ends:
            found.append(f"{event_id}: {outcome.state} by {outcome.tier}, {' '.join(outcome.reasons)[:300]}")
    return sorted(found)


def _sold(fleet: Fleet, contents: set[Content]) -> list[str]:
    began = fleet.started
    return [
        f"{one.content[1][-60:]!r} for {one.asker} from {one.began - began:.1f} to {(one.ended or 0) - began:.1f} s"
        for one in fleet.provider.books.sales
        if one.content in contents
    ]


def wait_until_still(fleet: Fleet) -> None:
    """Wait until the sink has committed everything, or for a while, and the audit takes no more rows."""
    wait_for_sink(fleet.running.kafka)
    audit, last = Audit(fleet.running.clickhouse), -1
    counts = " UNION ALL ".join(f"SELECT count() AS c FROM {table}" for table in ("calls", "outcomes", "verdicts"))
    try:
        while (now := audit.query(f"SELECT sum(c) AS c FROM ({counts})").records()[0]["c"]) != last:
            last = now
            time.sleep(STILL_SECONDS)
    finally:
        audit.close()


def verify(fleet: Fleet) -> list[Any]:
    """The faults that `escalon verify` names."""
    command = [sys.executable, "-m", "streams", "verify", "--grace", "0s", "--json"]
    environment = {**os.environ, **fleet.running.environment, "PYTHONPATH": str(ROOT)}
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if said.returncode not in (0, 1):
        raise RuntimeError(said.stderr)
    faults: list[Any] = json.loads(said.stdout)["faults"]
    return faults
