"""The bill of a fake provider: one entry a request, and its price computed apart from the product's own arithmetic."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from streams.core.pricing import PriceList


@dataclass(frozen=True, kw_only=True)
class Billed:
    """The tokens of one request, each counted once."""

    model: str
    input_tokens: int
    """Neither read from a cache nor written to one."""
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int
    """With the thinking."""
    thinking_tokens: int = 0
    free: bool = False
    """True if the provider counts the tokens and charges nothing."""

    def dollars(self, prices: PriceList) -> Fraction:
        """The exact price, by the list's rates for a million tokens."""
        if self.free:
            return Fraction(0)
        rates = prices.prices[self.model]
        parts = (
            (self.input_tokens, rates.input),
            (self.cache_read_tokens, rates.cache_read),
            (self.cache_write_tokens, rates.cache_write),
            (self.output_tokens, rates.output),
        )
        return sum((Fraction(tokens) * Fraction(rate) for tokens, rate in parts), Fraction(0)) / 10**6


def total(books: Iterable[Billed], prices: PriceList) -> Fraction:
    """The price of all entries in US dollars."""
    return sum((one.dollars(prices) for one in books), Fraction(0))
