"""Figures as text."""

from __future__ import annotations

import pytest

from streams.ui.operator.wording import usd


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (None, "–"), (0, "$0.00"), (1234.5, "$1,234.50"), (0.48, "$0.48"), (0.01, "$0.01"), (0.0238, "$0.02"),
        (0.009999, "$0.01"), (0.00944, "$0.00944"), (0.001319, "$0.00132"), (-0.5, "−$0.50"),
    ],
)  # fmt: skip
def test_money_has_cents_from_a_cent_on_and_three_digits_below(amount: float | None, text: str) -> None:
    assert usd(amount) == text
