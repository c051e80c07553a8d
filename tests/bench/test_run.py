"""Every benchmark works: one short round of each gives its figures. Times are not judged here."""

from __future__ import annotations

import subprocess
from math import isfinite

import pytest

from bench.measure import Figure, Options, Ratio, Result
from bench.peers.install import PEERS, python
from bench.run import BENCHMARKS, environment, lines, record, run


@pytest.fixture(scope="module")
def _peers() -> None:
    """The environments of the peers; skips the test, with the reason, when they cannot be installed."""
    try:
        for peer in PEERS:
            python(peer)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"NOT TESTED, the peers cannot be installed: {error}")


@pytest.mark.slow
@pytest.mark.usefixtures("_peers")
@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_quick_run_gives_every_figure(name: str) -> None:
    result = run(name, Options(quick=True))
    assert result.benchmark == name
    assert result.figures
    # A round this short may be less than what is subtracted from it, such as a process at rest.
    assert all(figure.rounds and all(map(isfinite, figure.rounds)) for figure in result.figures)
    assert all(ratio.rounds and all(map(isfinite, ratio.rounds)) for ratio in result.ratios)


def test_a_report_has_the_ratios_with_their_targets_first_then_a_table_for_each_unit() -> None:
    result = Result(
        "cost",
        [Ratio("own by other", (0.5, 0.7, 0.6), at_most=0.65), Ratio("scaling", (1.5,), at_least=1.6)],
        [Figure("own", "CPU", "ms", (1.0, 1.4, 1.2)), Figure("own", "rate", "events/s", (1234.5,))],
        ["the broker is Apache Kafka"],
    )
    assert list(lines(result)) == [
        "## cost",
        "   0.60  own by other (0.50 to 0.70); target <= 0.65: met",
        "   1.50  scaling (1.50 to 1.50); target >= 1.6: MISSED",
        "",
        "ms        CPU   spread",
        "own       1.2      33%",
        "",
        "events/s      rate   spread",
        "own          1,234       0%",
        "",
        "- the broker is Apache Kafka",
    ]
    assert record(result)["ratios"][0] == {
        "name": "own by other", "rounds": (0.5, 0.7, 0.6), "at_most": 0.65, "at_least": None, "median": 0.6, "met": True
    }  # fmt: skip


def test_the_environment_names_the_machine_and_the_commit() -> None:
    found = environment()
    assert found["cores"] > 0
    assert found["commit"]
    assert found["packages"]["aiokafka"]
