"""The cost of a model call, exact, in US dollars. An unknown cost is None, never 0."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from streams.core.errors import ConfigError

_RATES = ("input", "output", "cache_read", "cache_write")
# What may follow a listed name: a date, a revision of the packaging, nothing else. A shorter number is another version
# with its own price (claude-opus-5 does not price claude-opus-5-5), and so is a word (gpt-4o and gpt-4o-mini).
_DATED = re.compile(
    r"(?P<name>.+?)(?:[-@](?:\d{8}|\d{6}|\d{4}-\d{2}-\d{2}|latest|default))?(?:-v\d+)?(?::\d+)?", re.ASCII
)
# Bedrock's vendor, and before it the places in which an inference profile runs: us.anthropic.claude-opus-5-5.
_VENDOR = re.compile(r"(?:[a-z]{2,6}(?:-gov)?\.)?[a-z]+\.(?P<name>[a-z].*)", re.ASCII)
_POINT = re.compile(r"(?<=\d)\.(?=\d)")
# The audit keeps 12 decimals of a dollar, and prices are per million tokens.
_DECIMALS = 6


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens. `long_prompt`, if any, prices all tokens of a call with a long prompt."""

    input: Decimal
    output: Decimal
    cache_read: Decimal
    cache_write: Decimal
    long_prompt: LongPrompt | None = None
    batch: Decimal | None = None
    """The share of these prices that a call in a batch costs; None if unknown."""

    def in_batch(self) -> Price | None:
        """Return the prices of a call in a batch; None if they are unknown."""
        return None if self.batch is None else self._times(self.batch)

    def _times(self, share: Decimal) -> Price:
        long = self.long_prompt
        rates = {name: getattr(self, name) * share for name in _RATES}
        return Price(**rates, long_prompt=LongPrompt(long.over, long.price._times(share)) if long else None)


@dataclass(frozen=True, slots=True)
class LongPrompt:
    """The price of a call whose input tokens, cached ones included, are more than `over`."""

    over: int
    price: Price


@dataclass(frozen=True, slots=True)
class PriceList:
    """Prices by model name, valid on the day `as_of`."""

    as_of: date
    prices: Mapping[str, Price]

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> PriceList:
        """Read `{"as_of": date, "models": {name: rates}}`, as tomllib gives it; `batch` is optional.

        Raises ConfigError.
        """
        _no_others(data, ("as_of", "batch", "models"), "")
        as_of = data.get("as_of")
        if not isinstance(as_of, date) or isinstance(as_of, datetime):
            raise ConfigError("not a date.", "Write the day of the prices, for example 2026-11-01.", "as_of")
        models = _table(data.get("models"), "models")
        prices = {name: _price(rates, f"models.{name}") for name, rates in models.items()}
        if "batch" in data:
            share = _share(data["batch"], "batch")
            prices = {name: replace(price, batch=share) for name, price in prices.items()}
        return cls(as_of, prices)

    def find(self, model: str) -> Price | None:
        """Find the price by the exact name, else by the name that a gateway or a cloud has dressed up.

        So `claude-haiku-4-5-20251001`, `anthropic/claude-haiku-4.5`, `us.anthropic.claude-haiku-4-5-20251001-v1:0` and
        `vertex_ai/claude-haiku-4-5@20251001` are priced as `claude-haiku-4-5`. Another version number, or another word,
        is another model. None for a model that is not listed.
        """
        bare = model.rpartition("/")[2]
        vendor = _VENDOR.fullmatch(bare)
        for name in (model, bare, vendor["name"] if vendor else bare):
            for spelt in (name, _POINT.sub("-", name)):
                dated = _DATED.fullmatch(spelt)
                for listed in (spelt, dated["name"] if dated else spelt):
                    if listed in self.prices:
                        return self.prices[listed]
        return None


