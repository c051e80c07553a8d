"""A benchmark of a panel's statistics, on recorded outcomes.

    python -m bench.panels --data DIR [--panels 1000] [--cases 100] [--json]

DIR holds gsm8k_outcomes.jsonl and mmlu_outcomes.jsonl, the recorded answers of a weak model (the worker) and a strong
one (the reasoner); a set that is missing is skipped. Panels are drawn from each set as the product draws them, with the
predictions of a verifier that has not seen the task: in GSM8K it has read the worker's answer, in MMLU, whose answers
are not recorded, the question alone. Some minutes on one core, most of it to train the verifiers.

- coverage: the share of panels whose 95 % interval holds the true rate of wrong answers: reweighted, at every moment,
  and naively, with the hard cases first and unweighted.
- width: the people's cases that give the interval of a plain random sample without predictor, as narrow on average;
  also with a judge that says whether an answer differs from the reasoner's, on four times as many further cases.
- stop: the cases until a claim is decided at 95 %, looked at after every case, against a fixed plain random sample for
  the exact test, planned for 80 % power at the smallest difference that matters, ten points of error.
- random: the effect of the share of all weight that is spread evenly over all tasks.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

from bench.panels_data import Stream, read_stream
from bench.panels_measures import measure_coverage, measure_needed, measure_shares, measure_stops
from streams.cli.console import print_json

SETS = {"gsm8k": "gsm8k_outcomes.jsonl", "mmlu": "mmlu_outcomes.jsonl"}


def measure(stream: Stream, cases: int, panels: int) -> dict[str, Any]:
    """Return all figures of one stream."""
    explained = 1 - ((stream.wrong - stream.predictions) ** 2).mean() / stream.wrong.var()
    return {
        "tasks": len(stream.wrong),
        "error": float(stream.wrong.mean()),
        "explained": float(explained),
        "coverage": asdict(measure_coverage(stream, cases, panels)),
        "width": [asdict(one) for one in measure_needed(stream)],
        "stop": [asdict(one) for one in measure_stops(stream)],
        "random": [asdict(one) for one in measure_shares(stream)],
    }


def show(name: str, found: dict[str, Any]) -> None:
    """Print one set's figures."""
    if "skipped" in found:
        print(f"{name}: skipped, {found['skipped']}")
        return
    print(
        f"{name}: {found['tasks']:,} tasks, {found['error']:.1%} wrong, the verifier explains {found['explained']:.1%}"
    )
    covered = found["coverage"]
    print(f"  coverage in {covered['panels']:,} panels of {covered['cases']} cases: reweighted "
          f"{covered['reweighted']:.1%}, at every moment {covered['at_every_moment']:.1%}, "
          f"naive {covered['naive']:.1%}")  # fmt: skip
    for one in found["width"]:
        print(f"  width {one['width']:.3f}: {one['plain']} plain cases, {one['with_predictions']} with predictions "
              f"({one['with_predictions'] / one['plain']:.0%}), {one['with_judge']} with a judge too")  # fmt: skip
    for one in found["stop"]:
        print(f"  {one['claim']} (gap {one['gap']:.3f}): fixed {one['fixed']} cases (power {one['power']:.0%}), "
              f"sequential {one['mean']:.0f} on average, half within {one['median']:.0f} "
              f"({one['mean'] / one['fixed'] - 1:+.0%})")  # fmt: skip
    for one in found["random"]:
        print(f"  random share {one['share']:.1f}: {one['as_plain']} cases for the width of 100, {one['stop']:.0f} "
              f"until decided at a gap of ten points, {one['without_error']:.0f} if nothing is wrong")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="directory of the recorded outcomes")
    parser.add_argument("--panels", type=int, default=1000, help="panels for the coverage")
    parser.add_argument("--cases", type=int, default=100, help="cases of each")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    arguments = parser.parse_args()
    started = time.perf_counter()
    found: dict[str, Any] = {}
    for name, file in SETS.items():
        stream = read_stream(name, file, arguments.data)
        if isinstance(stream, str):
            found[name] = {"skipped": stream}
        else:
            found[name] = measure(stream, arguments.cases, arguments.panels)
        if not arguments.json:
            show(name, found[name])
    seconds = round(time.perf_counter() - started, 1)
    if arguments.json:
        print_json({**found, "seconds": seconds})
    else:
        print(f"{seconds:.0f} s")


if __name__ == "__main__":
    main()
