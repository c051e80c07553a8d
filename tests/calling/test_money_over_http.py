"""Counts, bills and limits of a provider over real HTTP, with the omissions of gateways."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from streams.core.pricing import PriceList, cost
from streams.core.rate import RateLimit
from tests.builders import event
from tests.harness.confidence import FakeBudget
from tests.harness.fakes.messages_outcomes import Answer, Failure, Outcome, Raw, StreamError, refusal
from tests.harness.fakes.messages_wire import events, sse, tokens
from tests.harness.over_http import DESK, House, house, with_options

COUNTS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
WORKER = "claude-haiku-4-5"
SAID = json.dumps({"answer": {"reply": "from nine to five"}})


@dataclass
class Gateway:
    """Answers as a provider with a prompt cache, and leaves some counts out. Keeps what each call truly used."""

    left_out: frozenset[str] = frozenset()
    used: list[dict[str, int]] = field(default_factory=list)
    cache: set[str] = field(default_factory=set)

    def __call__(self, body: Mapping[str, Any]) -> Outcome:
        """An answer to each request."""
        system = "".join(block["text"] for block in body.get("system") or ())
        seen, size = system in self.cache, tokens(system)
        self.cache.add(system)
        usage = dict(zip(COUNTS, (tokens(body["messages"]), tokens(SAID), size * seen, size * (not seen)), strict=True))
        self.used.append(usage)
        message = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": [{"type": "text", "text": SAID}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "stop_details": None,
            "usage": usage,
        }
        return Raw(b"".join(sse(self.without(one)) for one in events(message, 16)))

    def without(self, one: Any) -> Any:
        """A JSON value less the counts that are left out."""
        if not isinstance(one, dict):
            return one
        return {name: self.without(value) for name, value in one.items() if name not in self.left_out}

    def billed(self, prices: PriceList, model: str = WORKER) -> Decimal:
        """The true price of all calls."""
        return sum((exact(prices, model, one) for one in self.used), Decimal(0))


def exact(prices: PriceList, model: str, used: Mapping[str, int]) -> Decimal:
    price = prices.find(model)
    assert price is not None
    fresh, out, read, written = (used[name] for name in COUNTS)
    found = cost(price, fresh + read + written, out, read, written)
    assert found is not None
    return found


SUBSETS = [frozenset(some) for size in range(5) for some in itertools.combinations(COUNTS, size)]


FLAT = """as_of = 2026-11-01
[models]
claude-haiku-4-5 = { input = 1, output = 5, cache_read = 1, cache_write = 1 }
claude-opus-4-8 = { input = 1, output = 5, cache_read = 1, cache_write = 1 }
"""


@pytest.mark.parametrize("left_out", SUBSETS, ids=lambda some: "+".join(sorted(some)) or "nothing")
async def test_the_same_holds_where_cached_tokens_cost_what_others_cost(
    tmp_path: Path, left_out: frozenset[str]
) -> None:
    (tmp_path / "flat.toml").write_text(FLAT)
    gateway, budget = Gateway(left_out), FakeBudget(Decimal(100))
    async with house(tmp_path, gateway, f'prices = "flat.toml"\n{DESK}', budget=budget) as here:
        await here.take(event("e1", "when do you open?"), event("e2", "and when do you close?"))
        assert sum(budget.spent.values()) >= gateway.billed(here.pipeline.prices) > 0


@dataclass
class Zeros(Gateway):
    """Writes 0 for what it does not know."""

    def without(self, one: Any) -> Any:
        """A JSON value with 0 for the counts that are left out."""
        if not isinstance(one, dict):
            return one
        return {name: 0 if name in self.left_out else self.without(value) for name, value in one.items()}


@pytest.mark.parametrize("left_out", [frozenset(COUNTS), frozenset({"output_tokens"})], ids=["all", "output"])
async def test_a_gateway_that_counts_nothing_is_not_free(tmp_path: Path, left_out: frozenset[str]) -> None:
    gateway, budget = Zeros(left_out), FakeBudget(Decimal(100))
    async with house(tmp_path, gateway, budget=budget) as here:
        await here.take(event("e1", "when do you open?"), event("e2", "and when do you close?"))
        assert sum(budget.spent.values()) >= gateway.billed(here.pipeline.prices) > 0
        assert [call.cost_usd for call in here.calls if call.tier == "worker"] == [None, None]


@pytest.mark.parametrize("left_out", SUBSETS, ids=lambda some: "+".join(sorted(some)) or "nothing")
async def test_however_little_a_gateway_counts_a_budget_counts_at_least_the_true_price(
    tmp_path: Path, left_out: frozenset[str]
) -> None:
    gateway, budget = Gateway(left_out), FakeBudget(Decimal(100))
    async with house(tmp_path, gateway, budget=budget) as here:
        await here.take(event("e1", "when do you open?"), event("e2", "and when do you close?"))
        spent, true = sum(budget.spent.values()), gateway.billed(here.pipeline.prices)
        assert spent >= true > 0
        known = [call.cost_usd for call in here.calls if call.tier == "worker"]
        if left_out:
            assert known == [None, None], "the audit does not guess"
        else:
            assert sum(filter(None, known)) == spent == true


async def test_a_budget_holds_though_a_gateway_leaves_the_cache_counts_out(tmp_path: Path) -> None:
    limit = Decimal("0.02")
    gateway = Gateway(frozenset({"cache_read_input_tokens", "cache_creation_input_tokens"}))
    text = DESK + "\n[budgets.worker]\nusd_per_day = 0.02\n\n[budgets.reasoner]\nusd_per_day = 0.02\n"
    async with house(tmp_path, gateway, text, FakeBudget(limit)) as here:
        for number in range(100):
            await here.take(event(f"e{number}", f"when is {number}?"))
        assert gateway.billed(here.pipeline.prices) <= limit
        assert 1 < len(gateway.used) < 100


async def test_what_a_gateway_writes_to_the_dearer_cache_of_an_hour_has_no_known_price(tmp_path: Path) -> None:
    gateway, budget = Gateway(), FakeBudget(Decimal(100))

    def dearer(body: Mapping[str, Any]) -> Outcome:
        made = gateway(body)
        assert isinstance(made, Raw)
        hour = b'"cache_creation": {"ephemeral_1h_input_tokens": %d}, "cache_creation_input_tokens"'
        written = gateway.used[-1]["cache_creation_input_tokens"]
        return Raw(made.body.replace(b'"cache_creation_input_tokens"', hour % written))

    async with house(tmp_path, dearer, budget=budget) as here:
        await here.take(event("e1", "when do you open?"))
        price = here.pipeline.prices.find(WORKER)
        assert price is not None
        true = exact(here.pipeline.prices, WORKER, gateway.used[0])
        true += (2 * price.input - price.cache_write) * gateway.used[0]["cache_creation_input_tokens"] / 10**6
        assert [call.cost_usd for call in worker_calls(here)] == [None]
        assert sum(budget.spent.values()) >= true


async def test_without_a_system_prompt_nothing_is_cached_so_a_count_left_out_is_0(tmp_path: Path) -> None:
    (tmp_path / "bare.j2").write_text(
        "{% block system %}{% endblock %}{% block user %}{{ text | fenced }}{% endblock %}"
    )
    (tmp_path / "any.json").write_text('{"type": "object", "properties": {"reply": {"type": "string"}}}')
    text = DESK.replace(
        '[workers.answer]\ntask = "answer"', '[workers.answer]\nprompt = "bare.j2"\nschema = "any.json"'
    )
    gateway = Gateway(frozenset({"cache_read_input_tokens", "cache_creation_input_tokens"}))
    async with house(tmp_path, gateway, text) as here:
        await here.take(event("e1", "when do you open?"))
        assert [call.cost_usd for call in worker_calls(here)] == [gateway.billed(here.pipeline.prices)]


def worker_calls(here: House) -> list[Any]:
    """The calls of the worker."""
    return [call for call in here.calls if call.tier == "worker"]


# ---- What is counted and not billed ----


@pytest.mark.parametrize("category", ["cyber", "general_harms", None])
async def test_a_refusal_before_any_output_costs_nothing(tmp_path: Path, category: str | None) -> None:
    budget = FakeBudget(Decimal(100))
    async with house(tmp_path, lambda _: refusal("It is not safe.", category), budget=budget) as here:
        await here.take(event("e1", "when do you open?"))
        (call,) = worker_calls(here)
        assert (call.status, call.refusal_class, call.cost_usd) == ("refused", "unsafe", 0)
        assert call.input_tokens > 0, "it is counted all the same"
        assert sum(budget.spent.values()) == 0


@pytest.mark.parametrize("made", [refusal("no", text="First you"), refusal("no", text="x")])
async def test_a_refusal_after_some_output_is_billed(tmp_path: Path, made: Answer) -> None:
    async with house(tmp_path, lambda _: made) as here:
        await here.take(event("e1", "when do you open?"))
        assert worker_calls(here)[0].cost_usd > 0


async def test_a_refusal_after_thinking_is_billed(tmp_path: Path) -> None:
    made = Answer("", stop_reason="refusal", thinking="I wonder.")
    async with house(tmp_path, lambda _: made) as here:
        await here.take(event("e1", "when do you open?"))
        assert worker_calls(here)[0].cost_usd > 0


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503, 529])
async def test_an_error_in_place_of_a_reply_takes_nothing_from_a_budget(tmp_path: Path, status: int) -> None:
    budget = FakeBudget(Decimal(100))
    async with house(tmp_path, lambda _: Failure(status), budget=budget) as here:
        await here.take(event("e1", "when do you open?"))
        assert sum(budget.spent.values()) == 0
        assert here.calls


REFUSED_KEY = b'event: error\ndata: {"type": "error", "error": {"type": "authentication_error", "message": "no"}}\n\n'


@pytest.mark.parametrize(("made", "billed"), [(Raw(REFUSED_KEY), False), (StreamError("overloaded_error"), True)])
async def test_an_error_in_a_stream_is_billed_where_the_reply_had_begun(
    tmp_path: Path, made: Outcome, billed: bool
) -> None:
    budget = FakeBudget(Decimal(100))
    async with house(tmp_path, lambda _: made, budget=budget) as here:
        await here.take(event("e1", "when do you open?"))
        assert (sum(budget.spent.values()) > 0) == billed
        assert here.calls


@pytest.mark.parametrize("status", [408, 504, 524])
async def test_a_gateways_time_out_may_have_been_billed(tmp_path: Path, status: int) -> None:
    budget = FakeBudget(Decimal(100))
    async with house(tmp_path, lambda _: Failure(status), budget=budget) as here:
        await here.take(event("e1", "when do you open?"))
        assert sum(budget.spent.values()) > 0


# ---- What is counted against the limits ----


@pytest.mark.parametrize("left_out", [frozenset[str](), frozenset({"output_tokens"})], ids=["all", "without output"])
async def test_what_is_read_from_the_cache_holds_no_call_back(tmp_path: Path, left_out: frozenset[str]) -> None:
    (tmp_path / "facts.md").write_text("A parcel takes two days. " * 3200)  # 20,000 tokens, on 40,000 a minute
    text = with_options(DESK, workers_answer='knowledge = "facts.md"')
    async with house(tmp_path, Gateway(left_out), text, limit=RateLimit.of(None, 40_000, None)) as here:
        await here.take(event("first", "when do you open?"))
        before = here.clock.timer()
        for number in range(100):
            await here.take(event(f"e{number}", f"when is {number}?"))
        assert here.clock.timer() - before < 60
        assert len(here.results) == 101


async def test_what_is_not_known_to_be_read_from_the_cache_counts(tmp_path: Path) -> None:
    (tmp_path / "facts.md").write_text("A parcel takes two days. " * 3200)
    text = with_options(DESK, workers_answer='knowledge = "facts.md"\ncache = "off"')

    def uncached(body: Mapping[str, Any]) -> Outcome:
        size = tokens(body["system"][0]["text"])
        return Answer(SAID, input_tokens=size, cache_read_tokens=0, cache_write_tokens=0)

    async with house(tmp_path, uncached, text, limit=RateLimit.of(None, 40_000, None)) as here:
        for number in range(10):
            await here.take(event(f"e{number}", f"when is {number}?"))
        assert here.clock.timer() > 4 * 60, "2 a minute"
