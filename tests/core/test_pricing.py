"""Money is exact, and what is not known is None."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, get_args

import pytest
from anthropic.types import Model
from hypothesis import given
from hypothesis import strategies as st

from streams.core.errors import ConfigError
from streams.core.pricing import Bounds, LongPrompt, Price, PriceList, cost, highest_cost

SHIPPED = Path(__file__).parents[2] / "streams" / "pipeline" / "prices-2026-11.toml"
SONNET = Price(Decimal("3"), Decimal("15"), Decimal("0.30"), Decimal("3.75"))
RATES = {"input": 3, "output": 15, "cache_read": 0.3, "cache_write": "3.75"}


def flat(rate: str) -> Price:
    amount = Decimal(rate)
    return Price(amount, amount, amount, amount)


rates = st.decimals(min_value=0, max_value=1000, places=6)
tokens = st.integers(min_value=0, max_value=10**8)


def prices(**models: Any) -> PriceList:
    return PriceList.parse({"as_of": date(2026, 11, 1), "models": models})


def test_a_call_costs_each_kind_of_token_at_its_rate() -> None:
    # 700 fresh at 3, 200 read at 0.30, 100 written at 3.75, 50 out at 15: 2100 + 60 + 375 + 750 millionths
    assert cost(SONNET, 1000, 50, 200, 100) == Decimal("0.003285")


def test_a_single_token_is_not_rounded_away() -> None:
    assert cost(flat("0.001"), 1, 1, 0, 0) == Decimal("0.000000002")


def test_nothing_used_costs_nothing() -> None:
    assert cost(SONNET, 0, 0, 0, 0) == 0


@given(rates, rates, rates, rates, tokens, tokens, tokens, tokens)
def test_the_cost_is_exact(
    fresh_rate: Decimal, out_rate: Decimal, read_rate: Decimal, write_rate: Decimal, a: int, b: int, c: int, d: int
) -> None:
    exact = sum(
        Fraction(rate) * count for rate, count in ((fresh_rate, a), (out_rate, b), (read_rate, c), (write_rate, d))
    )
    found = cost(Price(fresh_rate, out_rate, read_rate, write_rate), a + c + d, b, c, d)
    assert found is not None
    assert Fraction(found) == exact / 10**6


@pytest.mark.parametrize(
    "counts", [(None, 1, 0, 0), (1, None, 0, 0), (1, 1, None, 0), (1, 1, 0, None), (None, None, None, None)]
)
def test_a_call_with_an_unknown_count_has_no_known_cost(counts: tuple[int | None, ...]) -> None:
    assert cost(SONNET, *counts) is None


@pytest.mark.parametrize("counts", [(10, 1, 8, 3), (-1, 1, 0, 0), (10, -1, 0, 0), (10, 1, -1, 0), (10, 1, 0, -1)])
def test_counts_that_contradict_each_other_have_no_known_cost(counts: tuple[int, ...]) -> None:
    assert cost(SONNET, *counts) is None


def test_cache_counts_are_not_needed_where_caching_changes_no_price() -> None:
    assert cost(flat("2"), 1_000_000, 500_000, None, None) == 3
    assert cost(flat("0"), 10, 10, None, None) == 0


def test_a_long_prompt_prices_the_whole_call() -> None:
    price = replace(flat("1"), long_prompt=LongPrompt(100, flat("10")))
    assert cost(price, 100, 1, 0, 0) == Decimal("0.000101")
    assert cost(price, 101, 1, 50, 0) == Decimal("0.001020")


def test_a_model_is_found_by_its_name() -> None:
    assert prices(**{"claude-sonnet-4-5": RATES}).find("claude-sonnet-4-5") == SONNET


@pytest.mark.parametrize(
    ("model", "listed"),
    [
        ("claude-haiku-4-5-20251001", "claude-haiku-4-5"),
        ("claude-haiku-4-5-latest", "claude-haiku-4-5"),
        ("claude-haiku-4-20250514", "claude-haiku-4"),
        ("claude-haiku-4-5-20251001-v1", "claude-haiku-4-5"),
        ("claude-haiku-5", None),
        ("claude-haiku-4-6", None),
        ("claude-haiku-4-6-20260101", None),
        ("claude-haiku-4-50", None),
        ("claude-haiku-45", None),
        ("claude-haiku", None),
        ("", None),
    ],
)
def test_a_dated_model_is_found_by_the_longest_name_and_a_new_version_is_not(model: str, listed: str | None) -> None:
    names = ["claude-haiku-4", "claude-haiku-4-5"]
    by_name = {name: flat(str(n)) for n, name in enumerate(names)}
    expected = None if listed is None else by_name[listed]
    assert PriceList(date(2026, 11, 1), by_name).find(model) == expected


DRESSED = [
    "claude-haiku-4-5",
    "anthropic/claude-haiku-4-5",
    "anthropic/claude-haiku-4.5",
    "openrouter/anthropic/claude-haiku-4.5",
    "models/claude-haiku-4-5",
    "publishers/anthropic/models/claude-haiku-4-5",
    "claude-haiku-4-5@20251001",
    "claude-haiku-4-5@default",
    "vertex_ai/claude-haiku-4-5@20251001",
    "anthropic.claude-haiku-4-5",
    "anthropic.claude-haiku-4-5-20251001-v1:0",
    "us.anthropic.claude-haiku-4-5-20251001-v1:0",
    "global.anthropic.claude-haiku-4-5-20251001-v1:0",
    "us-gov.anthropic.claude-haiku-4-5-20251001-v1:0",
    "bedrock/us-east-1/anthropic.claude-haiku-4-5-20251001-v1:0",
    "bedrock/converse/eu.anthropic.claude-haiku-4-5-20251001-v1:0",
    "azure_ai/claude-haiku-4-5",
    "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-haiku-4-5-20251001-v1:0",
]


@pytest.mark.parametrize("model", DRESSED)
def test_a_name_as_a_cloud_or_a_gateway_writes_it_finds_its_price(model: str) -> None:
    assert prices(**{"claude-haiku-4-5": RATES, "claude-haiku-4": {**RATES, "input": 9}}).find(model) == SONNET


@pytest.mark.parametrize("model", DRESSED)
def test_another_version_so_written_finds_none(model: str) -> None:
    other = model.replace("4-5", "4-6").replace("4.5", "4.6")
    assert prices(**{"claude-haiku-4-5": RATES, "claude-haiku-4": RATES}).find(other) is None


@pytest.mark.parametrize(
    ("model", "listed"),
    [
        ("openai/gpt-4o", "gpt-4o"),
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("openai/gpt-4.1-2025-04-14", "gpt-4.1"),
        ("azure/gpt-4o", "gpt-4o"),
        ("gpt-4o-mini", None),
        ("gpt-4o-mini-2024-07-18", None),
        ("gpt-4.1-mini", None),
        ("gpt-4", None),
        ("gpt-4-1", None),
        ("openai.gpt-4o", "gpt-4o"),
        ("anthropic/claude-3.7-sonnet:free", None),
        ("arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123", None),
        ("ft:gpt-4o:acme::abc", None),
        ("openai/", None),
        ("/", None),
    ],
)
def test_another_word_is_another_model(model: str, listed: str | None) -> None:
    by_name = {"gpt-4o": flat("1"), "gpt-4.1": flat("2"), "claude-3.7-sonnet": flat("3")}
    assert PriceList(date(2026, 11, 1), by_name).find(model) == (by_name[listed] if listed else None)


def test_a_name_that_is_listed_as_it_is_written_comes_first() -> None:
    listed = prices(**{"m": RATES, "us.vendor.m": {**RATES, "input": 3.3}, "gateway/m": {**RATES, "input": 4}})
    assert [found.input for one in ("m", "us.vendor.m", "gateway/m", "eu.vendor.m") if (found := listed.find(one))] == [
        Decimal(3),
        Decimal("3.3"),
        Decimal(4),
        Decimal(3),
    ]


@given(st.text(max_size=60))
def test_any_name_is_answered(model: str) -> None:
    assert prices(m=RATES).find(model) in (None, SONNET)


@pytest.mark.parametrize("written", [3, 3.0, "3", "3.00", Decimal(3)])
def test_a_price_may_be_written_as_any_number(written: Any) -> None:
    assert prices(m={**RATES, "input": written}).find("m") == SONNET


def test_a_price_written_as_a_float_is_the_decimal_it_was_written_as() -> None:
    price = prices(m={**RATES, "input": 0.1}).find("m")
    assert price is not None
    assert price.input == Decimal("0.1")


@pytest.mark.parametrize(
    ("models", "key"),
    [
        (None, "models"),
        ([], "models"),
        ({"m": 3}, "models.m"),
        ({"m": {**RATES, "input": -1}}, "models.m.input"),
        ({"m": {**RATES, "input": "three"}}, "models.m.input"),
        ({"m": {**RATES, "input": True}}, "models.m.input"),
        ({"m": {**RATES, "input": [3]}}, "models.m.input"),
        ({"m": {**RATES, "input": float("nan")}}, "models.m.input"),
        ({"m": {**RATES, "input": float("inf")}}, "models.m.input"),
        ({"m": {"input": 3, "output": 15, "cache_read": 1}}, "models.m.cache_write"),
        ({"m": {**RATES, "batch": 1}}, "models.m.batch"),
        ({"m": {**RATES, "long_prompt": 5}}, "models.m.long_prompt"),
        ({"m": {**RATES, "long_prompt": RATES}}, "models.m.long_prompt.over"),
        ({"m": {**RATES, "long_prompt": {**RATES, "over": -1}}}, "models.m.long_prompt.over"),
        ({"m": {**RATES, "long_prompt": {**RATES, "over": True}}}, "models.m.long_prompt.over"),
        ({"m": {**RATES, "long_prompt": {"over": 5}}}, "models.m.long_prompt.input"),
        ({"m": {**RATES, "long_prompt": {**RATES, "over": 5, "x": 1}}}, "models.m.long_prompt.x"),
    ],
)
def test_a_wrong_price_is_named_by_its_key(models: Any, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        PriceList.parse({"as_of": date(2026, 11, 1), "models": models})
    assert caught.value.key == key
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("data", "key"),
    [
        ({"models": {}}, "as_of"),
        ({"as_of": "2026-11-01", "models": {}}, "as_of"),
        ({"as_of": datetime(2026, 11, 1), "models": {}}, "as_of"),
        ({"as_of": date(2026, 11, 1), "models": {}, "price": 1}, "price"),
    ],
)
def test_a_wrong_list_is_named_by_its_key(data: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        PriceList.parse(data)
    assert caught.value.key == key


def shipped() -> PriceList:
    return PriceList.parse(tomllib.loads(SHIPPED.read_text(encoding="utf-8")))


def test_the_shipped_list_prices_every_model_the_sdk_names_but_the_unconfirmed() -> None:
    (literal, _) = get_args(Model)
    unpriced = {name for name in get_args(literal) if shipped().find(name) is None}
    assert unpriced == {"claude-mythos-5-2", "claude-mythos-preview"}


def test_the_shipped_list_is_dated_in_the_month_of_its_name() -> None:
    assert shipped().as_of.strftime("prices-%Y-%m.toml") == SHIPPED.name


@pytest.mark.parametrize("model", sorted(shipped().prices))
def test_shipped_prices_stand_in_the_providers_usual_proportions(model: str) -> None:
    price = shipped().prices[model]
    for one in (price, price.long_prompt.price) if price.long_prompt else (price,):
        assert one.output == 5 * one.input
        assert one.cache_write == Decimal("1.25") * one.input
        assert one.cache_read / one.input in {Decimal("0.1"), Decimal("0.05"), Decimal("0.025")}


def test_a_price_finer_than_the_audit_can_keep_is_refused() -> None:
    rates = {"input": 0.0000001, "output": 1, "cache_read": 1, "cache_write": 1}
    with pytest.raises(ConfigError, match="at most 6 decimals"):
        PriceList.parse({"as_of": date(2026, 1, 1), "models": {"m": rates}})


# ---- The most that a call can have cost ----

Counts = tuple[int | None, int | None, int | None, int | None]


@st.composite
def usages(draw: st.DrawFn) -> tuple[tuple[int, int, int, int], Counts, Bounds]:
    """Draw a call's true usage, the counts that a gateway passed on, and the bounds of its request."""
    fresh, read, written, out = (draw(st.integers(0, 400_000)) for _ in range(4))
    total, said_total = fresh + read + written, draw(st.booleans())
    kept = [draw(st.booleans()) for _ in range(4)]
    # A gateway may leave the cached tokens out of its input count, or put them in, when it leaves their counts out.
    cached = sum(count for count, keeps in ((read, kept[2]), (written, kept[3])) if keeps or said_total)
    told = (fresh + cached, out, read, written)
    in_, out_, read_, written_ = (count if keeps else None for count, keeps in zip(told, kept, strict=True))
    more = draw(st.integers(0, 1000))
    return (
        (total, out, read, written),
        (in_, out_, read_, written_),
        Bounds(prompt=total + more, cached=read + written + more, output=out + more),
    )


