"""Values as text for people."""

from __future__ import annotations

from decimal import Decimal

import pytest

from streams.cli.console import usd


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "unknown"),
        (Decimal(0), "$0.000000"),
        (Decimal("0.0000667"), "$0.000067"),
        (Decimal("-0.0000667"), "-$0.000067"),
        (Decimal("12.5"), "$12.50"),
        (Decimal("-12.5"), "-$12.50"),
    ],
)
def test_money_has_its_sign_before_the_dollar(value: Decimal | None, words: str) -> None:
    assert usd(value) == words
