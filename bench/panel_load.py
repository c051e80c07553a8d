"""Response times of the panel's pages with many raters at one process.

    python -m bench.panel_load [--raters 200] [--cases 10000] [--think 5] [--judgements 30] [--json]

It starts a broker, ClickHouse and one `escalon ui`, and makes a panel with one rater a case. Each rater judges some
cases over a connection that stays open; a thought before each lasts THINK seconds on average (exponential; 0 for none,
which measures the most that the process can do). People think for half a minute or more. `page` is the next case,
`judge` the saving of a judgement, until Kafka has confirmed it and the next case is reserved. The first case of each
rater is left out, because all raters open their links in the same second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np

from streams.embedded.broker import free_ports
from streams.embedded.stack import start_clickhouse
from streams.embedded.supervisor import Supervisor
from tests.harness.panel_process import UiProcess
from tests.harness.panel_raters import LoadRater, lost_or_doubled
from tests.harness.panel_site import PanelWorld, panel_servers


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadFigures:
    """Response times in milliseconds, and the judgements of a second."""

    raters: int
    cases: int
    think_seconds: float
    judgements: int
    judgements_per_second: float
    page_ms: tuple[float, float, float]
    """Median, 99th percentile, greatest."""
    judge_ms: tuple[float, float, float]
    requests_repeated: int
    start_seconds: float
    """From the start of the process to its first answer."""


def measure(raters: int, cases: int, think: float, judgements: int) -> LoadFigures:
    """Run one panel and return its figures. Raises AssertionError if a judgement was lost or doubled."""
    people = tuple(f"rater-{number}" for number in range(raters))
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        with (
            Supervisor(root / "logs") as supervisor,
            panel_servers(root, start_clickhouse(supervisor, root)) as servers,
        ):
            world = PanelWorld(servers, root, cases=cases, people=people, clock_offset=timedelta())
            pages = UiProcess(supervisor, world.settings, servers.pipeline.path, free_ports(1)[0])
            began = time.perf_counter()
            pages.start()
            started = time.perf_counter() - began

            def thought(draw: random.Random) -> float:
                return draw.expovariate(1 / think) if think else 0.0

            group = [LoadRater(name, world.link(name), thought, most=judgements) for name in people]
            began = time.perf_counter()
            asyncio.run(_judge(group, pages.address))
            seconds = time.perf_counter() - began
            wrong = [one for one in lost_or_doubled(world, group) if "too few" not in one]
            assert wrong == [], wrong
    saved = sum(len(one.saved) for one in group)
    return LoadFigures(
        raters=raters,
        cases=cases,
        think_seconds=think,
        judgements=saved,
        judgements_per_second=round(saved / seconds, 1),
        page_ms=_milliseconds([one.seconds["page"][2:] for one in group]),
        judge_ms=_milliseconds([one.seconds["judge"][1:] for one in group]),
        requests_repeated=sum(one.repeats for one in group),
        start_seconds=round(started, 1),
    )


async def _judge(group: Sequence[LoadRater], address: str) -> None:
    await asyncio.gather(*(one.run(address) for one in group))


def _milliseconds(seconds: Sequence[Sequence[float]]) -> tuple[float, float, float]:
    every = 1000 * np.concatenate([np.asarray(one) for one in seconds])
    middle, late, last = np.quantile(every, [0.5, 0.99, 1.0]).round(1).tolist()
    return middle, late, last


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raters", type=int, default=200)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--think", type=float, default=5.0)
    parser.add_argument("--judgements", type=int, default=30, help="by each rater")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found = measure(asked.raters, asked.cases, asked.think, asked.judgements)
    if asked.json:
        sys.stdout.write(json.dumps(asdict(found)) + "\n")
        return
    for name, value in asdict(found).items():
        print(f"{name:22} {value}")


if __name__ == "__main__":
    main()
