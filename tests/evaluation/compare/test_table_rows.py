from __future__ import annotations

import pytest

from streams.evaluation.compare.paired_statistics import DifferenceEstimate
from streams.evaluation.compare.table_rows import cost_interval, interval, number


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (DifferenceEstimate(0.001831, 0.00102, 0.002654), "+$0.0018 (+$0.0010 to +$0.0027)"),
        (DifferenceEstimate(-1.5, -2.25, 0.0), "−$1.50 (−$2.25 to +$0.00)"),
        (DifferenceEstimate(0.25, None, None), "+$0.25 (too few differ)"),
    ],
)
def test_a_difference_of_costs_is_money(estimate: DifferenceEstimate, text: str) -> None:
    assert cost_interval(estimate) == text


def test_other_figures_have_three_digits() -> None:
    assert interval(DifferenceEstimate(-1.17638, -1.6, -0.76781)) == "-1.18 (-1.60 to -0.77)"
    assert interval(DifferenceEstimate(0.0036, -5.63e-05, 0.00732)) == "+0.00360 (-0.00006 to +0.00732)"
    assert [number(value) for value in (None, 0.0, 5.63e-05, 0.4361, 11.75, 4321.9)] == [
        "unknown",
        "0.00",
        "0.0000563",
        "0.436",
        "11.8",
        "4322",
    ]