def cost(
    price: Price,
    input_tokens: int | None,
    output_tokens: int | None,
    cache_read: int | None,
    cache_write: int | None,
) -> Decimal | None:
    """Return the exact US dollars of one call; `input_tokens` is the total, cached ones included.

    None if a needed count is unknown, or if the counts contradict each other. A cache count is not needed if cached
    tokens cost the same as others.
    """
    if input_tokens is None or output_tokens is None:
        return None
    if price.long_prompt and input_tokens > price.long_prompt.over:
        price = price.long_prompt.price
    read = 0 if cache_read is None and price.cache_read == price.input else cache_read
    written = 0 if cache_write is None and price.cache_write == price.input else cache_write
    if read is None or written is None or min(read, written, output_tokens, input_tokens - read - written) < 0:
        return None
    millionths = (
        price.input * (input_tokens - read - written)
        + price.cache_read * read
        + price.cache_write * written
        + price.output * output_tokens
    )
    return millionths.scaleb(-6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Upper bounds on the tokens of one request: `prompt` for all input, `cached` for the part marked for caching."""

    prompt: int
    cached: int
    output: int


def highest_cost(
    price: Price,
    input_tokens: int | None,
    output_tokens: int | None,
    cache_read: int | None,
    cache_write: int | None,
    bounds: Bounds,
) -> Decimal:
    """Return an upper bound on the US dollars of one call. Unknown counts are taken at their worst.

    If a cache count is missing, it is unknown whether `input_tokens` includes cached tokens and which rate applies to
    each. So the cached part is added to it, and all of it is priced at the highest rate.
    """
    output = bounds.output if output_tokens is None or output_tokens < 0 else output_tokens
    whole = bounds.cached == 0 or None not in (cache_read, cache_write)
    if whole and (known := cost(price, input_tokens, output, cache_read, cache_write)) is not None:
        return known
    counted = max(0, input_tokens or 0, (cache_read or 0) + (cache_write or 0))
    total = max(counted, bounds.prompt)
    if input_tokens is not None:
        total = min(total, counted + bounds.cached)
    long = price.long_prompt
    prices = [price, long.price] if long is not None and total > long.over else [price]
    return max(_dearest(one) * total + one.output * output for one in prices).scaleb(-6)


def _dearest(price: Price) -> Decimal:
    return max(price.input, price.cache_read, price.cache_write)


def _price(data: Any, key: str) -> Price:
    rates = _table(data, key)
    _no_others(rates, (*_RATES, "long_prompt"), key)
    price = _four_rates(rates, key)
    if "long_prompt" not in rates:
        return price
    return replace(price, long_prompt=_long_prompt(rates["long_prompt"], f"{key}.long_prompt"))


def _share(value: Any, key: str) -> Decimal:
    share = _dollars(value, key)
    if share > 1 or share != round(share, 2):
        raise ConfigError(f"{value!r} is not a share.", "Write what a call in a batch costs, for example 0.5.", key)
    return share


def _long_prompt(data: Any, key: str) -> LongPrompt:
    rates = _table(data, key)
    _no_others(rates, (*_RATES, "over"), key)
    over = rates.get("over")
    if not isinstance(over, int) or isinstance(over, bool) or over < 0:
        raise ConfigError("not a number of tokens.", "Write the longest prompt of the lower price.", f"{key}.over")
    return LongPrompt(over, _four_rates(rates, key))


def _four_rates(rates: Mapping[str, Any], key: str) -> Price:
    rate_input, output, read, write = (_dollars(rates.get(name), f"{key}.{name}") for name in _RATES)
    return Price(rate_input, output, read, write)


def _dollars(value: Any, key: str) -> Decimal:
    remedy = "Write US dollars per million tokens, for example 0.25."
    if value is None:
        raise ConfigError("missing.", remedy, key)
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise ConfigError(f"{value!r} is not a price.", remedy, key)
    try:
        # Converted through its text, because the float nearest to 0.1 is not 0.1.
        amount = Decimal(str(value))
    except InvalidOperation:
        raise ConfigError(f"{value!r} is not a price.", remedy, key) from None
    if not amount.is_finite() or amount < 0:
        raise ConfigError(f"{value!r} is not a price.", remedy, key)
    if amount != round(amount, _DECIMALS):
        raise ConfigError(
            f"{value!r} has more decimals than the audit keeps.", f"Write at most {_DECIMALS} decimals.", key
        )
    return amount


def _table(data: Any, key: str) -> Mapping[str, Any]:
    if not isinstance(data, Mapping):
        raise ConfigError("not a table.", "Write a [table] of prices.", key)
    return data


def _no_others(data: Mapping[str, Any], known: tuple[str, ...], key: str) -> None:
    if others := sorted(set(data) - set(known)):
        where = f"{key}.{others[0]}" if key else others[0]
        raise ConfigError("not a known key.", f"Remove it; known are {', '.join(known)}.", where)
