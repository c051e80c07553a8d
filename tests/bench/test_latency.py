"""The latency bench attributes each part of an event's time to the hop that took it."""

from __future__ import annotations

import pytest

from bench.latency import figures, percentile


@pytest.mark.parametrize(("share", "expected"), [(50, 50.0), (90, 90.0), (99, 99.0)])
def test_a_percentile_is_the_least_value_that_so_many_do_not_exceed(share: int, expected: float) -> None:
    assert percentile(map(float, range(100, 0, -1)), share) == expected


def test_the_99th_percentile_of_a_few_is_the_greatest() -> None:
    assert percentile([3.0, 9.0, 1.0], 99) == 9.0


def test_the_hops_of_an_event_add_up_to_its_time() -> None:
    times = {"e": {"verdicts": 103.0, "results": 110.0, "outcomes": 112.0, "seen": 117.0}}
    found = figures({"e": 100.0}, times)
    assert found["p50 ms"] == 17.0
    hops = [found[f"{hop}-p50 ms"] for hop in ("LISTEN", "WORK", "SETTLE", "delivery")]
    assert hops == [3.0, 7.0, 2.0, 5.0]