@st.composite
def price_of(draw: st.DrawFn) -> Price:
    read = draw(st.decimals(min_value=0, max_value=1, places=3))
    base, write = (draw(st.decimals(min_value=Decimal("1.001"), max_value=10, places=3)) for _ in range(2))
    short = Price(base, draw(rates), read, write)
    if draw(st.booleans()):
        return short
    factor = draw(st.integers(1, 3))
    long = Price(base * factor, short.output * factor, read * factor, write * factor)
    return replace(short, long_prompt=LongPrompt(draw(st.integers(0, 500_000)), long))


@given(price_of(), usages())
def test_with_any_count_missing_the_highest_cost_is_never_less_than_the_true_cost(
    price: Price, usage: tuple[tuple[int, int, int, int], Counts, Bounds]
) -> None:
    true, seen, bounds = usage
    spent = cost(price, *true)
    assert spent is not None
    assert highest_cost(price, *seen, bounds) >= spent


def test_what_is_known_counts_as_it_is() -> None:
    wide = Bounds(prompt=10**6, cached=10**6, output=10**6)
    assert highest_cost(SONNET, 1000, 50, 200, 100, wide) == cost(SONNET, 1000, 50, 200, 100)


@pytest.mark.parametrize(
    ("seen", "millionths"),
    [
        ((1000, 50, None, None), Decimal("3.75") * 1400 + 15 * 50),  # all of it, and what was to be cached, as written
        ((1000, 50, 300, None), Decimal("3.75") * 1400 + 15 * 50),
        ((9000, 50, None, None), Decimal("3.75") * 9000 + 15 * 50),  # more than the bound: then that is its total
        ((None, 50, None, None), Decimal("3.75") * 2000 + 15 * 50),
        ((1000, None, 0, 0), Decimal(3) * 1000 + 15 * 300),
        ((None, None, None, None), Decimal("3.75") * 2000 + 15 * 300),
        ((100, 50, 300, 300), Decimal("3.75") * 1000 + 15 * 50),  # counts that contradict each other
    ],
)
def test_what_is_unknown_counts_at_its_worst(seen: Counts, millionths: Decimal) -> None:
    assert highest_cost(SONNET, *seen, Bounds(prompt=2000, cached=400, output=300)) == millionths.scaleb(-6)


