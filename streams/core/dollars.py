"""Money as text for people, the same in every table, page and sentence."""

from __future__ import annotations

from decimal import Decimal


def dollars(value: float | Decimal | None, unknown: str = "–") -> str:
    """Return US dollars with cents, and below a dollar with at least two significant digits: `$0.48`, `$0.0013`."""
    if value is None:
        return unknown
    amount = abs(float(value))
    exponent = int(f"{amount:.1e}".rpartition("e")[2])
    return f"{'−' if value < 0 else ''}${amount:,.{max(2, 1 - exponent)}f}"
