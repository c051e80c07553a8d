"""Run benchmarks, and print the ratios of each first, then its figures.

    python -m bench.run [NAME...] [--quick] [--rounds N] [--against DIR] [--kafka-home DIR] [--json FILE]

Without a name all run, one after the other. Ratios are of figures measured in the same round: the cases of a benchmark
take turns, so that a busy machine slows all alike. CPU times include the system's share.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from bench.measure import Figure, Options, Ratio, Result

BENCHMARKS: Final = {
    "compression": "CPU time and disk of what is produced with each compression, beside none",
    "event_cost": "CPU time of an event by path and process, beside LiteLLM, the SDK and a script",
    "stages": "an event in each stage without Kafka, and the encoding of each kind of message",
    "in_flight": "wall and CPU time of one worker whose tasks wait for a slow model",
    "latency": "time from publication to outcome at steady rates, by hop",
    "replay": "an event in a replay whose answers are all stored",
    "sink": "rows a second into ClickHouse, beside a direct insert",
    "startup": "CPU time, time and memory of each tier until ready, at rest and under load",
    "tables": "lookups in a table by its size, and its recovery from Kafka",
    "telemetry": "metrics and traces of one handled message",
    "throughput": "the tiers on a backlog, with 1, 2 and 4 processes, beside bare loops and frameworks",
}
"""The benchmarks by name: each is a module of this package with a function `run(options) -> Result`."""
PACKAGES: Final = ("faust-streaming", "aiokafka", "confluent-kafka", "clickhouse-connect", "fastavro")
ROOT: Final = Path(__file__).resolve().parents[1]


def run(name: str, options: Options) -> Result:
    """Run one benchmark."""
    result: Result = importlib.import_module(f"bench.{name}").run(options)
    return result


def environment() -> dict[str, Any]:
    """Return the machine, the versions and the commit that the figures belong to."""
    model = [line.partition(": ")[2] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return {
        "processor": model[0] if model else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory GiB": round(memory, 1),
        "load average": [round(one, 1) for one in os.getloadavg()],
        "Linux": platform.release(),
        "Python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "commit": commit.stdout.strip(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def record(result: Result) -> dict[str, Any]:
    """Return a result as JSON, the medians included."""
    return {
        "benchmark": result.benchmark,
        "ratios": [asdict(one) | {"median": one.median, "met": one.met} for one in result.ratios],
        "figures": [asdict(one) | {"median": one.median} for one in result.figures],
        "notes": list(result.notes),
    }


def lines(result: Result) -> Iterator[str]:
    """Yield the lines of a report: the ratios, a table for each unit, the notes."""
    yield f"## {result.benchmark}"
    for ratio in result.ratios:
        low, high = min(ratio.rounds), max(ratio.rounds)
        yield f"{ratio.median:7.2f}  {ratio.name} ({low:.2f} to {high:.2f}){_target(ratio)}"
    for unit in dict.fromkeys(figure.unit for figure in result.figures):
        yield ""
        yield from _table(unit, [figure for figure in result.figures if figure.unit == unit])
    yield from ("", *(f"- {note}" for note in result.notes)) if result.notes else ()


def _target(ratio: Ratio) -> str:
    if ratio.met is None:
        return ""
    bound = f"<= {ratio.at_most:g}" if ratio.at_most is not None else f">= {ratio.at_least:g}"
    return f"; target {bound}: {'met' if ratio.met else 'MISSED'}"


def _table(unit: str, figures: Sequence[Figure]) -> Iterator[str]:
    """Yield a row for each subject; the last column is the widest spread of its figures over the rounds."""
    columns = list(dict.fromkeys(figure.quantity for figure in figures))
    subjects = list(dict.fromkeys(figure.subject for figure in figures))
    wide = max(map(len, (*subjects, unit)))
    yield f"{unit:<{wide}} " + "".join(f"{one:>{max(9, len(one) + 1)}}" for one in columns) + "   spread"
    for subject in subjects:
        own = {figure.quantity: figure for figure in figures if figure.subject == subject}
        cells = (f"{_number(own.get(one)):>{max(9, len(one) + 1)}}" for one in columns)
        spread = max(
            (high - low) / figure.median if figure.median else 0.0
            for figure in own.values()
            for low, high in [figure.spread]
        )
        yield f"{subject:<{wide}} " + "".join(cells) + f"{spread:>9.0%}"


def _number(figure: Figure | None) -> str:
    if figure is None:
        return ""
    return f"{figure.median:,.0f}" if figure.median >= 1000 else f"{figure.median:.3g}"


def main() -> None:
    """Parse the command line, run, print."""
    names = "\n".join(f"  {name:<14}{what}" for name, what in BENCHMARKS.items())
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=f"benchmarks:\n{names}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", default=list(BENCHMARKS))
    parser.add_argument("--quick", action="store_true", help="one short round of each, to see that they work")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--against", type=Path, metavar="DIR", help="another checkout, measured in the same rounds")
    parser.add_argument("--kafka-home", type=Path, help="Apache Kafka's directory; else it is installed once")
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args()
    if unknown := set(given.names) - set(BENCHMARKS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    options = Options(given.quick, given.rounds, given.against and given.against.resolve(), given.kafka_home)
    measured_on, results = environment(), []
    print(json.dumps(measured_on))
    for name in given.names:
        result = run(name, options)
        results.append(record(result))
        print("", *lines(result), sep="\n", flush=True)
        if given.json:
            given.json.write_text(json.dumps({"environment": measured_on, "results": results}, indent=2))


if __name__ == "__main__":
    main()