def test_a_call_in_a_batch_costs_a_share_of_every_rate_also_of_a_long_prompt() -> None:
    rates = {"input": 1, "output": 5, "cache_read": "0.1", "cache_write": "1.25"}
    long = {name: Decimal(str(rate)) * 2 for name, rate in rates.items()} | {"over": 100}
    data = {"as_of": date(2026, 11, 1), "batch": 0.5, "models": {"m": rates | {"long_prompt": long}}}
    price = PriceList.parse(data).prices["m"]
    batched = price.in_batch()
    assert batched is not None
    for tokens in (100, 101):
        whole = cost(price, tokens, 7, 20, 30)
        assert whole is not None
        assert cost(batched, tokens, 7, 20, 30) == whole / 2


@pytest.mark.parametrize("share", [2, "x", -1, 0.333])
def test_a_share_of_a_batch_is_from_0_to_1_with_two_decimals(share: Any) -> None:
    with pytest.raises(ConfigError) as raised:
        PriceList.parse({"as_of": date(2026, 11, 1), "batch": share, "models": {}})
    assert raised.value.key == "batch"


def test_without_its_share_the_price_of_a_batch_is_unknown() -> None:
    rates = {"input": 1, "output": 5, "cache_read": "0.1", "cache_write": "1.25"}
    assert PriceList.parse({"as_of": date(2026, 11, 1), "models": {"m": rates}}).prices["m"].in_batch() is None
