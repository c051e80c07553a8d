"""The share of runs that "prove" a target missed at every threshold, when tasks come in bursts: by event and by task.

    python -m bench.guarantee_bursts [--wrong 0.1] [--error 0.05] [--certainty 0.9] [--each 20] [--draws 500] [--json]

Scores say nothing, and of the tasks the share `wrong` is answered wrongly, so every proof is a broken promise.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator

import numpy as np

from streams.calibration.risk_control import Target, ThresholdSelection, select_threshold

TASKS = (10, 20, 40, 60, 100, 200, 400, 1000)


def broken(tasks: int, each: int, wrong: float, target: Target, draws: int) -> tuple[float, float]:
    """The share of draws in which the target is proven: counting each event, and counting each task once."""
    rng = np.random.default_rng([tasks, each])
    by_event = by_task = 0
    for _ in range(draws):
        scores, right = rng.uniform(0.5, 1.0, tasks), rng.random(tasks) >= wrong
        by_event += isinstance(select_threshold(scores.repeat(each), right.repeat(each), target), ThresholdSelection)
        by_task += isinstance(select_threshold(scores, right, target), ThresholdSelection)
    return by_event / draws, by_task / draws


def rows(each: int, wrong: float, target: Target, draws: int) -> Iterator[dict[str, float]]:
    """One for each number of tasks."""
    for tasks in TASKS:
        by_event, by_task = broken(tasks, each, wrong, target, draws)
        yield {"tasks": tasks, "events": tasks * each, "by_event": by_event, "by_task": by_task}


def main() -> None:
    """Parse the arguments and print a row for each number of tasks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wrong", type=float, default=0.1)
    parser.add_argument("--error", type=float, default=0.05)
    parser.add_argument("--certainty", type=float, default=0.9)
    parser.add_argument("--each", type=int, default=20)
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    for row in rows(asked.each, asked.wrong, Target(asked.error, asked.certainty), asked.draws):
        plain = "{tasks:5} tasks, {events:6} events: proven in {by_event:6.1%} by event, {by_task:6.1%} by task"
        print(json.dumps(row) if asked.json else plain.format(**row))


if __name__ == "__main__":
    main()
