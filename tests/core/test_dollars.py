"""Money as text."""

from __future__ import annotations

from decimal import Decimal

import pytest

from streams.core.dollars import dollars


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (None, "–"), (0, "$0.00"), (Decimal("1234.5"), "$1,234.50"), (0.48, "$0.48"), (0.0238, "$0.024"),
        (0.0996, "$0.10"), (0.999, "$1.00"), (0.01, "$0.010"), (0.00944, "$0.0094"), (0.000189, "$0.00019"),
        (-0.5, "−$0.50"),
    ],
)  # fmt: skip
def test_money_has_cents_and_at_least_two_significant_digits(amount: float | Decimal | None, text: str) -> None:
    assert dollars(amount) == text


def test_an_unknown_amount_is_said_in_the_given_words() -> None:
    assert dollars(None, "unknown") == "unknown"
