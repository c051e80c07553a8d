"""The cost of one event in the stages without Kafka, and of encoding and decoding each kind of message beside fastavro.

With `--against` another checkout's stages are measured in turns with ours.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from bench.measure import BEFORE, OWN, Options, Result, Rounds

OWN_US = f"{OWN} µs"


def run(options: Options) -> Result:
    """Measure this checkout and, if one is given, another."""
    events, taken = options.size(1000, 20), Rounds()
    checkouts = options.checkouts()
    for number in range(options.rounds_or(5)):
        for name in list(checkouts)[:: -1 if number % 2 else 1]:
            for subject, found in _measure(checkouts[name], events).items():
                taken.add(subject, {f"{name} µs": found.pop("escalon")} | ({} if name == BEFORE else _named(found)))
    peers = (name for name in (f"{BEFORE} µs", "fastavro µs") if name in {of for _, of in taken.taken})
    ratios = [
        taken.ratio(f"{subject}: escalon by {peer.removesuffix(' µs')}", (subject, OWN_US), (subject, peer))
        for peer in peers
        for subject, name in taken.taken
        if name == peer
    ]
    ratios.append(taken.ratio("listen, 25 events a second / in a loop", ("listen, 25/s", OWN_US), ("listen", OWN_US)))
    notes = ["listen: a record is read and one rule decides; publish: all between a stage and the producer"]
    return Result("stages", ratios, taken.figures(), notes)


def _named(found: Mapping[str, float]) -> dict[str, float]:
    return {f"{name} µs": value for name, value in found.items()}


def _measure(checkout: Path, events: int) -> dict[str, dict[str, float]]:
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("stages_cpu.py"), str(events)],
        env={**os.environ, "PYTHONPATH": str(checkout)},
        stdout=subprocess.PIPE,
        check=True,
    )
    found: dict[str, dict[str, float]] = json.loads(done.stdout)
    return found
