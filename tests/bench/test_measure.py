from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping

import pytest

from bench.measure import Case, Ratio, cpu_seconds, interleave


def test_cases_take_turns_in_an_order_that_reverses_and_their_ratio_is_that_of_each_round() -> None:
    order: list[str] = []

    def case(name: str, values: list[float]) -> Case:
        def once() -> Mapping[str, float]:
            order.append(name)
            return {"CPU ms/event": values.pop(0)}

        return once

    rounds = interleave({"own": case("own", [1.0, 3.0]), "other": case("other", [2.0, 12.0])}, 2)
    assert order == ["own", "other", "other", "own"]
    ratio = rounds.ratio("own by other", ("own", "CPU ms/event"), ("other", "CPU ms/event"), at_most=0.4)
    assert (ratio.rounds, ratio.median, ratio.met) == ((0.5, 0.25), 0.375, True)
    figure = rounds.figures()[0]
    assert (figure.subject, figure.quantity, figure.unit) == ("own", "CPU", "ms/event")
    assert (figure.median, figure.spread) == (2.0, (1.0, 3.0))


@pytest.mark.parametrize(
    ("ratio", "met"),
    [
        (Ratio("r", (2.0,)), None),
        (Ratio("r", (2.0,), at_most=2.0), True),
        (Ratio("r", (2.0,), at_most=1.9), False),
        (Ratio("r", (2.0,), at_least=2.0), True),
        (Ratio("r", (2.0,), at_least=2.1), False),
    ],
)
def test_a_target_is_met_or_not(ratio: Ratio, met: bool | None) -> None:
    assert ratio.met is met


def test_cpu_time_includes_running_children_and_those_that_ended() -> None:
    burn = "import time\nwhile time.process_time() < 0.5: pass\n"
    parent = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {burn!r}])\nprint(flush=True)\n"
    before = cpu_seconds(os.getpid())
    command = [
        sys.executable,
        "-c",
        f"{parent}subprocess.run([sys.executable, '-c', {burn + 'print(flush=True); input()'!r}])",
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert cpu_seconds(child.pid) > 0.45
        child.stdout.readline()
        assert cpu_seconds(child.pid) > 0.9
        assert cpu_seconds(os.getpid()) - before > 0.9
        child.communicate(b"\n")
